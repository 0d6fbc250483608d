"""The validation cut and the part that is pretrained on: shares of every class, and always the same ones."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bench.data import cut_validation, stratified_count, stratified_rows


@given(st.lists(st.integers(-1, 4), min_size=10, max_size=300).filter(lambda labels: max(labels) >= 0))
def test_the_cut_is_stratified_disjoint_and_complete(labels):
    labels = np.array(labels)
    training, validation = cut_validation(labels)
    assert sorted([*training, *validation]) == list(range(len(labels)))
    assert (labels[validation] >= 0).all()
    for label in set(labels[labels >= 0]):
        members = (labels == label).sum()
        assert (labels[validation] == label).sum() == min(members - 1, max(1, round(0.1 * members)))
    again = cut_validation(labels)
    assert np.array_equal(again[0], training)
    assert np.array_equal(again[1], validation)


LABELS = st.lists(st.integers(-1, 4), min_size=1, max_size=300).map(np.array)
FRACTIONS = st.floats(0.001, 1)


@given(LABELS, FRACTIONS, st.integers(0, 2**62))
def test_a_fraction_takes_its_share_of_every_class(labels, fraction, seed):
    rows = stratified_rows(labels, fraction, seed)
    for label in set(labels):
        members = (labels == label).sum()
        assert (labels[rows] == label).sum() == max(1, round(fraction * members))
    assert np.array_equal(rows, np.unique(rows))
    assert len(rows) == stratified_count(labels, fraction)


@given(LABELS, FRACTIONS, FRACTIONS, st.integers(0, 2**62))
def test_a_smaller_fraction_is_part_of_a_larger_one(labels, first, second, seed):
    small, large = (stratified_rows(labels, fraction, seed) for fraction in sorted((first, second)))
    assert set(small) <= set(large)


def test_all_is_all_and_another_seed_is_another_part():
    labels = np.repeat(np.arange(5), 40)
    assert np.array_equal(stratified_rows(labels, 1.0, 3), np.arange(200))
    assert not np.array_equal(stratified_rows(labels, 0.1, 3), stratified_rows(labels, 0.1, 4))
