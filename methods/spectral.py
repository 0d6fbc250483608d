"""Spectral Contrastive: spectral decomposition of the augmentation graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from bench.api import Range, Search, Terms
from bench.methods._joint_embedding import JointEmbedding
from bench.methods._pairs import pair_sums, squares
from bench.methods._standardise import at_least_float32


@dataclass(frozen=True)
class Config:
    mu: Annotated[float, Range(above=0), Search(0.3, 30)] = 1.0
    """Embeddings are cut to the norm sqrt(mu); official code: 1 on CIFAR, 10 on ImageNet."""


def objective(za: Tensor, zb: Tensor, mu: float) -> tuple[Tensor, Terms]:
    """(-2 mean_i <a_i, b_i> + mean_{i != j} <a_i, b_j>^2) / mu for projected views (B, D): paper, equation 6.

    Rows longer than sqrt(mu) are cut to that length first. The scale 1 / mu is the official code's.
    """
    a, b = _within(at_least_float32(za), mu), _within(at_least_float32(zb), mu)
    batch = len(a)
    positives, total = pair_sums(a, b, 1.0, squares)
    attraction, repulsion = positives.mean(), total / (batch * (batch - 1))
    return (repulsion - 2 * attraction) / mu, {"attraction": attraction, "repulsion": repulsion}


class SpectralContrastive(JointEmbedding):
    """Spectral Contrastive Learning on the shared projector (official code: two or three layers, BN on the output)."""

    citation = "HaoChen, Wei, Gaidon, Ma (2021), Provable Guarantees by Spectral Contrastive Loss, arXiv:2106.04156"
    Config = Config

    def objective(self, za: Tensor, zb: Tensor) -> tuple[Tensor, Terms]:
        return objective(za, zb, self.config.mu)


def _within(z: Tensor, mu: float) -> Tensor:
    radius = mu**0.5
    return z * (radius / z.norm(dim=1, keepdim=True).clamp_min(radius))
