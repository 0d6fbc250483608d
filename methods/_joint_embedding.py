"""What methods with one encoder, one projector and a loss on two embeddings share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from bench.api import Context, Method, Terms
from bench.methods._gather import gather
from bench.methods._heads import projector
from bench.methods._standardise import at_least_float32


class JointEmbedding(Method):
    """Both views through the encoder and the projector; no stop-gradient, no momentum. A subclass gives `objective`.

    The objective sees the embeddings of the whole batch, gathered from all processes, unless `gathers` is False.
    """

    gathers = True

    def __init__(self, encoder: nn.Module, context: Context) -> None:
        super().__init__(encoder, context)
        self.projector = projector(context)

    @abstractmethod
    def objective(self, za: Tensor, zb: Tensor) -> tuple[Tensor, Terms]:
        """Scalar loss and its terms for the projected views (B, D), float32 or float64."""

    def embed(self, features: Tensor) -> Tensor:
        return self.projector(features)

    def loss(self, views: Sequence[Tensor], indices: Tensor, labels: Tensor | None) -> tuple[Tensor, Terms]:
        za, zb = (at_least_float32(self.embed(self.encoder(view))) for view in views)
        with torch.autocast(za.device.type, enabled=False):
            return self.objective(*map(gather, (za, zb))) if self.gathers else self.objective(za, zb)
