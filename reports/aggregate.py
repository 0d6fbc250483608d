"""Scores over several datasets: the aggregate measures of Agarwal et al. (2021, arXiv 2108.13264) and their bootstrap.

`Scores` holds one array of normalised scores per dataset, in a fixed order of datasets: 0 is the random encoder and
1 the supervised one. Where all arrays are equally long, every function gives what rliable gives for the same
(runs, tasks) array.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from bench.reports.statistics import CONFIDENCE, Interval, checked

DRAWS = 2000
Scores = Sequence[NDArray[np.float64]]
"""Arrays (..., runs); the axes in front, such as the draws of a bootstrap, are kept."""
Values = Any
"""A float, or an array of the axes in front."""


@dataclass(frozen=True)
class Estimate:
    """A value with its 95 % percentile interval; None where a dataset has one run, which says nothing of the spread, or
    every draw gave the same, as with runs that are all better than the others."""

    value: float
    interval: Interval | None


def normalised(scores: ArrayLike, random: float, supervised: float) -> NDArray[np.float64] | None:
    """Scores as shares of the way from the random to the supervised encoder; None where that way leads not up."""
    return (checked(scores) - random) / (supervised - random) if supervised > random else None


def interquartile_mean(scores: Scores) -> Values:
    """Mean of the middle half of all runs of all datasets together: a quarter, rounded down, is cut at each end."""
    return stats.trim_mean(np.concatenate(scores, axis=-1), 0.25, axis=-1)


def mean(scores: Scores) -> Values:
    """Mean over datasets of the means over runs."""
    return np.mean([array.mean(axis=-1) for array in scores], axis=0)


def optimality_gap(scores: Scores) -> Values:
    """How far scores fall short of the supervised encoder on average; what lies above it does not make up for it."""
    return 1 - mean([np.minimum(array, 1.0) for array in scores])


def improvement(a: Scores, b: Scores) -> Values:
    """Mean over datasets of the probability that a run of `a` scores higher than one of `b`; a tie counts half."""
    wins = [np.sign(x[..., :, None] - y[..., None, :]).mean(axis=(-2, -1)) for x, y in zip(a, b, strict=True)]
    return (1 + np.mean(wins, axis=0)) / 2


def performance_profile(scores: Scores, thresholds: Sequence[float]) -> NDArray[np.float64]:
    """Share of runs that score above each threshold, averaged over datasets (the run-score distribution)."""
    return np.mean([(array[:, None] > np.asarray(thresholds)).mean(axis=0) for array in scores], axis=0)


def bootstrap(measure: Callable[..., Values], *methods: Scores, seed: int = 0) -> Estimate:
    """`measure` of one method's scores, or of two methods', with its interval by the stratified bootstrap.

    Runs are drawn with replacement within each dataset, and for each method on its own; percentiles of DRAWS draws.
    """
    if any(array.shape[-1] < 2 for one in methods for array in one):
        return Estimate(float(measure(*methods)), None)
    generator = np.random.default_rng(seed)
    drawn = [[array[generator.integers(len(array), size=(DRAWS, len(array)))] for array in one] for one in methods]
    low, high = np.quantile(measure(*drawn), [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return Estimate(float(measure(*methods)), (float(low), float(high)) if low < high else None)
