"""Detectable differences and needed seeds: Cohen's tables, simulation, and each against the other."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.reports.power import MOST_SEEDS, seeds_needed, smallest_detectable_difference


@pytest.mark.parametrize(("n", "effect"), [(17, 1.0), (26, 0.8), (64, 0.5)])
def test_against_cohens_sample_sizes(n: int, effect: float) -> None:
    """Cohen (1988), table 2.4.1: n = 17, 26 and 64 are the fewest per group for d = 1, 0.8 and 0.5."""
    assert smallest_detectable_difference(n, 1.0) <= effect < smallest_detectable_difference(n - 1, 1.0)
    assert seeds_needed(effect, 1.0) == n
    assert seeds_needed(-effect / 100, 0.01) == n


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
