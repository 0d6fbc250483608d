"""The protocol: what is reported, from which images."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from torch import nn

from bench.evaluate import protocol
from bench.evaluate.knn import knn_predict
from bench.evaluate.linear import Labelled, linear_probe
from bench.evaluate.protocol import STRENGTHS, Parts, evaluate, labelled_features


@pytest.fixture(scope="module")
def parts():
    images, labels = load_digits(return_X_y=True)
    features, targets = torch.from_numpy(images).float(), torch.from_numpy(labels).long()
    slices = (slice(800), slice(800, 1100), slice(1100, None))
    return Parts(*(Labelled(features[part], targets[part]) for part in slices))


def test_scores_and_predictions_are_those_of_the_two_classifiers(parts):
    evaluation = evaluate(parts, 10, 20, 0.07)
    probe = linear_probe(*parts, 10, STRENGTHS)
    knn = {
        name: knn_predict(*parts.train, part.features, 10, 20, 0.07)
        for name, part in (("test", parts.test), ("validation", parts.validation))
    }
    assert evaluation.scores == {
        "linear": probe.accuracy,
        "linear_validation": probe.validation_accuracy,
        "knn": (knn["test"] == parts.test.labels).double().mean().item(),
        "knn_validation": (knn["validation"] == parts.validation.labels).double().mean().item(),
    }
    assert evaluation.probe == {"strength": probe.strength, "converged": True}
    assert 0.9 < evaluation.scores["linear"] < 1
    assert json.loads(json.dumps(evaluation.scores)) == evaluation.scores
    np.testing.assert_array_equal(evaluation.predictions["linear"], probe.predictions.numpy())
    np.testing.assert_array_equal(evaluation.predictions["knn"], knn["test"].numpy())
    assert {predictions.dtype for predictions in evaluation.predictions.values()} == {np.dtype(np.uint8)}


def test_test_labels_change_the_test_scores_only(parts):
    honest = evaluate(parts, 10, 20, 0.07, (1e-2, 1e-3))
    wrong = evaluate(
        parts._replace(test=Labelled(parts.test.features, (parts.test.labels + 1) % 10)), 10, 20, 0.07, (1e-2, 1e-3)
    )
    changed = {name for name in honest.scores if honest.scores[name] != wrong.scores[name]}
    assert changed == {"linear", "knn"}
    np.testing.assert_array_equal(honest.predictions["linear"], wrong.predictions["linear"])
    np.testing.assert_array_equal(honest.predictions["knn"], wrong.predictions["knn"])


def test_more_than_256_classes_get_wider_integers(parts):
    assert evaluate(parts, 1000, 20, 0.07, (1e-2,)).predictions["knn"].dtype == np.uint16


def test_unlabelled_images_are_left_out_before_extraction(monkeypatch):
    extracted = []

    def extract(encoder, images, image_size, mean, std, precision, rows):
        extracted.append(rows.tolist())
        return rows.unsqueeze(1).float()

    monkeypatch.setattr(protocol, "extract", extract)
    labels = {"train": [2, -1, 0, -1], "validation": [1, 0], "test": [-1, 1]}
    data = SimpleNamespace(
        mean=None, std=None, **{k: SimpleNamespace(labels=torch.tensor(v)) for k, v in labels.items()}
    )
    parts = labelled_features(nn.Identity(), data, 32, "float32")
    assert extracted == [[0, 2], [0, 1], [1]]
    assert [part.labels.tolist() for part in parts] == [[2, 0], [1, 0], [1]]
    assert parts.train.features.tolist() == [[0.0], [2.0]]
