"""The exact permutation test of a difference of means, and what it can say at all with few runs."""

from __future__ import annotations

import itertools
import math

import numpy as np
from numpy.typing import ArrayLike

from bench.reports.statistics import checked

MOST_SPLITS = 200_000
"""Splits that are enumerated: up to 10 runs on each side. With more runs the check adds nothing to Welch's test."""


def permutation_p(a: ArrayLike, b: ArrayLike) -> float | None:
    """Two-sided exact p: twice the smaller share of splits whose difference of means is as far out as the one seen.

    It assumes nothing about the scores' distribution, only that labels could be swapped if the methods were equal.
    None where there are more than MOST_SPLITS splits. Raises ValueError for empty or non-finite scores.
    """
    a, b = checked(a), checked(b)
    if math.comb(len(a) + len(b), len(a)) > MOST_SPLITS:
        return None
    scores = np.concatenate([a, b])
    splits = np.fromiter(
        itertools.chain.from_iterable(itertools.combinations(range(len(scores)), len(a))), dtype=np.intp
    ).reshape(-1, len(a))
    sums = scores[splits].sum(axis=1)  # at fixed sizes the sum of one side orders the differences of means
    slack = 1e-12 * np.abs(scores).sum()  # equal sums must count as equal whatever the order of adding
    low, high = np.mean(sums <= a.sum() + slack), np.mean(sums >= a.sum() - slack)
    return float(min(1.0, 2 * min(low, high)))


def smallest_p(n_a: int, n_b: int) -> float:
    """The smallest two-sided p that so many runs can give: 0.1 at 3 and 3, 0.0079 at 5 and 5; 1 without a run."""
    return min(1.0, 2 / math.comb(n_a + n_b, n_a))


def sign_flip_p(differences: ArrayLike) -> float | None:
    """The same for pairs: two-sided exact p over all signs that the paired differences could have had."""
    differences = checked(differences)
    if 2 ** len(differences) > MOST_SPLITS:
        return None
    signs = np.array(list(itertools.product((-1, 1), repeat=len(differences))))
    slack = 1e-12 * np.abs(differences).sum()
    return float(np.mean(np.abs(signs @ differences) >= abs(differences.sum()) - slack))


def smallest_paired_p(n: int) -> float:
    """The smallest p of `sign_flip_p` for n pairs: 0.25 at 3, 0.0625 at 5; 1 without a pair."""
    return min(1.0, 2 / 2**n)
