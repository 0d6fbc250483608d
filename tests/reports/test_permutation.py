"""The exact permutation p against SciPy's, and its floors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from bench.reports.permutation import permutation_p, sign_flip_p, smallest_p, smallest_paired_p

SCORES = st.lists(st.integers(0, 40).map(lambda correct: correct / 40), min_size=1, max_size=5)


def total(x: np.ndarray, y: np.ndarray, axis: int) -> np.ndarray:
    """Orders splits as the difference of means does; whole for whole scores, so that SciPy sees every tie."""
    return np.sum(x, axis=axis)


@settings(deadline=None)
@given(SCORES.filter(lambda scores: len(scores) > 1), SCORES.filter(lambda scores: len(scores) > 1))
def test_p_is_scipys_exact_one(a: list[float], b: list[float]) -> None:
    whole = tuple(np.round(np.array(side) * 40) for side in (a, b))
    expected = stats.permutation_test(whole, total, n_resamples=np.inf, vectorized=True).pvalue
    assert permutation_p(a, b) == pytest.approx(expected)


@given(SCORES, SCORES)
def test_p_is_never_below_what_the_numbers_of_runs_allow(a: list[float], b: list[float]) -> None:
    p = permutation_p(a, b)
    assert p is not None
    assert smallest_p(len(a), len(b)) <= p + 1e-12
    assert p == permutation_p(b, a)


@pytest.mark.parametrize(("n", "floor"), [(1, 1.0), (2, 1 / 3), (3, 0.1), (4, 2 / 70), (5, 2 / 252)])
def test_the_floor_is_reached_by_sides_that_do_not_overlap(n: int, floor: float) -> None:
    assert smallest_p(n, n) == pytest.approx(floor)
    assert permutation_p(range(n), range(n, 2 * n)) == pytest.approx(floor)


def test_too_many_splits_are_not_enumerated() -> None:
    assert permutation_p(range(10), range(10, 20)) == pytest.approx(smallest_p(10, 10))
    assert permutation_p(range(11), range(11)) is None


@given(st.lists(st.integers(-40, 40).map(lambda correct: correct / 40), min_size=2, max_size=8))
def test_sign_flips_are_scipys(differences: list[float]) -> None:
    whole = np.round(np.array(differences) * 40)
    expected = stats.permutation_test(
        (whole,), np.sum, permutation_type="samples", n_resamples=np.inf, vectorized=True
    ).pvalue
    p = sign_flip_p(differences)
    assert p is not None
    assert p == pytest.approx(expected)
    assert p >= smallest_paired_p(len(differences))


def test_the_floor_of_pairs() -> None:
    assert sign_flip_p([1.0, 2.0, 3.0]) == smallest_paired_p(3) == 0.25
    assert smallest_paired_p(5) == 0.0625
    assert sign_flip_p(range(20)) is None
