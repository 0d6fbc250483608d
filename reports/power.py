"""What a number of seeds can show: the smallest detectable difference, and the seeds that a difference needs.

Both for a two-sided two-sample t test at alpha .05 with 80 % power and equal true standard deviations. With an
estimated standard deviation the results are estimates themselves.
"""

from __future__ import annotations

import math
from functools import lru_cache

from scipy import optimize, stats

from bench.reports.statistics import ALPHA

POWER = 0.8
MOST_SEEDS = 1000
"""Beyond this number of seeds on each side a difference counts as out of reach."""


def smallest_detectable_difference(n: int, sd: float) -> float:
    """Difference of means that n >= 2 runs on each side with true standard deviation `sd` show, in `sd`'s unit."""
    return _detectable_effect(n) * sd


def seeds_needed(difference: float, sd: float) -> int | None:
    """Fewest runs n >= 2 on each side that show `difference`; None for more than MOST_SEEDS (no difference, say)."""
    if sd == 0:
        return 2 if difference else None
    effect = abs(difference) / sd
    if effect < _detectable_effect(MOST_SEEDS):
        return None
    low, high = 1, MOST_SEEDS  # `high` runs suffice, `low` do not
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if _detectable_effect(middle) <= effect else (middle, high)
    return high


@lru_cache(maxsize=MOST_SEEDS)
def _detectable_effect(n: int) -> float:
    degrees_of_freedom = 2 * n - 2
    critical = stats.t.ppf(1 - ALPHA / 2, degrees_of_freedom)

    def missing_power(shift: float) -> float:
        return POWER - float(stats.nct.sf(critical, degrees_of_freedom, shift))  # the wrong tail is under 1e-8 here

    # T = (Z + shift) / S exceeds `critical` with at least 0.9 * 0.9 once Z and S are allowed their 10 % worst cases.
    largest = critical * math.sqrt(stats.chi2.ppf(0.9, degrees_of_freedom) / degrees_of_freedom) + stats.norm.ppf(0.9)
    return float(optimize.brentq(missing_power, 0.0, largest)) / math.sqrt(n / 2)
