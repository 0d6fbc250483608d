"""Ranks of methods over datasets, and the tests that need many datasets (Demsar 2006; Benavoli et al. 2016)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from bench.reports.statistics import ALPHA, holm


@dataclass(frozen=True)
class Ranking:
    """Methods compared over datasets by a (methods, datasets) array of mean scores.

    `mean_ranks` (1 is best, ties share), `friedman_p` and `iman_davenport_p` of the hypothesis that all methods are
    equal; `pairs`: Holm-corrected p of Wilcoxon's signed-rank test by pair of methods (i < j). The p are None and
    `pairs` is empty where fewer than `fewest_datasets` datasets let no pair show any difference.
    """

    mean_ranks: NDArray[np.float64]
    datasets: int
    fewest_datasets: int
    friedman_p: float | None
    iman_davenport_p: float | None
    pairs: dict[tuple[int, int], float]

    @property
    def cliques(self) -> list[tuple[int, ...]]:
        """Bars of a critical-difference diagram: longest runs of methods, best rank first, of which no pair differs.

        Empty where nothing could be tested.
        """
        if not self.pairs:
            return []
        order = [int(index) for index in np.argsort(self.mean_ranks, kind="stable")]
        found: list[tuple[int, ...]] = []
        for first in range(len(order)):
            last = first
            while last + 1 < len(order) and all(
                self.pairs[min(one, order[last + 1]), max(one, order[last + 1])] >= ALPHA
                for one in order[first : last + 1]
            ):
                last += 1
            bar = tuple(order[first : last + 1])
            if len(bar) > 1 and not any(set(bar) <= set(other) for other in found):
                found.append(bar)
        return found


def fewest_datasets(methods: int) -> int:
    """Datasets from which on Wilcoxon's test with Holm's correction over all pairs can show a difference at all.

    Its smallest two-sided p over N datasets is 2 / 2^N, times the number of pairs: 7, 9, 10 for 3, 5, 6 methods.
    """
    pairs = methods * (methods - 1) // 2
    return next(n for n in itertools.count(1) if pairs * 2 / 2**n < ALPHA)


def ranking(scores: ArrayLike) -> Ranking:
    """Ranking of (methods, datasets) mean scores, higher is better, for at least two methods and one dataset."""
    scores = np.asarray(scores, dtype=np.float64)
    methods, datasets = scores.shape
    mean_ranks = stats.rankdata(-scores, axis=0).mean(axis=1)
    fewest = fewest_datasets(methods)
    if datasets < fewest:
        return Ranking(mean_ranks, datasets, fewest, None, None, {})
    friedman, iman_davenport = friedman_test(scores) if methods > 2 else (None, None)
    indices = list(itertools.combinations(range(methods), 2))
    adjusted = holm([_wilcoxon(scores[i], scores[j]) for i, j in indices])
    pairs = {pair: 1.0 if p is None else p for pair, p in zip(indices, adjusted, strict=True)}
    return Ranking(mean_ranks, datasets, fewest, friedman, iman_davenport, pairs)


def friedman_test(scores: NDArray[np.float64]) -> tuple[float, float]:
    """p of Friedman's test, and of Iman and Davenport's sharper F form, for (methods >= 3, datasets >= 2) scores."""
    methods, datasets = scores.shape
    if np.ptp(scores, axis=0).max() == 0:  # every dataset a tie: no rank differs
        return 1.0, 1.0
    statistic, p = stats.friedmanchisquare(*scores)
    left = datasets * (methods - 1) - statistic
    f = np.inf if left <= 1e-12 * statistic else (datasets - 1) * statistic / left
    return float(p), float(stats.f.sf(f, methods - 1, (methods - 1) * (datasets - 1)))


def _wilcoxon(a: Sequence[float] | NDArray[np.float64], b: Sequence[float] | NDArray[np.float64]) -> float:
    difference = np.asarray(a) - np.asarray(b)
    return float(stats.wilcoxon(difference).pvalue) if difference.any() else 1.0
