"""Pretraining in one process and in several that share its batches: pictures per second of whole runs."""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from tqdm import tqdm

from bench import group, local
from bench.cost.clock import quartiles
from bench.cost.predictions import CHECKPOINT_SECONDS
from bench.cost.record import Row, described_by
from bench.hardware import cores
from bench.plan import has_equal_shares
from bench.spec import RunSpec
from bench.store import RunFolder

ROUNDS, EPOCHS = 3, 3


def measure(spec: RunSpec, data_root: Path, store_root: Path | None, device: torch.device) -> Iterator[Row]:
    """A row for 1, 2, 4, ... processes that can share a batch equally and have a core, or a GPU, each.

    Pictures per second of pretraining by the clock (median and quartiles of ROUNDS runs, in which all numbers of
    processes take turns; of each the median over its epochs but the first) and the peak memory of process 0. The runs
    are those of `run --processes N`, always of EPOCHS epochs, in a folder that is removed; cores are divided as there.
    """
    places = cores() if device.type == "cpu" else max(1, len(group.gpus(str(device))))
    batch, parts = spec.protocol.batch_size, spec.protocol.accumulate
    powers = [2**power for power in range(places.bit_length())]
    numbers = [number for number in powers if has_equal_shares(batch, parts, number)]
    costs: dict[int, list[Row]] = {number: [] for number in numbers}
    with tempfile.TemporaryDirectory() as folder:
        for done in tqdm(range(ROUNDS), desc="processes", unit="round", disable=None, delay=2):
            for number in numbers if done % 2 == 0 else reversed(numbers):
                execution = local.Execution(
                    output=Path(folder),
                    data_root=data_root,
                    store_root=store_root,
                    device=str(device),
                    jobs=1,
                    threads=_threads(number),
                    checkpoint_seconds=CHECKPOINT_SECONDS,
                    tensorboard=False,
                )
                costs[number] += _costs(_short(spec, number, done), execution)
    for number, found in costs.items():
        if not found:
            print(f"processes: not measured with {number}, whose runs did not complete.")
            continue
        rates = [cost["images_per_second"] for cost in found]
        low, high = quartiles(rates)
        yield {
            "what": "processes",
            **described_by(spec),
            "processes": number,
            "threads": _threads(number),
            "images_per_second": statistics.median(rates),
            "images_per_second_low": low,
            "images_per_second_high": high,
            "memory_mib": max(cost["peak_memory_mib"] for cost in found),
            "rounds": len(found),
        }


def _costs(spec: RunSpec, execution: local.Execution) -> list[Row]:
    """What the run's result.json says that it took; nothing where it does not complete."""
    local.run([spec], execution, fresh=False)
    result = RunFolder(execution.output, spec.id).result()
    return [result["cost"]] if result is not None and result["status"] == "completed" else []


def _threads(processes: int) -> int:
    return max(1, cores() // processes)


def _short(spec: RunSpec, processes: int, seed: int) -> RunSpec:
    evaluate = dataclasses.replace(spec.protocol.evaluate, curve_points=1, test=False)
    protocol = dataclasses.replace(spec.protocol, epochs=EPOCHS, evaluate=evaluate)
    return dataclasses.replace(spec, world_size=processes, protocol=protocol, seed=seed)
