"""Statistics of a comparison over seeds: pure functions of one array of scores per method, checked against SciPy.

Intervals rest on Student's t, which keeps its 95 % at the 3 to 5 runs of a usual experiment, where a bootstrap does
not. Results that the data cannot give (a spread from one run, a test without any spread) are None, never 0 or NaN.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special, stats

CONFIDENCE = 0.95
ALPHA = 0.05

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
    """Mean of `a` less mean of `b`, with its 95 % interval, two-sided p, degrees of freedom and standard error.

    The last four are None where either side has one run or nothing has any spread: no test exists there.
    """

    difference: float
    interval: Interval | None = None
    p: float | None = None
    degrees_of_freedom: float | None = None
    error: float | None = None


@dataclass(frozen=True)
class Paired:
    """A paired difference over `n` pairs and Pearson's correlation between the sides (None without a spread)."""

    n: int
    difference: Difference
    correlation: float | None


def summary(values: ArrayLike) -> Summary:
    """Summary of a one-dimensional array. Raises ValueError when it is empty or holds a non-finite value."""
    array = checked(values)
    mean, variance = mean_and_variance(array)
    sd = None if variance is None else math.sqrt(variance)
    interval = None
    if sd:
        half_width = stats.t.ppf((1 + CONFIDENCE) / 2, len(array) - 1) * sd / math.sqrt(len(array))
        interval = (float(mean - half_width), float(mean + half_width))
    return Summary(len(array), mean, sd, interval, float(np.median(array)), float(array.min()))


def welch(a: ArrayLike, b: ArrayLike) -> Difference:
    """Welch's t test: variances may differ; degrees of freedom after Satterthwaite. ValueError as in `summary`."""
    return linear_contrast([a, b], [1.0, -1.0])


def linear_contrast(groups: Sequence[ArrayLike], weights: Sequence[float]) -> Difference:
    """Welch's test of sum_i w_i mean_i over independent groups, with Satterthwaite's degrees of freedom.

    Differences of differences are (1, -1, -1, 1). Raises ValueError for a group as in `summary`, and unless there is
    one weight for each.
    """
    arrays = [checked(group) for group in groups]
    moments = [mean_and_variance(array) for array in arrays]
    value = sum(weight * mean for weight, (mean, _) in zip(weights, moments, strict=True))
    if any(variance is None for _, variance in moments):
        return Difference(value)
    parts = [
        weight**2 * (variance or 0.0) / len(array)
        for weight, (_, variance), array in zip(weights, moments, arrays, strict=True)
    ]
    squared_error = sum(parts)
    if squared_error == 0:
        return Difference(value)
    shares = [part / squared_error for part in parts]
    degrees_of_freedom = 1 / sum(share**2 / (len(array) - 1) for share, array in zip(shares, arrays, strict=True))
    return _tested(value, math.sqrt(squared_error), degrees_of_freedom)


def paired(a: ArrayLike, b: ArrayLike) -> Paired:
    """Student's t test of the differences of pairs, for a pairing that was declared before the results were seen.

    At n = 5 it is sharper than Welch's test only where the sides correlate by more than 0.31, since the pairing costs
    half the degrees of freedom. Raises ValueError for sides of different lengths, and as in `summary`.
    """
    a, b = checked(a), checked(b)
    if len(a) != len(b):
        raise ValueError(f"pairs need sides of one length, not {len(a)} and {len(b)}")
    mean, variance = mean_and_variance(a - b)
    spread = len(set(a)) > 1 and len(set(b)) > 1
    correlation = float(np.corrcoef(a, b)[0, 1]) if spread else None
    if not variance or np.ptp(a - b) <= 1e-12 * np.abs([a, b]).max():  # equal differences, but for rounding
        return Paired(len(a), Difference(mean), correlation)
    return Paired(len(a), _tested(mean, math.sqrt(variance / len(a)), len(a) - 1), correlation)


def probability_of_improvement(a: ArrayLike, b: ArrayLike) -> float:
    """Share of pairs (a run of `a`, a run of `b`) in which `a` scores higher; a tie counts half (Mann-Whitney U / nm).

    The estimate for one data set of Agarwal et al. (2021, arXiv 2108.13264), section 4.3.
    """
    a, b = checked(a), checked(b)
    return float(np.mean((a[:, None] > b) + 0.5 * (a[:, None] == b)))


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
    a, b = checked(a), checked(b)
    sd = pooled_sd([a, b])
    if len(a) < 2 or len(b) < 2 or not sd:
        return None
    m = len(a) + len(b) - 2
    correction = math.exp(special.gammaln(m / 2) - special.gammaln((m - 1) / 2)) / math.sqrt(m / 2)
    return correction * (summary(a).mean - summary(b).mean) / sd


def sd_interval(sd: float, degrees_of_freedom: float) -> Interval:
    """95 % interval of a standard deviation estimated with so many degrees of freedom, by the chi-squared law."""
    low, high = stats.chi2.ppf([(1 + CONFIDENCE) / 2, (1 - CONFIDENCE) / 2], degrees_of_freedom)
    return sd * math.sqrt(degrees_of_freedom / low), sd * math.sqrt(degrees_of_freedom / high)


def pooled_sd(groups: Sequence[ArrayLike]) -> float | None:
    """Root of the variances' mean weighted by degrees of freedom; None where no group has two values."""
    arrays = [checked(group) for group in groups]
    degrees_of_freedom = sum(len(array) - 1 for array in arrays)
    if degrees_of_freedom == 0:
        return None
    squares = sum((len(array) - 1) * (mean_and_variance(array)[1] or 0.0) for array in arrays)
    return math.sqrt(squares / degrees_of_freedom)


def checked(values: ArrayLike) -> NDArray[np.float64]:
    """`values` as a one-dimensional array. Raises ValueError when it is empty or holds a non-finite value."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"scores must be a non-empty one-dimensional array of finite numbers, not {values!r}")
    return array


def mean_and_variance(array: NDArray[np.float64]) -> tuple[float, float | None]:
    """Mean and variance (ddof = 1, None for one value); exactly 0 for equal values, which rounding would spoil."""
    if array.min() == array.max():
        return float(array[0]), None if array.size == 1 else 0.0
    return float(array.mean()), float(array.var(ddof=1))


def _tested(difference: float, error: float, degrees_of_freedom: float) -> Difference:
    half_width = stats.t.ppf((1 + CONFIDENCE) / 2, degrees_of_freedom) * error
    p = 2 * stats.t.sf(abs(difference) / error, degrees_of_freedom)
    interval = (float(difference - half_width), float(difference + half_width))
    return Difference(difference, interval, float(p), degrees_of_freedom, error)
