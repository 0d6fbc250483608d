"""Weighted kNN against a plain NumPy transcription and scikit-learn's classifier."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.neighbors import KNeighborsClassifier

from bench.errors import UserError
from bench.evaluate.knn import knn_predict


def reference(train, labels, queries, num_classes, k, temperature):
    """The definition, query by query, in float64: neighbours by falling similarity, then by index."""
    train, queries = train.astype(np.float64), queries.astype(np.float64)
    train = train / np.maximum(np.linalg.norm(train, axis=1, keepdims=True), 1e-12)
    queries = queries / np.maximum(np.linalg.norm(queries, axis=1, keepdims=True), 1e-12)
    predictions = []
    for query in queries:
        similarity = train @ query
        neighbours = np.lexsort((np.arange(len(train)), -similarity))[:k]
        votes = np.zeros(num_classes)
        for neighbour in neighbours:
            votes[labels[neighbour]] += np.exp(similarity[neighbour] / temperature)
        predictions.append(votes.argmax())
    return np.array(predictions)


def gaussian_classes(seed, count, width=16, num_classes=5):
    generator = np.random.default_rng(seed)
    labels = generator.integers(num_classes, size=count)
    centres = np.random.default_rng(0).normal(size=(num_classes, width))
    return (centres[labels] + generator.normal(size=(count, width)) * 1.5).astype(np.float32), labels


@pytest.mark.parametrize("k", [1, 5, 20, 400])
@pytest.mark.parametrize("temperature", [0.01, 0.07, 1.0])
def test_equals_the_definition(k, temperature):
    train, labels = gaussian_classes(1, 300)
    queries, _ = gaussian_classes(2, 200)
    ours = knn_predict(
        torch.from_numpy(train), torch.from_numpy(labels), torch.from_numpy(queries), 5, k, temperature, block=64
    )
    assert ours.dtype == torch.int64
    np.testing.assert_array_equal(ours.numpy(), reference(train, labels, queries, 5, k, temperature))


def test_equals_scikit_learn_on_digits():
    images, labels = load_digits(return_X_y=True)
    train, test = slice(0, 1200), slice(1200, None)
    theirs = KNeighborsClassifier(20, metric="cosine", weights=lambda distance: np.exp((1 - distance) / 0.07))
    theirs.fit(images[train], labels[train])
    features, targets = torch.from_numpy(images).float(), torch.from_numpy(labels).long()
    ours = knn_predict(features[train], targets[train], features[test], 10, 20, 0.07).numpy()
    np.testing.assert_array_equal(ours, theirs.predict(images[test]))
    assert (ours == labels[test]).mean() > 0.9


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(1, 12), st.integers(1, 9))
def test_equal_similarities_are_settled_by_index(seed, k, block):
    """Features on a few exact directions, so that nearly every neighbour is tied with others."""
    generator = np.random.default_rng(seed)
    directions = np.eye(3, dtype=np.float32)
    train, queries = directions[generator.integers(3, size=10)], directions[generator.integers(3, size=7)]
    labels = generator.integers(4, size=10)
    ours = knn_predict(
        torch.from_numpy(train), torch.from_numpy(labels), torch.from_numpy(queries), 4, k, 0.07, block=block
    )
    np.testing.assert_array_equal(ours.numpy(), reference(train, labels, queries, 4, k, 0.07))


def test_equal_votes_go_to_the_lowest_class():
    train = torch.eye(2)
    predictions = knn_predict(train, torch.tensor([3, 1]), torch.tensor([[1.0, 1.0]]), 4, 2, 0.07)
    assert predictions.tolist() == [1]


def test_length_of_features_does_not_matter_and_zero_features_are_allowed():
    train, labels = gaussian_classes(1, 100)
    queries, _ = gaussian_classes(2, 50)
    train, labels, queries = torch.from_numpy(train), torch.from_numpy(labels), torch.from_numpy(queries)
    expected = knn_predict(train, labels, queries, 5, 20, 0.07)
    # Powers of two, so that the normalised features are the same to the last bit.
    assert torch.equal(knn_predict(train * 1024, labels, queries / 64, 5, 20, 0.07), expected)
    assert knn_predict(train, labels, torch.zeros(3, 16), 5, 20, 0.07).shape == (3,)


def test_no_queries():
    assert knn_predict(torch.eye(2), torch.tensor([0, 1]), torch.zeros(0, 2), 2, 1, 0.07).shape == (0,)


@pytest.mark.parametrize(("k", "temperature", "count"), [(0, 0.07, 3), (1, 0.0, 3), (1, float("nan"), 3), (1, 0.07, 0)])
def test_settings_out_of_range(k, temperature, count):
    with pytest.raises(UserError, match="kNN"):
        knn_predict(torch.ones(count, 2), torch.zeros(count, dtype=torch.int64), torch.ones(1, 2), 1, k, temperature)
