"""The linear probe: logistic regression on standardised frozen features, its strength chosen on validation."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from bench.errors import UserError
from bench.evaluate.logistic import regularisation_path


class Labelled(NamedTuple):
    """Features (N, d) float32 with their classes (N,) int64, on one device."""

    features: Tensor
    labels: Tensor


@dataclass(frozen=True)
class PathPoint:
    """What one strength gave on the way to the choice."""

    strength: float
    validation_accuracy: float
    gradient_norm: float
    converged: bool


@dataclass(frozen=True)
class Probe:
    """Result of `linear_probe`; accuracies in [0, 1]."""

    accuracy: float
    validation_accuracy: float
    strength: float
    predictions: Tensor
    """Predicted classes (N_test,) int64."""
    path: tuple[PathPoint, ...]
    """Every strength tried, from the strongest to the weakest."""

    @property
    def converged(self) -> bool:
        """Whether the solver reached its tolerance at every strength (bench.evaluate.logistic)."""
        return all(point.converged for point in self.path)


@torch.no_grad()
def linear_probe(
    train: Labelled, validation: Labelled, test: Labelled, num_classes: int, strengths: Sequence[float]
) -> Probe:
    """Accuracy on `test` of the regression that is fitted to `train` and best on `validation`.

    Features are standardised by the mean and standard deviation of `train`; one that does not vary there is zero
    everywhere. `strengths` are those of bench.evaluate.logistic: scikit-learn's C = 1 / (strength * N). Among
    strengths of equal validation accuracy the strongest is taken. Only that one's regression sees `test`.

    Raises UserError for strengths that are not positive and for a part without images.
    """
    if not strengths or not all(strength > 0 for strength in strengths):
        raise UserError(f"The linear probe needs regularisation strengths above 0, not {list(strengths)}.")
    for name, part in (("training", train), ("validation", validation), ("test", test)):
        if len(part.labels) == 0:
            raise UserError(f"The linear probe has no labelled {name} image.")
    standardise = Standardiser.fit(train.features)
    path = regularisation_path(standardise(train.features), train.labels, num_classes, strengths)
    held_out = standardise(validation.features)
    correct = [int((solution.logits(held_out).argmax(1) == validation.labels).sum()) for solution in path]
    best = correct.index(max(correct))
    predictions = path[best].logits(standardise(test.features)).argmax(1)
    return Probe(
        accuracy=accuracy(predictions, test.labels),
        validation_accuracy=correct[best] / len(held_out),
        strength=path[best].strength,
        predictions=predictions,
        path=tuple(
            PathPoint(solution.strength, count / len(held_out), solution.gradient_norm, solution.converged)
            for solution, count in zip(path, correct, strict=True)
        ),
    )


@dataclass(frozen=True)
class Standardiser:
    """Affine map of features to mean 0 and standard deviation 1 over the features it was fitted to, in float64."""

    mean: Tensor
    factor: Tensor

    @classmethod
    def fit(cls, features: Tensor) -> Standardiser:
        deviation, mean = torch.std_mean(features.double(), dim=0, correction=0)
        # Below the rounding of float32 there is no variation to scale up.
        varies = deviation > torch.finfo(torch.float32).eps * mean.abs()
        return cls(mean, torch.where(varies, 1 / deviation, 0.0))

    def __call__(self, features: Tensor) -> Tensor:
        return (features.double() - self.mean) * self.factor


def accuracy(predictions: Tensor, labels: Tensor) -> float:
    """Fraction of equal entries of two (N,) tensors, N > 0."""
    return int((predictions == labels).sum()) / len(labels)
