"""SMI (reconstructed): Gaussian mutual information on the B x B sample-level dependency matrix.

The paper's equation is not public. What is implemented is inferred from its abstract: entries f(rho_ij) of the
pairwise correlations with f(rho) = -1/2 log(1 - rho^2), positives on the diagonal up, the rest down. Which form
is the paper's cannot be decided; three are offered, with ablations. f does not know the sign of a correlation: with
centre=batch a positive pair may end up opposed (the term `negative_positives` tells how many do). The matrix is per
device, by the abstract's "without global synchronization": B is the batch of one process, unless `gather` is set.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.api import Context, Range, Search, Terms
from bench.errors import UserError
from bench.methods._gather import world_size
from bench.methods._joint_embedding import JointEmbedding
from bench.methods._pairs import pair_sums, sum_of_squares
from bench.methods._standardise import at_least_float32, standardise, standardise_rows


@dataclass(frozen=True)
class Config:
    form: Literal["match", "maxmin", "fisher"] = "match"
    """How the matrix becomes a loss; see `objective`. Inferred."""
    transform: Literal["gaussian", "identity"] = "gaussian"
    """`identity` puts rho in the place of the mutual information: the linear ablation of `match`."""
    level: Literal["sample", "feature"] = "sample"
    """`feature` does the same on Barlow Twins' D x D cross-correlation matrix: the other ablation."""
    centre: Literal["feature", "none", "batch"] | None = None
    """What is subtracted from embeddings before rows are normalised: each row's mean over its features (Pearson),
    nothing (cosine), or the batch statistics per feature; at sample level only. None: `batch` for fisher, else
    `feature`."""
    w: Annotated[float, Range(minimum=0), Search(1, 100)] | None = None
    """Weight on the mean of the off-diagonal entries (lambda = w / (B - 1) on their sum per row).
    None: 3 for maxmin, else 10 (ours: a toy study on digits)."""
    epsilon: Annotated[float, Range(minimum=1e-3, maximum=0.5)] = 1e-2
    """Shrinks rho^2 by 1 - epsilon, so that f and its slope stay finite at |rho| = 1 (ours)."""
    gather: bool = False
    """With several processes, one matrix over the whole batch instead of one per process."""

    def __post_init__(self) -> None:
        if self.transform == "identity" and self.form != "match":
            raise UserError(f"transform=identity is the linear ablation of form=match; form={self.form} has none.")
        if self.transform == "identity" and self.epsilon != Config.epsilon:
            raise UserError("epsilon has no effect with transform=identity; leave it out.")
        if self.level == "feature" and self.centre is not None:
            raise UserError("centre has no effect at level=feature, where features are standardised; leave it out.")
        if self.w is None:
            object.__setattr__(self, "w", 3.0 if self.form == "maxmin" else 10.0)
        if self.centre is None and self.level == "sample":
            object.__setattr__(self, "centre", "batch" if self.form == "fisher" else "feature")


def normalised(z: Tensor, level: str, centre: str | None) -> tuple[Tensor, float]:
    """Rows X (n, k) of one view and a scale, so that scale X_a X_b^T are the pairwise correlations of the two views.

    R (B, B) between samples, or C (D, D) between features, standardised over the batch.
    """
    z = at_least_float32(z)
    batch, width = z.shape
    if level == "feature":
        return standardise(z).T, 1 / batch
    if centre == "feature":
        return standardise_rows(z), 1 / width
    return F.normalize(standardise(z) if centre == "batch" else z, dim=1, eps=1e-8), 1.0


def gaussian_mutual_information(rho: Tensor, epsilon: float) -> Tensor:
    """-1/2 log(1 - (1 - epsilon) rho^2) in nats, 0 to -1/2 log(epsilon): MI of two Gaussians of correlation rho."""
    return -0.5 * torch.log1p(-(1 - epsilon) * rho.square())


def objective(za: Tensor, zb: Tensor, config: Config) -> tuple[Tensor, Terms]:
    """Scalar loss of projected views (B, D). With M = f(rho), m = M / max M in [0, 1], and means over i and i != j:

    match:  mean (1 - m_ii)^2 + w mean m_ij^2;  with transform=identity: mean (1 - rho_ii)^2 + w mean rho_ij^2
    maxmin: -mean M_ii + w mean M_ij
    fisher: -mean atanh((1 - epsilon) rho_ii) + w mean M_ij;  atanh(rho) = f(rho) + log(1 + rho) knows the sign
    """
    assert config.w is not None
    (a, scale), (b, _) = (normalised(z, config.level, config.centre) for z in (za, zb))
    positives, total, magnitude, saturated = pair_sums(a, b, scale, partial(_off_diagonal, config=config))
    size = len(positives)
    pairs = size * (size - 1)
    information = gaussian_mutual_information(positives, config.epsilon)
    if config.form == "match":
        matched = positives if config.transform == "identity" else information / _most(config)
        alignment = (1 - matched).square().mean()
    elif config.form == "maxmin":
        alignment = -information.mean()
    else:
        alignment = -torch.atanh((1 - config.epsilon) * positives).mean()
    redundancy = total / pairs
    seen = positives.detach()
    return alignment + config.w * redundancy, {
        "alignment": alignment,
        "redundancy": redundancy,
        "positive_correlation": seen.mean(),
        "negative_correlation": magnitude / pairs,
        "negative_positives": (seen < 0).to(seen.dtype).mean(),
        "positive_information": information.detach().mean(),
        "saturated": (torch.count_nonzero(seen.square() > 1 - config.epsilon) + saturated) / size**2,
    }


def _off_diagonal(rho: Tensor, config: Config) -> tuple[Tensor, ...]:
    """Sum and slope of the redundancy's entries, m^2, rho^2 or M; the sum of |rho| and how many saturate f."""
    square = rho.square()
    magnitude = torch.linalg.vector_norm(rho, 1, dim=1).sum()
    saturated = torch.count_nonzero(square > 1 - config.epsilon)
    if config.transform == "identity":
        return square.sum(), rho.mul_(2), magnitude, saturated
    information = torch.log1p(square.mul_(config.epsilon - 1)).mul_(-0.5)
    slope = rho.div_(square.add_(1)).mul_(1 - config.epsilon)  # of M: (1 - epsilon) rho / (1 - (1 - epsilon) rho^2)
    if config.form == "match":
        total = sum_of_squares(information) / _most(config) ** 2
        return total, slope.mul_(information).mul_(2 / _most(config) ** 2), magnitude, saturated
    return information.sum(), slope, magnitude, saturated


def _most(config: Config) -> float:
    """max M, the mutual information at |rho| = 1."""
    return -0.5 * math.log(config.epsilon)


class SMI(JointEmbedding):
    """SMI on Barlow Twins' projector, so that the objective is what differs."""

    citation = "Mishra, Ballester, Karatzas (2026), Semantic Mutual Information, arXiv:2606.08332 (reconstructed)"
    Config = Config

    def __init__(self, encoder: nn.Module, context: Context) -> None:
        super().__init__(encoder, context)
        self.gathers = self.config.gather
        self.matrix_size = context.batch_size if self.gathers else context.batch_size // world_size()
        if self.config.level == "feature":
            self.matrix_size = context.projector.output

    def resolved(self) -> dict[str, float]:
        """lambda, the weight on each off-diagonal entry that `w` on their mean amounts to."""
        return {"lambda": self.config.w / (self.matrix_size - 1)}

    def objective(self, za: Tensor, zb: Tensor) -> tuple[Tensor, Terms]:
        return objective(za, zb, self.config)
