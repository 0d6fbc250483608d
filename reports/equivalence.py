"""Claims of the kind 'matches': equivalence and non-inferiority against a margin declared before the results.

A difference that is not significant is no evidence of equality; these tests turn the burden of proof round. Two
one-sided Welch tests at alpha .05 (Schuirmann 1987), the same as the 90 % interval lying within the margin.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import stats

from bench.reports.statistics import ALPHA, Difference, Interval


@dataclass(frozen=True)
class Equivalence:
    """Outcome for a difference of means and a margin, both in the scores' unit.

    `p_equivalent`: of the hypothesis that the difference is outside (-margin, margin); `p_not_inferior`: of the
    hypothesis that it is at or below -margin; `interval` is the 90 % one.
    """

    margin: float
    interval: Interval
    p_equivalent: float
    p_not_inferior: float

    @property
    def equivalent(self) -> bool:
        return self.p_equivalent < ALPHA

    @property
    def not_inferior(self) -> bool:
        return self.p_not_inferior < ALPHA


def equivalence_of(difference: Difference, margin: float) -> Equivalence | None:
    """Both one-sided tests of a tested difference; None where it has no standard error.

    Raises ValueError unless the margin is positive and finite.
    """
    if not (margin > 0 and math.isfinite(margin)):
        raise ValueError(f"a margin must be positive and finite, not {margin}")
    error, degrees_of_freedom = difference.error, difference.degrees_of_freedom
    if error is None or degrees_of_freedom is None:
        return None
    half_width = stats.t.ppf(1 - ALPHA, degrees_of_freedom) * error
    not_inferior = float(stats.t.sf((difference.difference + margin) / error, degrees_of_freedom))
    not_superior = float(stats.t.sf((margin - difference.difference) / error, degrees_of_freedom))
    return Equivalence(
        margin=margin,
        interval=(float(difference.difference - half_width), float(difference.difference + half_width)),
        p_equivalent=max(not_inferior, not_superior),
        p_not_inferior=not_inferior,
    )
