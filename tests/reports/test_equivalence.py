"""Both one-sided tests against SciPy's, the 90 % interval, and their error rate at the margin itself."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from bench.reports.equivalence import equivalence_of
from bench.reports.statistics import welch

SCORES = st.lists(st.integers(0, 3929).map(lambda correct: correct / 3929), min_size=2, max_size=8)


@given(SCORES, SCORES, st.floats(0.001, 0.5))
def test_p_are_scipys_one_sided_welch_tests_of_shifted_scores(a: list[float], b: list[float], margin: float) -> None:
    assume(len(set(a)) > 1 and len(set(b)) > 1)
    found = equivalence_of(welch(a, b), margin)
    assert found is not None
    above = stats.ttest_ind(np.array(a) + margin, b, equal_var=False, alternative="greater").pvalue
    below = stats.ttest_ind(np.array(a) - margin, b, equal_var=False, alternative="less").pvalue
    assert found.p_not_inferior == pytest.approx(above, rel=1e-7, abs=1e-12)
    assert found.p_equivalent == pytest.approx(max(above, below), rel=1e-7, abs=1e-12)
    inside = -margin < found.interval[0] and found.interval[1] < margin
    assert found.equivalent == inside


def test_no_spread_or_one_run_proves_nothing() -> None:
    assert equivalence_of(welch([0.5, 0.5], [0.5, 0.5]), 0.1) is None
    assert equivalence_of(welch([0.5], [0.5, 0.6]), 0.1) is None


@pytest.mark.parametrize("margin", [0.0, -0.1, float("nan"), float("inf")])
def test_a_margin_must_be_positive(margin: float) -> None:
    with pytest.raises(ValueError, match="margin"):
        equivalence_of(welch([0.1, 0.2], [0.1, 0.2]), margin)


def test_at_the_margin_equivalence_is_claimed_at_most_5_times_in_100() -> None:
    generator = np.random.default_rng(0)
    a, b = generator.normal(0.51, 0.005, (2000, 5)), generator.normal(0.50, 0.005, (2000, 5))
    claims = [equivalence_of(welch(x, y), 0.01) for x, y in zip(a, b, strict=True)]
    assert 0.035 < np.mean([claim is not None and claim.equivalent for claim in claims]) < 0.06
    assert np.mean([claim is not None and claim.not_inferior for claim in claims]) > 0.99
