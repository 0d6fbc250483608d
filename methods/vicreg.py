"""VICReg: variance, invariance and covariance regularisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.api import Range, Search, Terms
from bench.methods._gram import gram_norm
from bench.methods._joint_embedding import JointEmbedding
from bench.methods._standardise import at_least_float32

Weight = Annotated[float, Range(minimum=0)]


@dataclass(frozen=True)
class Config:
    invariance: Weight = 25.0
    """Weight of the mean squared distance between the views; paper, section 4.2 (lambda)."""
    variance: Weight = 25.0
    """Weight of the hinge on the standard deviations; paper (mu)."""
    covariance: Annotated[float, Range(minimum=0), Search(0.1, 30)] = 1.0
    """Weight of the squared covariances; paper (nu)."""
    variant: Literal["official", "solo-learn"] = "official"
    """The official code averages the variance term over the two views; solo-learn adds it up, twice the weight."""


def objective(za: Tensor, zb: Tensor, config: Config) -> tuple[Tensor, Terms]:
    """25 s(za, zb) + 25 v + 1 c for projected views (B, D): paper, equation 6, as in the official code.

    s is the mean squared error over B and D; v averages relu(1 - sqrt(Var + 1e-4)) over features (unbiased variance)
    and views; c sums the squared off-diagonal covariances over features and views, divided by D.
    """
    za, zb = at_least_float32(za), at_least_float32(zb)
    invariance = F.mse_loss(za, zb)
    (variance_a, covariance_a), (variance_b, covariance_b) = _spread(za), _spread(zb)
    variance, covariance = variance_a + variance_b, covariance_a + covariance_b
    if config.variant == "official":
        variance = variance / 2
    loss = config.invariance * invariance + config.variance * variance + config.covariance * covariance
    return loss, {"invariance": invariance, "variance": variance, "covariance": covariance}


class VICReg(JointEmbedding):
    """VICReg on a projector ('expander') without normalisation of its output."""

    citation = "Bardes, Ponce, LeCun (2022), VICReg, arXiv:2105.04906"
    Config = Config

    def objective(self, za: Tensor, zb: Tensor) -> tuple[Tensor, Terms]:
        return objective(za, zb, self.config)


def _spread(z: Tensor) -> tuple[Tensor, Tensor]:
    """mean_j relu(1 - std_j) and sum_{i != j} Cov_ij^2 / D of one view (B, D)."""
    batch, width = z.shape
    z = z - z.mean(0)
    squares = z.square().sum(0)
    variance = F.relu(1 - torch.sqrt(squares / (batch - 1) + 1e-4)).mean()
    covariance = (gram_norm(z) - squares.square().sum()) / ((batch - 1) ** 2 * width)
    return variance, covariance
