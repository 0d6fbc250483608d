"""SimSiam: siamese networks with a stop-gradient and a predictor, without negatives or momentum."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor, linalg, nn

from bench.api import Context, Method, Terms
from bench.methods._heads import predictor, projector
from bench.methods._standardise import at_least_float32, unit_rows

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
    z1, z2 = (unit_rows(z.detach()) for z in embeddings)
    agreement = (_cosines(p1, z2).mean() + _cosines(p2, z1).mean()) / 2
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


def _cosines(p: Tensor, unit: Tensor) -> Tensor:
    """Of the rows of p with rows of length 1; a row of zeros has 0."""
    return linalg.vecdot(p, unit) / linalg.vector_norm(p, dim=1).clamp_min(1e-12)


def _spread(unit: Tensor) -> Tensor:
    count, width = unit.shape
    centred = unit - unit.mean(0)  # torch.std over the batch takes longer than all else here
    return (linalg.vecdot(centred, centred, dim=0) / (count - 1)).sqrt().mean() * width**0.5
