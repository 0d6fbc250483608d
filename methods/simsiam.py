"""SimSiam: siamese networks with a stop-gradient and a predictor, without negatives or momentum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from bench.api import Context, Method, Terms
from bench.methods._heads import predictor, projector
from bench.methods._standardise import at_least_float32

BOTTLENECK = 4
"""How much narrower than the embedding the predictor's hidden layer is: 2048-512-2048 (paper, section 3)."""


@dataclass(frozen=True)
class Config:
    """Empty: the objective has no hyperparameter."""


def objective(predictions: Sequence[Tensor], embeddings: Sequence[Tensor]) -> tuple[Tensor, Terms]:
    """-1/2 cos(p1, stop-gradient z2) - 1/2 cos(p2, stop-gradient z1), mean over the batch: paper, equations 1-4.

    Two predictions and two embeddings (B, D). The term `spread` is the standard deviation of z / |z| over the batch,
    averaged over features and views, times sqrt(D): near 1 for isotropic embeddings, 0 for collapsed ones (section
    4.1, figure 2).
    """
    p1, p2 = map(at_least_float32, predictions)
    z1, z2 = (at_least_float32(z).detach() for z in embeddings)
    agreement = (F.cosine_similarity(p1, z2, dim=1).mean() + F.cosine_similarity(p2, z1, dim=1).mean()) / 2
    return -agreement, {"spread": (_spread(z1) + _spread(z2)) / 2}


class SimSiam(Method):
    """SimSiam; its projector ends in batch normalisation, and its predictor's learning rate stays constant."""

    citation = "Chen, He (2021), Exploring Simple Siamese Representation Learning, arXiv:2011.10566"
    Config = Config
    constant_rate = ("predictor",)

    def __init__(self, encoder: nn.Module, context: Context) -> None:
        super().__init__(encoder, context)
        width = context.projector.output
        self.projector = projector(context, normalise_output=True)
        self.predictor = predictor(width, width // BOTTLENECK)

    def embed(self, features: Tensor) -> Tensor:
        return self.projector(features)

    def loss(self, views: Sequence[Tensor], indices: Tensor, labels: Tensor | None) -> tuple[Tensor, Terms]:
        embeddings = [self.embed(self.encoder(view)) for view in views]
        return objective([self.predictor(z) for z in embeddings], embeddings)


def _spread(z: Tensor) -> Tensor:
    return F.normalize(z, dim=1).std(0).mean() * z.shape[1] ** 0.5
