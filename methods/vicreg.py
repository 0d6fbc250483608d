"""VICReg: variance, invariance and covariance regularisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.api import Range, Search, Terms
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
    variance = _variance(za) + _variance(zb)
    if config.variant == "official":
        variance = variance / 2
    covariance = _covariance(za) + _covariance(zb)
    loss = config.invariance * invariance + config.variance * variance + config.covariance * covariance
    return loss, {"invariance": invariance, "variance": variance, "covariance": covariance}


class VICReg(JointEmbedding):
    """VICReg on a projector ('expander') without normalisation of its output."""

    citation = "Bardes, Ponce, LeCun (2022), VICReg, arXiv:2105.04906"
    Config = Config

    def objective(self, za: Tensor, zb: Tensor) -> tuple[Tensor, Terms]:
        return objective(za, zb, self.config)


def _variance(z: Tensor) -> Tensor:
    return F.relu(1 - torch.sqrt(z.var(0) + 1e-4)).mean()


def _covariance(z: Tensor) -> Tensor:
    """sum_{i != j} Cov_ij^2 / D. |Z^T Z| = |Z Z^T| (Frobenius): the smaller of D x D and B x B is built."""
    batch, width = z.shape
    z = z - z.mean(0)
    products = z @ z.T if batch < width else z.T @ z
    variances = z.square().sum(0)
    return (products.square().sum() - variances.square().sum()) / ((batch - 1) ** 2 * width)
