"""Statistics of a comparison over seeds: pure functions of one array of scores per method, checked against SciPy.

Intervals rest on Student's t, which keeps its 95 % at the 3 to 5 runs of a usual experiment, where a bootstrap does
not. Results that the data cannot give (a spread from one run, a test without any spread) are None, never 0 or NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import optimize, special, stats

CONFIDENCE = 0.95
ALPHA = 0.05
POWER = 0.8

Interval = tuple[float, float]


@dataclass(frozen=True)
class Summary:
    """Scores of n runs: `sd` has ddof = 1, `interval` is the 95 % t interval of the mean.

    `sd` is None for n = 1; `interval` is None for n = 1 and where all values are equal (it would have no width).
    """

    n: int
    mean: float
    sd: float | None
    interval: Interval | None
    median: float
    minimum: float


@dataclass(frozen=True)
class Difference:
    """Mean of `a` less mean of `b`, with Welch's 95 % interval, two-sided p and degrees of freedom.

    The last three are None where either side has one run or neither side has any spread: no test exists there.
    """

    difference: float
    interval: Interval | None = None
    p: float | None = None
    degrees_of_freedom: float | None = None


def summary(values: ArrayLike) -> Summary:
    """Summary of a one-dimensional array. Raises ValueError when it is empty or holds a non-finite value."""
    array = _checked(values)
    mean, variance = _mean_and_variance(array)
    sd = None if variance is None else math.sqrt(variance)
    interval = None
    if sd:
        half_width = stats.t.ppf((1 + CONFIDENCE) / 2, len(array) - 1) * sd / math.sqrt(len(array))
        interval = (float(mean - half_width), float(mean + half_width))
    return Summary(len(array), mean, sd, interval, float(np.median(array)), float(array.min()))


def welch(a: ArrayLike, b: ArrayLike) -> Difference:
    """Welch's t test: variances may differ; degrees of freedom after Satterthwaite. ValueError as in `summary`."""
    a, b = _checked(a), _checked(b)
    (mean_a, variance_a), (mean_b, variance_b) = _mean_and_variance(a), _mean_and_variance(b)
    difference = mean_a - mean_b
    if variance_a is None or variance_b is None:
        return Difference(difference)
    squared_error = variance_a / len(a) + variance_b / len(b)
    if squared_error == 0:
        return Difference(difference)
    share = variance_a / len(a) / squared_error
    degrees_of_freedom = 1 / (share**2 / (len(a) - 1) + (1 - share) ** 2 / (len(b) - 1))
    error = math.sqrt(squared_error)
    half_width = stats.t.ppf((1 + CONFIDENCE) / 2, degrees_of_freedom) * error
    p = 2 * stats.t.sf(abs(difference) / error, degrees_of_freedom)
    interval = (float(difference - half_width), float(difference + half_width))
    return Difference(difference, interval, float(p), degrees_of_freedom)


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """Holm's step-down adjustment over the family of all p that exist; None stays None and does not count."""
    tested = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    running = 0.0
    for rank, (p, index) in enumerate(tested):
        running = max(running, min(1.0, (len(tested) - rank) * p))
        adjusted[index] = running
    return adjusted


def wilson(successes: int, n: int) -> Interval:
    """Wilson's 95 % interval of a success rate, as fractions. Raises ValueError unless 0 <= successes <= n, n >= 1."""
    interval = stats.binomtest(successes, n).proportion_ci(CONFIDENCE, method="wilson")
    return float(interval.low), float(interval.high)


def hedges_g(a: ArrayLike, b: ArrayLike) -> float | None:
    """Difference of means in units of the pooled sd, with the exact small-sample correction (Hedges 1981, eq. 6e).

    None where either side has one run or neither side has any spread.
    """
    a, b = _checked(a), _checked(b)
    sd = pooled_sd([a, b])
    if len(a) < 2 or len(b) < 2 or not sd:
        return None
    m = len(a) + len(b) - 2
    correction = math.exp(special.gammaln(m / 2) - special.gammaln((m - 1) / 2)) / math.sqrt(m / 2)
    return correction * (summary(a).mean - summary(b).mean) / sd


def pooled_sd(groups: Sequence[ArrayLike]) -> float | None:
    """Root of the variances' mean weighted by degrees of freedom; None where no group has two values."""
    arrays = [_checked(group) for group in groups]
    degrees_of_freedom = sum(len(array) - 1 for array in arrays)
    if degrees_of_freedom == 0:
        return None
    squares = sum((len(array) - 1) * (_mean_and_variance(array)[1] or 0.0) for array in arrays)
    return math.sqrt(squares / degrees_of_freedom)


def smallest_detectable_difference(n: int, sd: float) -> float:
    """Difference of means that a two-sided two-sample t test at alpha .05 finds with 80 % power, in units of `sd`'s.

    For n >= 2 runs on each side whose true standard deviation is `sd`; with an estimated sd the result is an estimate.
    """
    return _detectable_effect(n) * sd


@lru_cache
def _detectable_effect(n: int) -> float:
    degrees_of_freedom = 2 * n - 2
    critical = stats.t.ppf(1 - ALPHA / 2, degrees_of_freedom)

    def missing_power(shift: float) -> float:
        return POWER - float(stats.nct.sf(critical, degrees_of_freedom, shift))  # the wrong tail is under 1e-8 here

    # T = (Z + shift) / S exceeds `critical` with at least 0.9 * 0.9 once Z and S are allowed their 10 % worst cases.
    largest = critical * math.sqrt(stats.chi2.ppf(0.9, degrees_of_freedom) / degrees_of_freedom) + stats.norm.ppf(0.9)
    return float(optimize.brentq(missing_power, 0.0, largest)) / math.sqrt(n / 2)


def _checked(values: ArrayLike) -> NDArray[np.float64]:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"scores must be a non-empty one-dimensional array of finite numbers, not {values!r}")
    return array


def _mean_and_variance(array: NDArray[np.float64]) -> tuple[float, float | None]:
    """Mean and variance (ddof = 1, None for one value); exactly 0 for equal values, which rounding would spoil."""
    if array.min() == array.max():
        return float(array[0]), None if array.size == 1 else 0.0
    return float(array.mean()), float(array.var(ddof=1))
