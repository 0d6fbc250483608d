"""Detectable differences and needed seeds: Cohen's tables, simulation, and each against the other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.reports.power import MOST_SEEDS, PAIRED, seeds_needed, smallest_detectable_difference


@pytest.mark.parametrize(("n", "effect"), [(17, 1.0), (26, 0.8), (64, 0.5)])
def test_against_cohens_sample_sizes(n: int, effect: float) -> None:
    """Cohen (1988), table 2.4.1: n = 17, 26 and 64 are the fewest per group for d = 1, 0.8 and 0.5."""
    assert smallest_detectable_difference(n, 1.0) <= effect < smallest_detectable_difference(n - 1, 1.0)
    assert seeds_needed(effect, 1.0) == n
    assert seeds_needed(-effect / 100, 0.01) == n


@pytest.mark.parametrize(("n", "effect"), [(199, 0.2), (34, 0.5), (15, 0.8)])
def test_pairs_against_published_sample_sizes(n: int, effect: float) -> None:
    """Faul et al. (2007), G*Power, difference from a constant: 199, 34 and 15 pairs for dz = 0.2, 0.5 and 0.8."""
    assert seeds_needed(effect, 1.0, PAIRED) == n
    assert smallest_detectable_difference(n, 1.0, PAIRED) <= effect


@pytest.mark.parametrize("n", [2, 3, 5])
def test_a_detectable_change_is_found_4_times_in_5_by_pairs_and_between_four_groups(n: int) -> None:
    generator = np.random.default_rng(n)
    pairs = generator.normal(smallest_detectable_difference(n, 1.0, PAIRED), 1, (4000, n))
    assert np.mean(stats.ttest_1samp(pairs, 0, axis=1).pvalue < 0.05) == pytest.approx(0.8, abs=0.025)
    four = generator.normal(0, 1, (4, 4000, n))
    four[0] += smallest_detectable_difference(n, 1.0, 4)
    error = np.sqrt(four.var(axis=2, ddof=1).mean(axis=0) * 4 / n)
    t = (four.mean(axis=2) * np.array([[1], [-1], [-1], [1]])).sum(axis=0) / error
    assert np.mean(2 * stats.t.sf(np.abs(t), 4 * (n - 1)) < 0.05) == pytest.approx(0.8, abs=0.025)


@pytest.mark.parametrize("n", [2, 3, 5])
def test_a_detectable_difference_is_found_4_times_in_5(n: int) -> None:
    generator = np.random.default_rng(n)
    effect = smallest_detectable_difference(n, 0.01)
    a, b = generator.normal(0.5 + effect, 0.01, (4000, n)), generator.normal(0.5, 0.01, (4000, n))
    power = np.mean(stats.ttest_ind(a, b, axis=1).pvalue < 0.05)
    assert power == pytest.approx(0.8, abs=0.025)


@given(st.floats(0.2, 50))
def test_the_seeds_needed_detect_it_and_one_seed_fewer_does_not(effect: float) -> None:
    n = seeds_needed(effect, 1.0)
    assert n is not None
    assert smallest_detectable_difference(n, 1.0) <= effect
    assert n == 2 or smallest_detectable_difference(n - 1, 1.0) > effect


def test_out_of_reach_and_without_spread() -> None:
    assert seeds_needed(0.0, 1.0) is None
    assert seeds_needed(0.001, 1.0) is None
    assert seeds_needed(smallest_detectable_difference(MOST_SEEDS, 1.0), 1.0) == MOST_SEEDS
    assert seeds_needed(0.1, 0.0) == 2
    assert seeds_needed(0.0, 0.0) is None
