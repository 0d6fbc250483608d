"""What a number of seeds can show: the smallest detectable difference, and the seeds that a difference needs.

Both for a two-sided t test at alpha .05 with 80 % power of a sum or difference of `groups` independent means of n runs
each with equal true standard deviations: 2 for a difference of means, 4 for a difference of such differences, and 1
for runs that are paired by seed, whose differences are one sample. With an estimated standard deviation the results
are estimates themselves.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from scipy import optimize, stats

from bench.reports import text
from bench.reports.statistics import ALPHA, pooled_sd

POWER = 0.8
MOST_SEEDS = 1000
"""Beyond this number of seeds on each side a difference counts as out of reach."""
PAIRED = 1
_TESTS = {
    PAIRED: ("the smallest difference of paired means", "pairs", "paired t test"),
    2: ("the smallest difference between two means", "each", "two-sample t test"),
    4: ("the smallest difference of two differences", "each", "t test of four means"),
}


def smallest_detectable_difference(n: int, sd: float, groups: int = 2) -> float:
    """What n >= 2 runs in each group with true standard deviation `sd` show, in the unit of `sd`."""
    return _detectable_effect(n, groups) * sd


def detectable(samples: Sequence[Sequence[float]], groups: int = 2) -> dict[int, float]:
    """`smallest_detectable_difference` by n, for the largest and the smallest of the samples' sizes above 1.

    From the pooled standard deviation of samples in any unit, fractions or others; empty where there is no spread.
    """
    several = [sample for sample in samples if len(sample) > 1]
    sd = pooled_sd(several) if several else None
    counts = {max(map(len, several)), min(map(len, several))} if sd else set()
    return {n: smallest_detectable_difference(n, sd or 0.0, groups) for n in sorted(counts, reverse=True)}


def points(found: dict[int, float], decimals: int = 1) -> list[str]:
    """`1.5 points with n = 3`, an entry for each n of `detectable` (fractions)."""
    return [f"{text.percent(size, decimals)} points with n = {n}" for n, size in found.items()]


def detectable_note(sizes: Sequence[str], spread: str, correction: str, groups: int = 2) -> str:
    """The line under a table: `sizes` in words, `spread` says whose, `correction` what the test does not count in."""
    if not sizes:
        return f"No spread between seeds is known of {spread}: no difference here can be told from seed noise."
    what, each, test = _TESTS[groups]
    return (
        f"Estimate from the pooled standard deviation of {spread}: {what} that is found with 80 % probability is "
        f"{text.listed(sizes)} {each} ({test}, α = 0.05, before {correction}); smaller ones are found less often."
    )


def seeds_needed(difference: float, sd: float, groups: int = 2) -> int | None:
    """Fewest runs n >= 2 in each group that show `difference`; None for more than MOST_SEEDS (no difference, say)."""
    if sd == 0:
        return 2 if difference else None
    effect = abs(difference) / sd
    if effect < _detectable_effect(MOST_SEEDS, groups):
        return None
    low, high = 1, MOST_SEEDS  # `high` runs suffice, `low` do not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _detectable_effect(middle, groups) <= effect else (middle, high)
    return high


def runs_needed(distances: Sequence[float], error: float, freedom: float, n: int, level: float) -> int | None:
    """Fewest runs in each group, more than the n there were, with which one-sided tests at `level` have 80 % power.

    Each is of an estimate that lies `distances` beyond its bound; all have to reject (of several a lower bound of the
    power, which is near it where it is large). With n runs a side their standard error was `error` with `freedom`
    degrees: it shrinks with the root of n, the degrees grow with n - 1. None for more than MOST_SEEDS.
    """
    if min(distances) <= 0:
        return None

    def power(runs: int) -> float:
        own_error, own_freedom = error * math.sqrt(n / runs), freedom * (runs - 1) / (n - 1)
        critical = stats.t.ppf(1 - level, own_freedom)
        found = stats.nct.sf(critical, own_freedom, [distance / own_error for distance in distances])
        return float(np.sum(found)) - (len(distances) - 1)

    if power(MOST_SEEDS) < POWER:
        return None
    if power(n) >= POWER:
        return n + 1  # they had the power and missed all the same
    low, high = n, MOST_SEEDS  # `high` runs suffice
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high


@lru_cache(maxsize=3 * MOST_SEEDS)
def _detectable_effect(n: int, groups: int) -> float:
    """In units of the standard deviation of one run."""
    degrees_of_freedom = groups * (n - 1)
    critical = stats.t.ppf(1 - ALPHA / 2, degrees_of_freedom)

    def missing_power(shift: float) -> float:
        return POWER - float(stats.nct.sf(critical, degrees_of_freedom, shift))  # the wrong tail is under 1e-8 here

    # T = (Z + shift) / S exceeds `critical` with at least 0.9 * 0.9 once Z and S are allowed their 10 % worst cases.
    largest = critical * math.sqrt(stats.chi2.ppf(0.9, degrees_of_freedom) / degrees_of_freedom) + stats.norm.ppf(0.9)
    return float(optimize.brentq(missing_power, 0.0, largest)) / math.sqrt(n / groups)
