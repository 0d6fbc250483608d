"""What a plan would cost: a few real steps of every kind of run, timed on this machine."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from bench.data import load
from bench.datasets._store import open_store
from bench.hardware import cores, prepare_process
from bench.plan import open_dataset
from bench.pretrain import Trainer
from bench.spec import RunSpec
from bench.store import RunFolder

WARM_UP_STEPS = 2
TIMED_STEPS = 3


def print_estimate(
    specs: Sequence[RunSpec], output: Path, data_root: Path, store_root: Path | None, device: torch.device, jobs: int
) -> None:
    """Print each run with its state and estimated pretraining time, and the total of what is left."""
    prepare_process(device, max(1, cores() // jobs))
    seconds: dict[str, float] = {}
    left = 0.0
    for spec in specs:
        result = RunFolder(output, spec.id).result()
        if result is not None and result["status"] != "failed":
            print(f"{spec.id}  {result['status']}")
            continue
        kind = spec.id.rpartition("/")[0]
        if kind not in seconds:
            seconds[kind] = pretraining_seconds(spec, data_root, store_root, device, time.perf_counter)
        print(f"{spec.id}  about {seconds[kind]:.0f} s")
        left += seconds[kind]
    print(
        f"Left: about {left / jobs / 60:.1f} minutes of pretraining with {jobs} at a time (an estimate from "
        f"{TIMED_STEPS} steps each; evaluation not included)."
    )


def pretraining_seconds(
    spec: RunSpec, data_root: Path, store_root: Path | None, device: torch.device, clock: Callable[[], float]
) -> float:
    """Estimated seconds, by `clock`, of a run's pretraining alone."""
    store = open_store(open_dataset(spec.dataset.name), data_root, store_root)
    trainer = Trainer(spec, load(store, device), device)
    times = []
    for _ in range(min(trainer.total_steps, WARM_UP_STEPS + TIMED_STEPS)):
        start = clock()
        trainer.measure_step()
        times.append(clock() - start)
    return statistics.median(times[WARM_UP_STEPS:] or times) * trainer.total_steps
