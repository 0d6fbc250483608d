"""Explicit MI (reconstructed): log-det Gaussian mutual information between the embeddings of two views.

The formula of the mutual information is the paper's; the trained loss and its settings are not public, so that
regularisation, scale and width are ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn

from bench.api import Context, Range, Search, Terms
from bench.errors import UserError
from bench.methods._heads import projector
from bench.methods._joint_embedding import JointEmbedding
from bench.methods._standardise import at_least_float32, standardise

IMAGES_PER_DIMENSION = 8
"""Fewest images of a batch per embedding dimension. At B = 2 D sample covariances of any two views are nearly
singular together, their mutual information is near its maximum, and nothing is learned (measured on digits)."""


@dataclass(frozen=True)
class Config:
    width: Annotated[int, Range(minimum=2)] | None = None
    """Width D of the embedding, at most B / 8; None: the projector's, or B / 8 where that is less (ours)."""
    beta: Annotated[float, Range(minimum=1e-2), Search(0.01, 1)] = 0.1
    """Added to the diagonal of the covariances (ours); bounds the information per dimension."""


def objective(za: Tensor, zb: Tensor, beta: float) -> tuple[Tensor, Terms]:
    """Minus the mutual information per dimension, in nats, of projected views (B, D) taken as jointly Gaussian.

    I = 1/2 (log det C_aa + log det C_bb - log det C_J), theorem 1, with C_J the covariance of the two together;
    features are standardised over the batch and beta is added to every variance. Determinants in float64.
    """
    batch, width = za.shape
    both = torch.cat([standardise(at_least_float32(z)) for z in (za, zb)], dim=1).double()
    joint = both.T @ both / batch + beta * torch.eye(2 * width, dtype=both.dtype, device=both.device)
    separate = _log_determinant(joint[:width, :width]) + _log_determinant(joint[width:, width:])
    information = (separate - _log_determinant(joint)) / 2
    loss = (-information / width).to(at_least_float32(za).dtype)
    return loss, {"mutual_information": -loss * width}


class ExplicitMI(JointEmbedding):
    """Explicit mutual-information maximisation on a projector narrow enough for its batch."""

    citation = "Chang, Liu, Guo, Wen (2024), Explicit Mutual Information Maximization, arXiv:2409.04747 (reconstructed)"
    Config = Config

    def __init__(self, encoder: nn.Module, context: Context) -> None:
        super().__init__(encoder, context)
        self.width = _width(context)
        self.projector = projector(context, output=self.width)

    @classmethod
    def check(cls, context: Context) -> None:
        """Raise UserError for an embedding too wide for its batch."""
        if _width(context) > _widest(context):
            raise UserError(
                f"explicit_mi.width={context.config.width} is too wide for covariances of {context.batch_size} images: "
                f"take at most {_widest(context)}, or a larger batch."
            )

    def resolved(self) -> dict[str, float]:
        """The width of the embedding."""
        return {"width": self.width}

    def objective(self, za: Tensor, zb: Tensor) -> tuple[Tensor, Terms]:
        return objective(za, zb, self.config.beta)


def _widest(context: Context) -> int:
    return max(2, context.batch_size // IMAGES_PER_DIMENSION)


def _width(context: Context) -> int:
    return context.config.width or min(context.projector.output, _widest(context))


def _log_determinant(matrix: Tensor) -> Tensor:
    """Of a positive definite matrix (n, n), which a covariance plus beta is; nothing is read back to the host."""
    return 2 * torch.linalg.cholesky_ex(matrix).L.diagonal().log().sum()
