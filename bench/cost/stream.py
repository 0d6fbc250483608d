"""Pictures per second where every epoch decodes its files, as of datasets too large to keep decoded, beside a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch

from bench.api import ImageFiles
from bench.cost.clock import repeated, take_turns
from bench.cost.record import Row, described_by
from bench.data import Data
from bench.datasets._streamed import StreamedCanvases, paths_array
from bench.pretrain import Trainer
from bench.spec import RunSpec

ROUNDS = 5
SECONDS = 240.0
BATCHES = 8
"""Of a turn, four for each thread at least. It is a whole pass: what other processes decoded during someone else's
would come for nothing."""


def measure(spec: RunSpec, data: Data, files: ImageFiles, short_side: int, device: torch.device) -> Iterator[Row]:
    """A row for each way in which the same pictures come, and for training on them: pictures per second of the clock.

    `stored`: by index from the decoded store; `decoded`: from their files in this process; `ahead`: from their files by
    processes of their own, started and ended with each turn (bench.ahead). `data` is of a decoded store, `files` and
    `short_side` are what its training split was made from, all of them.
    """
    streamed = _streamed(data, files, short_side)
    batch, batches = spec.protocol.batch_size, max(BATCHES, 4 * torch.get_num_threads())
    rows = torch.split(torch.arange(min(batches * batch, len(data.train))), batch)
    turns = {
        "stored": lambda: [data.train.canvases(part) for part in rows],
        "decoded": lambda: [streamed.train.canvases(part) for part in rows],
        "ahead": lambda: list(streamed.train.stream(rows)),
        "steps, stored": _steps(Trainer(spec, data, device), batches),
        "steps, ahead": _steps(Trainer(spec, streamed, device), batches),
    }
    contenders = {name: repeated(turn) for name, turn in turns.items()}
    for name, times in take_turns(contenders, device, ROUNDS, SECONDS, calls_on_gpu=1).items():
        numbers = times.numbers()
        pictures = batches * batch if name.startswith("steps") else sum(map(len, rows))
        rate = 1e3 * pictures / numbers["wall_ms"]
        yield {"what": "stream", "name": name, **described_by(spec), **numbers, "pictures_per_second": rate}


def _streamed(data: Data, files: ImageFiles, short_side: int) -> Data:
    """The same data with training pictures that are decoded from `files`."""
    split = data.train.split
    images = StreamedCanvases(paths_array(files.paths), split.sizes, short_side)
    return replace(data, train=replace(data.train, split=replace(split, images=images), resident=None))


def _steps(trainer: Trainer, batches: int) -> Callable[[], None]:
    def turn() -> None:
        trainer.batches.total_steps = trainer.progress.step + batches  # no picture is decoded beyond the turn
        trainer.measure_step(batches)
        trainer.batches.end_ahead()

    return turn
