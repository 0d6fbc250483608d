"""Aggregates over datasets against rliable's published definitions, written out, and the interval's coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy import stats

from bench.reports import aggregate

RECTANGLES = arrays.arrays(
    np.float64, st.tuples(st.integers(1, 6), st.integers(1, 6)), elements=st.integers(-10, 60).map(lambda k: k / 40)
)
"""Normalised scores (runs, tasks), with ties and some beyond 0 and 1."""


def split(scores: np.ndarray) -> list[np.ndarray]:
    return list(scores.T)


@given(RECTANGLES)
def test_aggregates_are_rliables(scores: np.ndarray) -> None:
    """rliable/metrics.py: aggregate_iqm, aggregate_mean, aggregate_optimality_gap with gamma = 1."""
    assert aggregate.interquartile_mean(split(scores)) == pytest.approx(stats.trim_mean(scores, 0.25, axis=None))
    assert aggregate.mean(split(scores)) == pytest.approx(np.mean(scores.mean(axis=0)))
    assert aggregate.optimality_gap(split(scores)) == pytest.approx(1 - np.mean(np.minimum(scores, 1)))


@given(RECTANGLES, RECTANGLES)
def test_improvement_is_rliables(a: np.ndarray, b: np.ndarray) -> None:
    """rliable/metrics.py: probability_of_improvement, the Mann-Whitney U of each task over the number of pairs."""
    tasks = min(a.shape[1], b.shape[1])
    expected = [
        stats.mannwhitneyu(a[:, task], b[:, task], alternative="greater").statistic / (len(a) * len(b))
        for task in range(tasks)
    ]
    found = aggregate.improvement(split(a)[:tasks], split(b)[:tasks])
    assert found == pytest.approx(np.mean(expected))


@given(RECTANGLES, st.lists(st.floats(-1, 2), min_size=1, max_size=5))
def test_the_profile_is_rliables_run_score_distribution(scores: np.ndarray, thresholds: list[float]) -> None:
    expected = [np.mean(scores > threshold) for threshold in thresholds]
    assert aggregate.performance_profile(split(scores), thresholds) == pytest.approx(expected)


def test_a_case_worked_by_hand() -> None:
    # Of 0, 1, ..., 7 the lowest two and the highest two are cut.
    assert aggregate.interquartile_mean([np.array([0.0, 7, 1, 6]), np.array([2.0, 5, 3, 4])]) == 3.5
    assert aggregate.optimality_gap([np.array([0.5, 2.0])]) == 0.25


def test_normalised_between_random_and_supervised() -> None:
    found = aggregate.normalised([0.2, 0.5, 0.8], 0.2, 0.8)
    assert found == pytest.approx([0, 0.5, 1])
    assert aggregate.normalised([0.2], 0.5, 0.5) is None
    assert aggregate.normalised([0.2], 0.5, 0.4) is None


def test_the_interval_is_the_percentile_interval_of_runs_drawn_within_tasks() -> None:
    """rliable/library.py: StratifiedBootstrap, method 'percentile', here as a plain loop with other random numbers."""
    generator = np.random.default_rng(1)
    scores = generator.normal(0.6, 0.1, (5, 8))
    draws = []
    for _ in range(4000):
        rows = generator.integers(5, size=(5, 8))
        draws.append(stats.trim_mean(np.take_along_axis(scores, rows, axis=0), 0.25, axis=None))
    found = aggregate.bootstrap(aggregate.interquartile_mean, split(scores))
    assert found.value == pytest.approx(stats.trim_mean(scores, 0.25, axis=None))
    assert found.interval is not None
    assert found.interval == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=0.003)
    assert found == aggregate.bootstrap(aggregate.interquartile_mean, split(scores))


def test_the_interval_of_an_improvement_holds_its_value_and_stays_in_bounds() -> None:
    generator = np.random.default_rng(0)
    a, b = split(generator.normal(0.6, 0.1, (5, 4))), split(generator.normal(0.5, 0.1, (5, 4)))
    found = aggregate.bootstrap(aggregate.improvement, a, b)
    assert found.interval is not None
    assert 0 <= found.interval[0] < found.value < found.interval[1] <= 1


def test_values_and_intervals_that_rliable_itself_gave() -> None:
    """rliable 1.2.0 on these scores, 20,000 draws."""
    generator = np.random.default_rng(0)
    a, b = split(generator.normal(0.6, 0.15, (5, 6))), split(generator.normal(0.5, 0.15, (5, 6)))
    for measure, value, interval in (
        (aggregate.interquartile_mean, 0.57822576, (0.5449, 0.6187)),
        (aggregate.mean, 0.58177703, (0.5415, 0.6206)),
        (aggregate.optimality_gap, 0.41822297, (0.3798, 0.4591)),
    ):
        found = aggregate.bootstrap(measure, a)
        assert found.value == pytest.approx(value)
        assert found.interval == pytest.approx(interval, abs=0.003)
    found = aggregate.bootstrap(aggregate.improvement, a, b)
    assert found.value == pytest.approx(0.58)
    assert found.interval == pytest.approx((0.42, 0.7467), abs=0.015)
    assert aggregate.performance_profile(a, [0.4, 0.5, 0.6]) == pytest.approx([0.96666667, 0.76666667, 0.46666667])


def test_one_run_on_a_dataset_has_no_interval() -> None:
    found = aggregate.bootstrap(aggregate.mean, [np.array([0.5]), np.array([0.6, 0.7])])
    assert found.value == pytest.approx(0.575)
    assert found.interval is None


def coverage(runs: int, tasks: int) -> float:
    generator = np.random.default_rng(runs)
    levels, hits = np.linspace(0.3, 0.9, tasks), 0
    for trial in range(400):
        scores = split(generator.normal(levels, 0.05, (runs, tasks)))
        interval = aggregate.bootstrap(aggregate.mean, scores, seed=trial).interval
        hits += interval is not None and interval[0] <= levels.mean() <= interval[1]
    return hits / 400


def test_the_interval_covers_less_than_it_says_with_few_runs_and_enough_with_many() -> None:
    assert 0.80 < coverage(runs=3, tasks=5) < 0.93  # the variance of three runs drawn from three is 2/3 of the truth
    assert 0.92 < coverage(runs=20, tasks=5) < 0.98
