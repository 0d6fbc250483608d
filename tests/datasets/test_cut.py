from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.datasets._cut import cut_test


@given(st.lists(st.integers(2, 40), min_size=1, max_size=8), st.floats(0.05, 0.6))
def test_parts_are_disjoint_complete_and_proportional(sizes: list[int], fraction: float) -> None:
    labels = np.random.default_rng(0).permutation(np.repeat(np.arange(len(sizes)), sizes))
    count = round(fraction * len(labels))
    train, test = cut_test(labels, count)
    assert sorted([*train, *test]) == list(range(len(labels)))
    for label, size in enumerate(sizes):
        part = int((labels[test] == label).sum())
        assert 1 <= part <= size - 1
        assert part == 1 or abs(part - size * count / len(labels)) < 1 or part == size - 1


def test_adds_up_and_is_the_same_every_time() -> None:
    labels = np.repeat(np.arange(3), [7, 11, 12])
    first, second = cut_test(labels, 10), cut_test(labels, 10)
    assert len(first[1]) == 10
    np.testing.assert_array_equal(first[1], second[1])


def test_a_single_picture_cannot_be_cut() -> None:
    with pytest.raises(ValueError, match="class 1"):
        cut_test([0, 0, 1], 1)
