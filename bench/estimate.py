"""What a plan would cost: a few real steps of every kind of run, timed on this machine."""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from bench.data import load
from bench.datasets._store import open_store
from bench.evaluate.features import extract
from bench.hardware import cores, prepare_process, reset_peak_memory
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


def print_estimate(
    specs: Sequence[RunSpec], output: Path, data_root: Path, store_root: Path | None, device: torch.device, jobs: int
) -> None:
    """Print each run with its state and estimated time and memory, and the total of what is left."""
    prepare_process(device, max(1, cores() // jobs))
    estimates: dict[str, Estimate] = {}
    left, streamed = 0.0, False
    for spec in specs:
        result = RunFolder(output, spec.id).result()
        if result is not None and result["status"] != "failed":
            print(f"{spec.id}  {result['status']}")
            continue
        kind = _kind(spec)
        if kind not in estimates:
            trainer = _trainer(spec, data_root, store_root, device)
            streamed |= trainer.data.train.come_ahead
            estimates[kind] = estimate(trainer, time.perf_counter)
        own = estimates[kind]
        print(f"{spec.id}  about {own.seconds:.0f} s, {own.features:.0f} s of it features; {own.memory_mib:.0f} MiB")
        left += own.seconds
    print(
        f"Left: about {left / jobs / 60:.1f} minutes with {jobs} at a time (an estimate from {TIMED_STEPS} steps and "
        f"the features and the geometry of {PICTURES} pictures each; fitting the classifiers is not included)."
    )
    if streamed:
        print(
            "Pictures come from other processes, some batches ahead: should decoding take longer, it is not seen here."
        )


def _kind(spec: RunSpec) -> str:
    """Same for runs that cost the same: which differ in seeds, or in numbers that are multiplied with."""
    canonical = spec.canonical()
    for name in ("seed", "seeds", "recipe"):
        del canonical[name]
    config = canonical["method"]["config"]
    canonical["method"]["config"] = {key: value for key, value in config.items() if not isinstance(value, float)}
    canonical["optimizer"] = spec.protocol.optimizer.name
    return json.dumps(canonical, sort_keys=True)


def estimate(trainer: Trainer, clock: Callable[[], float]) -> Estimate:
    """What the rest of a run would take by `clock`, from a few steps of it."""
    reset_peak_memory(trainer.device)
    pretraining = _step_seconds(trainer, clock) * trainer.total_steps
    memory = trainer.peak_memory_mib()
    data, protocol = trainer.data, trainer.spec.protocol
    rows = torch.arange(min(PICTURES, len(data.train)), device=data.train.device)

    def features() -> None:
        of_rows = extract(
            trainer.method.encoder, data.train, protocol.image_size, data.mean, data.std, protocol.precision, rows
        )
        of_rows.sum().item()  # waits for the device

    seen, epochs = len(data.train) + len(data.validation), trainer.total_steps // trainer.steps_per_epoch
    points = min(protocol.evaluate.curve_points, epochs)
    before = max(0, points - 1)  # the evaluation takes the features of the curve's last point
    pictures = seen * before + seen + len(data.test) * protocol.evaluate.test
    of_geometry = min(CURVE_IMAGES, len(data.train)) * before + min(GEOMETRY_IMAGES, len(data.train))
    seconds = _warm_seconds(features, clock) / len(rows) * pictures
    seconds += _warm_seconds(lambda: geometry(trainer, pictured(trainer, len(rows))), clock) / len(rows) * of_geometry
    return Estimate(pretraining, seconds, memory)


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
    trainer = _trainer(spec, data_root, store_root, device)
    return _step_seconds(trainer, clock) * trainer.total_steps


def _trainer(spec: RunSpec, data_root: Path, store_root: Path | None, device: torch.device) -> Trainer:
    store = open_store(open_dataset(spec.dataset.name), data_root, store_root)
    return Trainer(spec, load(store, device), device)


def _step_seconds(trainer: Trainer, clock: Callable[[], float]) -> float:
    times = []
    for _ in range(min(trainer.total_steps, WARM_UP_STEPS + TIMED_STEPS)):
        start = clock()
        trainer.measure_step()
        times.append(clock() - start)
    return statistics.median(times[WARM_UP_STEPS:] or times)
