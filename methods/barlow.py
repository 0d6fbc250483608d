"""Barlow Twins: redundancy reduction on the D x D cross-correlation matrix."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from bench.api import Range, Search, Terms
from bench.methods._gram import gram_product
from bench.methods._joint_embedding import JointEmbedding
from bench.methods._pairs import pair_sums, squares
from bench.methods._standardise import at_least_float32, standardise


@dataclass(frozen=True)
class Config:
    lambda_: Annotated[float, Range(minimum=0), Search(0.001, 0.3)] = 0.0051
    """Weight of the redundancy term; official code and paper, section 2.1."""
    scale: Annotated[float, Range(above=0)] = 1.0
    """Factor on the whole loss; official code 1 (with LARS), solo-learn 0.1 on CIFAR."""


def objective(
    za: Tensor, zb: Tensor, lambda_: float, scale: float = 1.0, form: str | None = None
) -> tuple[Tensor, Terms]:
    """sum_i (1 - C_ii)^2 + lambda sum_{i != j} C_ij^2 with C = A^T Z / B of standardised embeddings (B, D); eq. 1-2.

    `form` 'features' builds C (D x D). 'samples' uses sum_ij C_ij^2 = <A A^T, Z Z^T> / B^2 and needs only B x B
    matrices: the same value and gradient. None takes the one of fewer operations, forward and backward: 8 B^2 D against
    6 B D^2.
    """
    batch, width = za.shape
    a, z = standardise(at_least_float32(za)), standardise(at_least_float32(zb))
    if (form or ("samples" if 4 * batch < 3 * width else "features")) == "samples":
        diagonal = (a * z).sum(0) / batch
        redundancy = gram_product(a, z) / batch**2 - diagonal.square().sum()
    else:
        diagonal, redundancy = pair_sums(a.T, z.T, 1 / batch, squares)
    invariance = (1 - diagonal).square().sum()
    terms = {"invariance": invariance, "redundancy": redundancy, "mean_correlation": diagonal.mean()}
    return scale * (invariance + lambda_ * redundancy), terms


class BarlowTwins(JointEmbedding):
    """Barlow Twins on a projector without normalisation of its output (official code)."""

    citation = "Zbontar, Jing, Misra, LeCun, Deny (2021), Barlow Twins, arXiv:2103.03230"
    Config = Config

    def objective(self, za: Tensor, zb: Tensor) -> tuple[Tensor, Terms]:
        return objective(za, zb, self.config.lambda_, self.config.scale)
