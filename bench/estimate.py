"""What a plan would cost: a few real steps of every kind of run, timed on this machine."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import torch

from bench.data import Data, load
from bench.datasets._store import open_store
from bench.evaluate.features import extract
from bench.hardware import prepare_process, reset_peak_memory
from bench.local import Execution
from bench.observe import CURVE_IMAGES, GEOMETRY_IMAGES, geometry, pictured
from bench.plan import open_dataset
from bench.pretrain import Trainer
from bench.spec import RunSpec
from bench.store import RunFolder

WARM_UP_STEPS = 2
TIMED_STEPS = 3
PICTURES = 512
"""Whose features are extracted to time it."""


@dataclass(frozen=True)
class Estimate:
    """Of one run: seconds of pretraining, seconds in which features are extracted for its curve, its scores and their
    geometry, and the peak memory of a step (as in result.json)."""

    pretraining: float
    features: float
    memory_mib: float

    @property
    def seconds(self) -> float:
        return self.pretraining + self.features


class Step(NamedTuple):
    """Seconds of a step, and the peak memory of some (as in result.json)."""

    seconds: float
    memory_mib: float


class Picture(NamedTuple):
    """Seconds of one picture's features, and of its part in the geometry of embeddings."""

    features: float
    geometry: float


NOT_OF_A_STEP = ("epochs", "evaluate")
NOT_OF_A_PICTURE = (*NOT_OF_A_STEP, "optimizer", "batch_size", "accumulate")
"""Fields of a run on which what a step, or a picture, costs does not hang."""


class Measured:
    """What was measured of runs so far: those that share steps or features share their measurements."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._steps: dict[str, Step] = {}
        self._pictures: dict[str, Picture] = {}

    def estimate(self, trainer: Trainer) -> Estimate:
        """What a run would take, from a few steps of it and the features of a few pictures."""
        step, picture = _kind(trainer.spec, NOT_OF_A_STEP), _kind(trainer.spec, NOT_OF_A_PICTURE)
        if step not in self._steps:
            reset_peak_memory(trainer.device)
            self._steps[step] = Step(_step_seconds(trainer, self._clock), trainer.peak_memory_mib())
        if picture not in self._pictures:
            self._pictures[picture] = _picture(trainer, self._clock)
        return _estimate(trainer, self._steps[step], self._pictures[picture])


def print_estimate(specs: Sequence[RunSpec], execution: Execution, device: torch.device) -> None:
    """Print each run with its state and estimated time and memory, and the total of what is left."""
    prepare_process(device, execution.threads)
    measured = Measured()
    estimates: dict[str, Estimate] = {}
    data: Data | None = None
    left, streamed = 0.0, False
    for spec in specs:
        result = RunFolder(execution.output, spec.id).result()
        if result is not None and result["status"] != "failed":
            print(f"{spec.id}  {result['status']}")
            continue
        kind = _kind(spec)
        if kind not in estimates:
            if data is None or data.store.key != spec.dataset.key:
                data = None  # a GPU has room for one at a time
                data = _data(spec.dataset.name, execution.data_root, execution.store_root, device)
            streamed |= data.train.come_ahead
            estimates[kind] = measured.estimate(Trainer(spec, data, device))
        own = estimates[kind]
        print(f"{spec.id}  about {own.seconds:.0f} s, {own.features:.0f} s of it features; {own.memory_mib:.0f} MiB")
        left += own.seconds
    print(
        f"Left: about {left / execution.jobs / 60:.1f} minutes with {execution.jobs} at a time (an estimate from "
        f"{TIMED_STEPS} steps and the features and the geometry of {PICTURES} pictures each; fitting the classifiers "
        "is not included)."
    )
    if any(spec.world_size > 1 for spec in specs):
        print(
            "Of a run in several processes one is measured with its share of each batch, and not what they exchange or "
            "do with the others' shares."
        )
    if streamed:
        print(
            "Pictures come from other processes, some batches ahead: should decoding take longer, it is not seen here."
        )


def _kind(spec: RunSpec, without: Sequence[str] = ()) -> str:
    """Same for runs that cost the same: which differ in seeds, in numbers that are multiplied with, or in the fields
    named in `without`."""
    canonical = spec.canonical()
    config = canonical["method"]["config"]
    canonical["method"]["config"] = {key: value for key, value in config.items() if not isinstance(value, float)}
    canonical["optimizer"] = spec.protocol.optimizer.name
    for name in ("seed", "seeds", "recipe", *without):
        del canonical[name]
    return json.dumps(canonical, sort_keys=True)


def _picture(trainer: Trainer, clock: Callable[[], float]) -> Picture:
    data, protocol = trainer.data, trainer.spec.protocol
    rows = torch.arange(min(PICTURES, len(data.train)), device=data.train.device)

    def features() -> None:
        of_rows = extract(
            trainer.method.encoder, data.train, protocol.image_size, data.mean, data.std, protocol.precision, rows
        )
        of_rows.sum().item()  # waits for the device

    of_geometry = _warm_seconds(lambda: geometry(trainer, pictured(trainer, len(rows))), clock)
    return Picture(_warm_seconds(features, clock) / len(rows), of_geometry / len(rows))


def _estimate(trainer: Trainer, step: Step, picture: Picture) -> Estimate:
    data, evaluation = trainer.data, trainer.spec.protocol.evaluate
    seen, epochs = len(data.train) + len(data.validation), trainer.total_steps // trainer.steps_per_epoch
    before = max(0, min(evaluation.curve_points, epochs) - 1)  # the evaluation takes the curve's last point's features
    pictures = seen * before + seen + len(data.test) * evaluation.test
    of_geometry = min(CURVE_IMAGES, len(data.train)) * before + min(GEOMETRY_IMAGES, len(data.train))
    seconds = picture.features * pictures + picture.geometry * of_geometry
    return Estimate(step.seconds * trainer.total_steps, seconds, step.memory_mib)


def _warm_seconds(call: Callable[[], object], clock: Callable[[], float]) -> float:
    """Of the second call; the first warms up."""
    call()
    start = clock()
    call()
    return clock() - start


def pretraining_seconds(
    spec: RunSpec, data_root: Path, store_root: Path | None, device: torch.device, clock: Callable[[], float]
) -> float:
    """Estimated seconds, by `clock`, of a run's pretraining alone."""
    trainer = Trainer(spec, _data(spec.dataset.name, data_root, store_root, device), device)
    return _step_seconds(trainer, clock) * trainer.total_steps


def _data(name: str, data_root: Path, store_root: Path | None, device: torch.device) -> Data:
    return load(open_store(open_dataset(name), data_root, store_root), device)


def _step_seconds(trainer: Trainer, clock: Callable[[], float]) -> float:
    times = []
    for _ in range(WARM_UP_STEPS + TIMED_STEPS):
        start = clock()
        trainer.measure_step()
        times.append(clock() - start)
    return statistics.median(times[WARM_UP_STEPS:])
