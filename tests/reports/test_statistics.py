"""Every statistic against SciPy, a case worked by hand, a property, or a simulation."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy import stats

from bench.reports import statistics

SCORES = st.lists(st.integers(0, 3929).map(lambda correct: correct / 3929), min_size=2, max_size=12)


def test_summary_of_a_case_worked_by_hand() -> None:
    summary = statistics.summary([0.4, 0.5, 0.9])
    assert (summary.n, summary.median, summary.minimum) == (3, 0.5, 0.4)
    assert summary.mean == pytest.approx(0.6)
    assert summary.sd == pytest.approx(math.sqrt(0.07))  # (0.04 + 0.01 + 0.09) / (3 - 1)
    half = 4.302652729911275 * math.sqrt(0.07 / 3)  # t(0.975, 2 degrees of freedom) from a printed table: 4.303
    assert summary.interval == pytest.approx((0.6 - half, 0.6 + half))


def test_one_run_has_neither_spread_nor_interval() -> None:
    summary = statistics.summary([0.4])
    assert (summary.n, summary.mean, summary.sd, summary.interval) == (1, 0.4, None, None)


@pytest.mark.parametrize("values", [[], [0.1, math.nan], [math.inf], [[0.1, 0.2]]])
def test_what_is_no_array_of_finite_scores_is_refused(values: list[float]) -> None:
    with pytest.raises(ValueError, match="finite"):
        statistics.summary(values)


@given(SCORES)
def test_summary_agrees_with_scipy(values: list[float]) -> None:
    summary = statistics.summary(values)
    if len(set(values)) == 1:
        assert (summary.sd, summary.interval) == (0.0, None)
    else:
        expected = stats.t.interval(0.95, len(values) - 1, np.mean(values), stats.sem(values))
        assert summary.interval == pytest.approx(expected, rel=1e-9)


@given(SCORES, SCORES)
def test_welch_agrees_with_scipy(a: list[float], b: list[float]) -> None:
    assume(len(set(a)) > 1 and len(set(b)) > 1)
    ours, theirs = statistics.welch(a, b), stats.ttest_ind(a, b, equal_var=False)
    interval = theirs.confidence_interval(0.95)
    assert ours.difference == pytest.approx(np.mean(a) - np.mean(b), abs=1e-12)
    assert ours.p == pytest.approx(theirs.pvalue, rel=1e-8, abs=1e-12)
    assert ours.degrees_of_freedom == pytest.approx(theirs.df, rel=1e-9)
    assert ours.interval == pytest.approx((interval.low, interval.high), rel=1e-8, abs=1e-12)


@given(SCORES, SCORES)
def test_welch_is_antisymmetric(a: list[float], b: list[float]) -> None:
    forth, back = statistics.welch(a, b), statistics.welch(b, a)
    assert forth.difference == -back.difference
    assert forth.p == pytest.approx(back.p)


def test_welch_with_spread_on_one_side_has_that_sides_degrees_of_freedom() -> None:
    result = statistics.welch([0.5, 0.5, 0.5], [0.4, 0.42, 0.38, 0.41])
    assert result.degrees_of_freedom == pytest.approx(3)
    expected = stats.ttest_1samp([0.4, 0.42, 0.38, 0.41], 0.5).pvalue
    assert result.p == pytest.approx(expected)


@pytest.mark.parametrize(("a", "b"), [([0.5], [0.4, 0.3]), ([0.5, 0.5], [0.4, 0.4]), ([0.1] * 3, [0.1] * 3)])
def test_welch_claims_nothing_where_no_test_exists(a: list[float], b: list[float]) -> None:
    result = statistics.welch(a, b)
    assert result.difference == pytest.approx(a[0] - np.mean(b))
    assert (result.interval, result.p, result.degrees_of_freedom) == (None, None, None)


def test_intervals_cover_the_truth_95_times_in_100() -> None:
    generator = np.random.default_rng(0)
    trials = 2000
    a, b = generator.normal(0.60, 0.01, (trials, 5)), generator.normal(0.58, 0.01, (trials, 5))
    means = [statistics.summary(row).interval for row in a]
    differences = [statistics.welch(x, y).interval for x, y in zip(a, b, strict=True)]
    for intervals, truth in ((means, 0.60), (differences, 0.02)):
        coverage = np.mean([interval is not None and interval[0] <= truth <= interval[1] for interval in intervals])
        assert 0.935 < coverage < 0.97  # 0.95 with a standard error of 0.005; Welch is slightly conservative


def test_holm_of_a_case_worked_by_hand() -> None:
    # Sorted 0.01, 0.02, 0.03, 0.04 times 4, 3, 2, 1 = 0.04, 0.06, 0.06, 0.04, then made monotone.
    assert statistics.holm([0.04, 0.01, None, 0.03, 0.02]) == pytest.approx([0.06, 0.04, None, 0.06, 0.06])


@given(st.lists(st.floats(0, 1), max_size=10))
def test_holm_lies_between_the_raw_p_and_bonferroni_and_keeps_the_order(p: list[float]) -> None:
    adjusted = [value for value in statistics.holm(p) if value is not None]
    assert len(adjusted) == len(p)
    for raw, value in zip(p, adjusted, strict=True):
        assert raw <= value <= min(1, len(p) * raw)
    order = np.argsort(p, kind="stable")
    assert np.all(np.diff(np.array(adjusted)[order]) >= 0)


def test_wilson_against_printed_values() -> None:
    assert statistics.wilson(0, 10) == pytest.approx((0, 0.2775), abs=5e-5)
    assert statistics.wilson(5, 10) == pytest.approx((0.2366, 0.7634), abs=5e-5)


def test_hedges_g_of_a_case_worked_by_hand() -> None:
    # Means 2 and 4, both variances 1: d = -2; J(4) = gamma(2) / (sqrt(2) gamma(1.5)) = 0.7979.
    assert statistics.hedges_g([1, 2, 3], [3, 4, 5]) == pytest.approx(-2 / (math.sqrt(2) * math.sqrt(math.pi) / 2))
    assert statistics.hedges_g([1, 2], [3]) is None
    assert statistics.hedges_g([1, 1], [3, 3]) is None


def test_pooled_sd_weighs_by_degrees_of_freedom() -> None:
    assert statistics.pooled_sd([[0, 2], [1, 2, 3], [9]]) == pytest.approx(math.sqrt((2 + 2) / 3))
    assert statistics.pooled_sd([[1], [2]]) is None


@given(st.data(), st.integers(2, 8))
def test_paired_agrees_with_scipy(data: st.DataObject, n: int) -> None:
    scores = st.lists(st.integers(0, 3929).map(lambda correct: correct / 3929), min_size=n, max_size=n)
    a, b = data.draw(scores), data.draw(scores)
    found = statistics.paired(a, b)
    assert found.n == n
    if np.ptp(np.subtract(a, b)) < 1e-9:
        assert (found.difference.p, found.difference.interval) == (None, None)
        return
    expected = stats.ttest_rel(a, b)
    interval = expected.confidence_interval(0.95)
    assert found.difference.p == pytest.approx(expected.pvalue, rel=1e-7, abs=1e-12)
    assert found.difference.interval == pytest.approx((interval.low, interval.high), rel=1e-7, abs=1e-12)
    if len(set(a)) > 1 and len(set(b)) > 1:
        assert found.correlation == pytest.approx(stats.pearsonr(a, b).statistic, abs=1e-6)
    else:
        assert found.correlation is None


def test_pairs_that_differ_by_a_constant_show_no_spread_despite_rounding() -> None:
    found = statistics.paired([0.1, 0.2, 0.3], [0.2, 0.3, 0.4])
    assert found.difference.difference == pytest.approx(-0.1)
    assert found.difference.p is None
    with pytest.raises(ValueError, match="one length"):
        statistics.paired([0.1, 0.2], [0.1])


def test_pairing_helps_five_seeds_from_a_correlation_of_0_31() -> None:
    """The claim in `paired`: at equal variances, the ratio of the expected squared half-widths of both intervals."""
    paired, welch = stats.t.ppf(0.975, 4) ** 2, stats.t.ppf(0.975, 8) ** 2
    assert 1 - welch / paired == pytest.approx(0.31, abs=0.002)


@given(SCORES, SCORES)
def test_probability_of_improvement_is_mann_whitneys_u(a: list[float], b: list[float]) -> None:
    expected = stats.mannwhitneyu(a, b).statistic / (len(a) * len(b))
    assert statistics.probability_of_improvement(a, b) == pytest.approx(expected)


def test_the_interval_of_a_standard_deviation() -> None:
    assert statistics.sd_interval(1.0, 2) == pytest.approx((0.521, 6.285), abs=5e-4)  # printed tables, n = 3
    generator = np.random.default_rng(0)
    found = [statistics.sd_interval(sd, 4) for sd in generator.normal(0.5, 0.01, (4000, 5)).std(axis=1, ddof=1)]
    assert np.mean([low <= 0.01 <= high for low, high in found]) == pytest.approx(0.95, abs=0.012)
