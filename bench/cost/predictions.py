"""What `--dry-run` predicts of runs, beside what the same runs then take."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from bench.cost.record import Row, described_by
from bench.data import Data
from bench.estimate import Measured
from bench.pretrain import Trainer
from bench.run import Settings, execute
from bench.spec import RunSpec
from bench.store import RunFolder

CHECKPOINT_SECONDS = 120.0
"""As `run` has it."""


def measure(specs: Sequence[RunSpec], data: Data, device: torch.device) -> Iterator[Row]:
    """A row for every run that completes: seconds and memory as predicted, and as in its result.json; `ratio` and
    `memory_ratio` of the former to the latter.

    Runs are carried out one after the other in this process, whole, in a folder that is removed. Of what a run takes,
    the prediction leaves out the fit of the classifiers and checkpoints.
    """
    measured = Measured()
    with tempfile.TemporaryDirectory() as folder:
        settings = Settings(Path(folder), device, torch.get_num_threads(), CHECKPOINT_SECONDS)
        for spec in tqdm(specs, desc="predictions", unit="run", disable=None, delay=2):
            expected = measured.estimate(Trainer(spec, data, device))
            result = _carried_out(spec, data, settings)
            if result["status"] != "completed":
                tqdm.write(f"predictions: not compared for {spec.id}, which {result['status']}: {result['reason']}")
                continue
            taken = result["cost"]
            yield {
                "what": "predictions",
                **described_by(spec),
                "epochs": spec.protocol.epochs,
                "predicted_seconds": expected.seconds,
                "seconds": taken["seconds"],
                "ratio": expected.seconds / taken["seconds"],
                "predicted_pretraining": expected.pretraining,
                "pretraining": taken["seconds_pretrain"],
                "predicted_memory_mib": expected.memory_mib,
                "memory_mib": taken["peak_memory_mib"],
                "memory_ratio": expected.memory_mib / taken["peak_memory_mib"],
            }


def _carried_out(spec: RunSpec, data: Data, settings: Settings) -> Row:
    folder = RunFolder(settings.output, spec.id)
    folder.lock.acquire()
    try:
        execute(spec, data, folder, settings)
    finally:
        folder.lock.release()
    result = folder.result()
    assert result is not None  # every ending of `execute` writes one
    return result
