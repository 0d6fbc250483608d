"""What a run's encoder is scored by: linear probe and weighted kNN on frozen features."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from torch import Tensor, nn

from bench.evaluate.features import extract
from bench.evaluate.knn import knn_predict
from bench.evaluate.linear import Labelled, accuracy, linear_probe

if TYPE_CHECKING:
    from bench.data import Data, Images

STRENGTHS = (1e1, 1e0, 1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6)
"""Regularisation strengths of the linear probe (bench.evaluate.logistic)."""


class Parts(NamedTuple):
    """Features and labels of the labelled images of each part."""

    train: Labelled
    validation: Labelled
    test: Labelled


@dataclass(frozen=True)
class Evaluation:
    """Result of `evaluate`.

    `scores`: accuracies in [0, 1] `linear` and `knn` on test, `linear_validation` and `knn_validation`.
    `probe`: the chosen `strength` of the linear probe, and `converged`: whether the solver reached its tolerance at
    every strength.
    `predictions`: classes (N_test,) of the labelled test images in their order, by `linear` and `knn`, in the
    smallest unsigned integer type that holds them.
    """

    scores: dict[str, float]
    probe: dict[str, float | bool]
    predictions: dict[str, np.ndarray]


def labelled_features(encoder: nn.Module, data: Data, image_size: int, precision: str) -> Parts:
    """Features of every labelled image of `data`, extracted once."""
    return Parts(
        *(
            part_features(encoder, data, part, image_size, precision)
            for part in (data.train, data.validation, data.test)
        )
    )


def part_features(encoder: nn.Module, data: Data, part: Images, image_size: int, precision: str) -> Labelled:
    """Features of the labelled images of one part of `data`; those labelled -1 are left out."""
    rows = (part.labels >= 0).nonzero().squeeze(1)
    features = extract(encoder, part, image_size, data.mean, data.std, precision, rows)
    return Labelled(features, part.labels[rows])


def evaluate(
    parts: Parts, num_classes: int, neighbours: int, temperature: float, strengths: Sequence[float] = STRENGTHS
) -> Evaluation:
    """Scores of both classifiers, fitted to `parts.train`; `parts.test` gives the two final numbers and nothing else.

    Raises UserError where a part has no labelled image or a setting is out of its range.
    """
    probe = linear_probe(*parts, num_classes, strengths)

    def nearest(part: Labelled) -> Tensor:
        return knn_predict(*parts.train, part.features, num_classes, neighbours, temperature)

    knn_test = nearest(parts.test)
    smallest = np.min_scalar_type(num_classes - 1)
    return Evaluation(
        scores={
            "linear": probe.accuracy,
            "knn": accuracy(knn_test, parts.test.labels),
            "linear_validation": probe.validation_accuracy,
            "knn_validation": accuracy(nearest(parts.validation), parts.validation.labels),
        },
        probe={"strength": probe.strength, "converged": probe.converged},
        predictions={
            "linear": probe.predictions.cpu().numpy().astype(smallest),
            "knn": knn_test.cpu().numpy().astype(smallest),
        },
    )
