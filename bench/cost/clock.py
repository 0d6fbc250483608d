"""Timing: warm-up, then rounds in which all contenders take turns, so that a busy machine disturbs all alike."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from tqdm import tqdm

WARM_UP = 2
"""Calls of each contender before anything is timed: lazy allocations, kernel selection, caches."""
CALLS_ON_GPU = 10
"""Calls between two waits for a GPU: one alone would show the wait instead of the work."""
FEWEST_ROUNDS = 3

Contender = Callable[[int], object]
"""Does its work so many times, without waiting for a GPU in between."""


def repeated(call: Callable[[], object]) -> Contender:
    """`call` as a contender."""

    def repeat(count: int) -> None:
        for _ in range(count):
            call()

    return repeat


@dataclass(frozen=True)
class Times:
    """Seconds per call in each round: `wall` by the monotonic clock, `cpu` of all threads of this process.

    On a machine that others use too, CPU seconds are what a contender costs, and wall seconds what it happened to
    take. On a GPU they are the time in which Python kept it busy.
    """

    wall: tuple[float, ...]
    cpu: tuple[float, ...]

    def numbers(self) -> dict[str, float | int]:
        """Medians and quartiles in milliseconds, and the number of rounds, as a row keeps them."""
        row: dict[str, float | int] = {}
        for clock, seconds in (("wall_ms", self.wall), ("cpu_ms", self.cpu)):
            low, high = quartiles(seconds)
            row |= {clock: 1e3 * statistics.median(seconds), f"{clock}_low": 1e3 * low, f"{clock}_high": 1e3 * high}
        return {**row, "rounds": len(self.wall)}


def take_turns(
    contenders: Mapping[str, Contender],
    device: torch.device,
    rounds: int,
    seconds: float = float("inf"),
    calls_on_gpu: int = CALLS_ON_GPU,
) -> dict[str, Times]:
    """Time every contender once a round, in an order that is reversed from round to round.

    Ends after `rounds` rounds, or after the round in which `seconds` (of this process, on a GPU of the clock) have been
    spent, but not before three, or one where that one has spent them. On a GPU a contender's turn is `calls_on_gpu`
    calls between two waits.
    """
    calls, clock = (calls_on_gpu, time.perf_counter) if device.type == "cuda" else (1, time.process_time)
    started = clock()
    for contender in contenders.values():
        for _ in range(WARM_UP):
            contender(1)
            if clock() - started > seconds:
                break
    wait(device)
    wall: dict[str, list[float]] = {name: [] for name in contenders}
    cpu: dict[str, list[float]] = {name: [] for name in contenders}
    names = list(contenders)
    started = clock()
    for done in tqdm(range(rounds), desc="rounds", disable=None, delay=2, leave=False):
        spent = clock() - started
        if done and spent > seconds and (done >= FEWEST_ROUNDS or done * seconds < spent):
            break
        for name in names if done % 2 == 0 else reversed(names):
            wall_start, cpu_start = time.perf_counter(), time.process_time()
            contenders[name](calls)
            wait(device)
            wall[name].append((time.perf_counter() - wall_start) / calls)
            cpu[name].append((time.process_time() - cpu_start) / calls)
    return {name: Times(tuple(wall[name]), tuple(cpu[name])) for name in names}


def paired_ratio(first: Times, second: Times, device: torch.device) -> dict[str, float]:
    """Median over rounds of first / second with its quartiles: CPU seconds on a CPU, wall seconds on a GPU."""
    kind = "wall" if device.type == "cuda" else "cpu"
    pairs = zip(getattr(first, kind), getattr(second, kind), strict=True)
    ratios = [a / b for a, b in pairs]
    low, high = quartiles(ratios)
    return {"ratio": statistics.median(ratios), "ratio_low": low, "ratio_high": high}


def quartiles(values: Sequence[float]) -> tuple[float, float]:
    """First and third quartile; of a single value that value."""
    if len(values) == 1:
        return values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, high


def wait(device: torch.device) -> None:
    """Until a GPU has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
