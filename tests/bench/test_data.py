"""The validation cut: a tenth of every class, always the same, disjoint from training."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from bench.data import cut_validation


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
