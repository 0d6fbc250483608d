"""The logistic regression against scikit-learn's, and the protocol of the probe around it."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

from bench.errors import UserError
from bench.evaluate import logistic
from bench.evaluate.linear import Labelled, Standardiser, linear_probe
from bench.evaluate.logistic import regularisation_path

PROBABILITY_TOLERANCE = 1e-3
"""How far from scikit-learn's probabilities a solution at GRADIENT_TOLERANCE may be; 7e-4 was the most seen."""
STRENGTHS = (10.0, 1.0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5)


def digits():
    images, labels = load_digits(return_X_y=True)  # three of the 64 pixels are constant
    features, targets = torch.from_numpy(images).float(), torch.from_numpy(labels).long()
    return tuple(
        Labelled(features[part], targets[part]) for part in (slice(1000), slice(1000, 1300), slice(1300, None))
    )


def clusters(spread, width=12, count=300, num_classes=4):
    """Correlated Gaussian classes; `spread` 0.05 makes them linearly separable."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(num_classes, (count,), generator=generator)
    mixing = torch.randn(width, width, generator=generator) * torch.linspace(0.02, 1, width)
    centres = torch.randn(num_classes, width, generator=generator)
    return Labelled((centres[labels] + spread * torch.randn(count, width, generator=generator)) @ mixing, labels)


def scikit_learn(features, labels, strength):
    return LogisticRegression(C=1 / (strength * len(labels)), tol=1e-10, max_iter=20_000).fit(features, labels)


def undecided(probabilities):
    """Examples whose two likeliest classes are closer than twice PROBABILITY_TOLERANCE: either may be predicted."""
    second, first = np.sort(probabilities, axis=1)[:, -2:].T
    return first - second <= 2 * PROBABILITY_TOLERANCE


DATA = {
    "digits, with constant features": digits()[0],
    "overlapping": clusters(1.0),
    "linearly separable": clusters(0.05),
    "more features than examples": clusters(0.5, width=80, count=50),
}


@pytest.mark.parametrize("name", DATA)
def test_every_strength_agrees_with_scikit_learn(name):
    train = DATA[name]
    features = Standardiser.fit(train.features)(train.features)
    path = regularisation_path(features, train.labels, 10 if "digits" in name else 4, STRENGTHS)
    assert [solution.strength for solution in path] == sorted(STRENGTHS, reverse=True)
    for solution in path:
        assert solution.converged
        theirs = scikit_learn(features.numpy(), train.labels.numpy(), solution.strength)
        probabilities = solution.logits(features).softmax(1).numpy()
        expected = theirs.predict_proba(features.numpy())
        np.testing.assert_allclose(probabilities, expected, atol=PROBABILITY_TOLERANCE, rtol=0)


@pytest.mark.parametrize("name", DATA)
def test_coefficients_are_those_of_scikit_learn(name, monkeypatch):
    """At a tolerance at which both are near the optimum even where the objective is almost flat."""
    monkeypatch.setattr(logistic, "GRADIENT_TOLERANCE", 1e-8)
    train = DATA[name]
    features = Standardiser.fit(train.features)(train.features)
    for solution in regularisation_path(features, train.labels, 10 if "digits" in name else 4, STRENGTHS[:-1]):
        theirs = scikit_learn(features.numpy(), train.labels.numpy(), solution.strength)
        np.testing.assert_allclose(solution.weight.T.numpy(), theirs.coef_, atol=1e-4, rtol=0)
        np.testing.assert_allclose(solution.intercept.numpy(), theirs.intercept_, atol=1e-3, rtol=0)


def test_intercepts_are_free_of_regularisation():
    features, labels = torch.zeros(10, 3, dtype=torch.float64), torch.tensor([0] * 7 + [1] * 2 + [2])
    (solution,) = regularisation_path(features, labels, 3, [100.0])
    np.testing.assert_allclose(solution.logits(features).softmax(1)[0].numpy(), [0.7, 0.2, 0.1], atol=1e-4)


def test_two_classes_have_the_stated_strength(monkeypatch):
    monkeypatch.setattr(logistic, "GRADIENT_TOLERANCE", 1e-8)
    train = clusters(1.0, num_classes=2)
    features = Standardiser.fit(train.features)(train.features)
    for solution in regularisation_path(features, train.labels, 2, (1.0, 1e-2)):
        C = 2 / (solution.strength * len(train.labels))
        theirs = LogisticRegression(C=C, tol=1e-10, max_iter=20_000).fit(features.numpy(), train.labels.numpy())
        difference = (solution.weight[:, 1] - solution.weight[:, 0]).numpy()
        np.testing.assert_allclose(difference, theirs.coef_[0], atol=1e-5, rtol=0)


def test_class_absent_in_training_is_never_predicted():
    train = clusters(1.0)
    kept = train.labels != 2
    features = Standardiser.fit(train.features[kept])(train.features[kept])
    for solution in regularisation_path(features, train.labels[kept], 4, STRENGTHS):
        assert solution.converged
        probabilities = solution.logits(features).softmax(1).numpy()
        theirs = scikit_learn(features.numpy(), train.labels[kept].numpy(), solution.strength)
        assert (probabilities[:, 2] == 0).all()
        expected = theirs.predict_proba(features.numpy())
        np.testing.assert_allclose(probabilities[:, [0, 1, 3]], expected, atol=PROBABILITY_TOLERANCE, rtol=0)


def test_standardiser_agrees_with_scikit_learn_and_keeps_constant_features_at_zero():
    train, _, test = digits()
    constant = torch.full((len(train.features), 1), 0.1)
    features = torch.cat([train.features, constant], dim=1)
    standardise = Standardiser.fit(features)
    ours = standardise(features).numpy()
    np.testing.assert_allclose(ours[:, :-1], StandardScaler().fit_transform(train.features.double().numpy()), atol=1e-9)
    assert (ours[:, -1] == 0).all()
    elsewhere = torch.cat([test.features, torch.rand(len(test.features), 1)], dim=1)
    assert (standardise(elsewhere)[:, -1] == 0).all()


def test_probe_agrees_with_the_same_protocol_in_scikit_learn():
    train, validation, test = digits()
    scaler = StandardScaler().fit(train.features.double().numpy())
    scaled = [scaler.transform(part.features.double().numpy()) for part in (train, validation, test)]
    probe = linear_probe(train, validation, test, 10, STRENGTHS)
    assert probe.converged

    models = {strength: scikit_learn(scaled[0], train.labels.numpy(), strength) for strength in STRENGTHS}
    for point in probe.path:
        model = models[point.strength]
        ties = undecided(model.predict_proba(scaled[1])).mean()
        expected = model.score(scaled[1], validation.labels.numpy())
        assert point.validation_accuracy == pytest.approx(expected, abs=ties + 1e-12)
    best = max(probe.path, key=lambda point: (point.validation_accuracy, point.strength))
    assert (probe.strength, probe.validation_accuracy) == (best.strength, best.validation_accuracy)

    chosen = models[probe.strength]
    clear = ~undecided(chosen.predict_proba(scaled[2]))
    assert clear.mean() > 0.99
    np.testing.assert_array_equal(probe.predictions.numpy()[clear], chosen.predict(scaled[2])[clear])
    assert probe.accuracy == (probe.predictions == test.labels).double().mean().item()


def test_ties_take_the_strongest_regularisation():
    """On well separated clusters every strength but an absurd one is perfect."""
    data = clusters(0.001)
    probe = linear_probe(data, data, data, 4, (1e-4, 1e-2, 1e-3))
    assert [point.validation_accuracy for point in probe.path] == [1.0, 1.0, 1.0]
    assert probe.strength == 1e-2


def test_labels_of_test_change_nothing_but_the_accuracy():
    train, validation, test = digits()
    honest = linear_probe(train, validation, test, 10, STRENGTHS)
    wrong = linear_probe(train, validation, Labelled(test.features, (test.labels + 1) % 10), 10, STRENGTHS)
    assert wrong.path == honest.path
    assert torch.equal(wrong.predictions, honest.predictions)
    assert wrong.accuracy < 0.1 < honest.accuracy


@pytest.mark.parametrize("threads_of_blas", [1, 2])
def test_the_same_bits_whatever_the_threads_of_scipy(threads_of_blas):
    """Wide enough for OpenBLAS to share a dot product between threads (over 10,000 entries)."""
    generator = torch.Generator().manual_seed(0)
    features = torch.randn(300, 250, generator=generator, dtype=torch.float64)
    labels = torch.arange(300) % 50
    (expected,) = regularisation_path(features, labels, 50, [1e-3])
    with threadpool_limits(threads_of_blas, user_api="blas"):
        (solution,) = regularisation_path(features, labels, 50, [1e-3])
    assert torch.equal(solution.weight, expected.weight)
    assert torch.equal(solution.intercept, expected.intercept)


def test_blocks_of_rows_add_up(monkeypatch):
    train = digits()[0]
    features = Standardiser.fit(train.features)(train.features)
    (whole,) = regularisation_path(features, train.labels, 10, [0.1])
    monkeypatch.setattr(logistic, "BLOCK", 77)
    (blocked,) = regularisation_path(features, train.labels, 10, [0.1])
    torch.testing.assert_close(blocked.weight, whole.weight, atol=2e-4, rtol=0)


def test_running_out_of_iterations_is_said(monkeypatch):
    monkeypatch.setattr(logistic, "ITERATION_LIMIT", 3)
    train, validation, test = digits()
    probe = linear_probe(train, validation, test, 10, (1e-3,))
    assert not probe.converged
    assert not probe.path[0].converged
    assert probe.path[0].gradient_norm > logistic.GRADIENT_TOLERANCE


def test_constant_features_give_the_majority_class():
    labels = torch.tensor([0, 1, 1, 2])
    data = Labelled(torch.full((4, 3), 0.1), labels)
    probe = linear_probe(data, data, data, 3, STRENGTHS)
    assert probe.predictions.tolist() == [1, 1, 1, 1]
    assert probe.converged


def test_one_class_in_training():
    data = Labelled(torch.randn(5, 3, generator=torch.Generator().manual_seed(0)), torch.ones(5, dtype=torch.int64))
    assert linear_probe(data, data, data, 3, (1.0,)).predictions.tolist() == [1] * 5


@pytest.mark.parametrize("strengths", [(), (0.0,), (1.0, -1.0), (float("nan"),)])
def test_strengths_out_of_range(strengths):
    data = clusters(1.0)
    with pytest.raises(UserError, match="strengths above 0"):
        linear_probe(data, data, data, 4, strengths)


@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_part_without_images(position):
    parts = [clusters(1.0)] * 3
    parts[position] = Labelled(torch.zeros(0, 12), torch.zeros(0, dtype=torch.int64))
    with pytest.raises(UserError, match=("training", "validation", "test")[position]):
        linear_probe(*parts, 4, (1.0,))
