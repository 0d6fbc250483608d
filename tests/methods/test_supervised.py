"""The supervised reference row: cross-entropy over both views by its definition, unlabelled images left out."""

import torch

from bench.api import Context, Projector
from bench.methods.supervised import Config, Supervised, objective


def reference(logits, labels, smoothing):
    """Image by image: -sum_k t_k log softmax_k, with t = (1 - s) one-hot + s / classes."""
    losses = []
    for view in logits:
        for row, label in zip(view, labels.tolist(), strict=True):
            if label >= 0:
                log_probabilities = row - row.exp().sum().log()
                losses.append(-(1 - smoothing) * log_probabilities[label] - smoothing * log_probabilities.mean())
    return sum(losses) / len(losses)


def test_value_and_gradient_are_the_definitions(embeddings, agrees):
    labels = torch.tensor([0, 3, -1, 2, 2, -1])
    for smoothing in (0.0, 0.1):
        logits = embeddings(6, 4)
        agrees(objective(logits, labels, smoothing)[0], reference(logits, labels, smoothing), logits)


def test_accuracy_counts_labelled_images_alone():
    logits = [torch.eye(4), torch.eye(4).roll(1, 0)]
    _, terms = objective(logits, torch.tensor([0, 1, -1, 0]), 0.0)
    assert torch.isclose(terms["train_accuracy"], torch.tensor(2 / 6))
    assert objective(logits, torch.full((4,), -1), 0.0)[0] == 0, "a batch without labels"


def test_the_method_classifies_the_encoders_features_of_both_views():
    torch.manual_seed(0)
    context = Context(Config(), 5, Projector(4, 4, 2), 3, total_steps=9, steps_per_epoch=3, batch_size=6)
    method = Supervised(torch.nn.Linear(7, 5), context).double()
    views, labels = torch.randn(2, 6, 7, dtype=torch.float64), torch.tensor([0, 1, 2, 2, 1, 0])
    loss, _ = method(list(views), torch.arange(6), labels)
    weight, bias = method.classifier.weight, method.classifier.bias
    expected = reference([method.encoder(view) @ weight.T + bias for view in views], labels, 0.0)
    assert torch.isclose(loss, expected, rtol=1e-12)
