"""One row held against the reference: the tests that decide, the checks beside them, and what they could show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.reports import statistics
from bench.reports.equivalence import Equivalence, equivalence_of
from bench.reports.permutation import permutation_p, sign_flip_p, smallest_p, smallest_paired_p
from bench.reports.pictures import TwoSources
from bench.reports.power import PAIRED, seeds_needed
from bench.reports.statistics import Difference

Scores = Mapping[int, float]
"""Score of each completed run by its seed."""


@dataclass(frozen=True)
class SeedsNeeded:
    """Runs per method (with pairing: pairs) that show the difference seen with 80 % power: for the estimated standard
    deviation, and for the ends of its 95 % interval; None for more than bench.reports.power.MOST_SEEDS.
    """

    low: int | None
    estimate: int | None
    high: int | None


@dataclass(frozen=True)
class Against:
    """`difference` (fractions, this row less the reference) is Welch's, or of pairs where pairing was declared.

    `p` is its p after Holm's correction, `permutation_p` the exact permutation p after the same correction,
    `smallest_permutation_p` the least that this could have been with these numbers of runs; all None for a reference
    row, which is in no family. `improvement` is the probability that a run of this row scores higher. `correlation`
    and `pairs` exist with pairing only, `equivalence` with a declared margin, `pictures` where predictions for each
    test picture are stored, `mcnemar_p` where moreover both sides have one run.
    """

    difference: Difference
    hedges_g: float | None
    improvement: float
    p: float | None = None
    permutation_p: float | None = None
    smallest_permutation_p: float | None = None
    pairs: int | None = None
    correlation: float | None = None
    equivalence: Equivalence | None = None
    seeds_needed: SeedsNeeded | None = None
    pictures: TwoSources | None = None
    mcnemar_p: float | None = None


def difference(scores: Scores, base: Scores, paired: bool) -> Difference:
    """Mean of `scores` less mean of `base`; with `paired`, over the seeds that both have."""
    return _pairs(scores, base).difference if paired else statistics.welch(_list(scores), _list(base))


def against(
    rows: Sequence[Scores], base: Scores, in_family: Sequence[bool], paired: bool, margin: float | None
) -> list[Against]:
    """Every row against the reference's scores `base`; Holm's correction over those `in_family`."""
    results = [_one(scores, base, paired, margin) for scores in rows]
    tested = [one.difference.p is not None for one in results]
    columns = [
        statistics.holm([p if member else None for p, member in zip(values, in_family, strict=True)])
        for values in (
            [one.difference.p for one in results],
            _permutations(rows, tested, base, paired),
            [_floor(scores, base, paired) if there_is else None for scores, there_is in zip(rows, tested, strict=True)],
        )
    ]
    return [
        replace(one, p=p, permutation_p=exact, smallest_permutation_p=floor)
        for one, p, exact, floor in zip(results, *columns, strict=True)
    ]


def _one(scores: Scores, base: Scores, paired: bool, margin: float | None) -> Against:
    a, b = _list(scores), _list(base)
    found = Against(
        difference=statistics.welch(a, b),
        hedges_g=statistics.hedges_g(a, b),
        improvement=statistics.probability_of_improvement(a, b),
        seeds_needed=_seeds_needed(a, b),
    )
    if paired:
        pairs = _pairs(scores, base)
        found = replace(
            found,
            difference=pairs.difference,
            pairs=pairs.n,
            correlation=pairs.correlation,
            seeds_needed=_pairs_needed(paired_differences(scores, base)),
        )
    return replace(found, equivalence=equivalence_of(found.difference, margin) if margin else None)


def paired_differences(scores: Scores, base: Scores) -> list[float]:
    """`scores` less `base` at each seed that both have, in the order of the seeds."""
    return [scores[seed] - base[seed] for seed in sorted(scores.keys() & base.keys())]


def _pairs(scores: Scores, base: Scores) -> statistics.Paired:
    """Over common seeds; without any, the plain difference of means and no test."""
    common = sorted(scores.keys() & base.keys())
    if not common:
        plain = float(np.mean(_list(scores)) - np.mean(_list(base)))
        return statistics.Paired(0, Difference(plain), None)
    return statistics.paired([scores[seed] for seed in common], [base[seed] for seed in common])


def _permutations(rows: Sequence[Scores], tested: Sequence[bool], base: Scores, paired: bool) -> Sequence[float | None]:
    """Of every row that the deciding test has, or of none: a family with gaps would be corrected too little."""
    found = {number: _permutation(scores, base, paired) for number, scores in enumerate(rows) if tested[number]}
    return [None if None in found.values() else found.get(number) for number in range(len(rows))]


def _permutation(scores: Scores, base: Scores, paired: bool) -> float | None:
    if not paired:
        return permutation_p(_list(scores), _list(base))
    differences = paired_differences(scores, base)
    return sign_flip_p(differences) if differences else None


def _floor(scores: Scores, base: Scores, paired: bool) -> float:
    return smallest_paired_p(len(scores.keys() & base.keys())) if paired else smallest_p(len(scores), len(base))


def _seeds_needed(a: Sequence[float], b: Sequence[float]) -> SeedsNeeded | None:
    """From the pooled standard deviation of both sides and its interval; None without a spread."""
    sd = statistics.pooled_sd([a, b])
    if not sd:
        return None
    gap = float(np.mean(a) - np.mean(b))
    low, high = statistics.sd_interval(sd, len(a) + len(b) - 2)
    return SeedsNeeded(*(seeds_needed(gap, value) for value in (low, sd, high)))


def _pairs_needed(differences: Sequence[float]) -> SeedsNeeded | None:
    """From the standard deviation of the paired differences and its interval; None without a spread."""
    found = statistics.summary(differences) if differences else None
    if found is None or not found.sd:
        return None
    low, high = statistics.sd_interval(found.sd, found.n - 1)
    return SeedsNeeded(*(seeds_needed(found.mean, sd, PAIRED) for sd in (low, found.sd, high)))


def _list(scores: Scores) -> list[float]:
    return [scores[seed] for seed in sorted(scores)]
