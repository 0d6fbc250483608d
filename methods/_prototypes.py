"""Prototypes to which images are softly assigned, and the loss that predicts one view's assignment from another."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.api import Context

LARGE_VIEWS = 2
"""With multi-crop the large views come first."""
FROZEN_SHARE = 0.01
"""Longest part of the run in which prototypes stand still: the official codes' one epoch of 100 (SwAV, DINO)."""


class Prototypes(nn.Module):
    """K trained directions (K, D), unit rows at the start; frozen for the first epoch, 1 % of the run at most."""

    learning: Tensor

    def __init__(self, number: int, width: int, context: Context) -> None:
        super().__init__()
        self.total_steps = context.total_steps
        self.frozen_steps = min(context.steps_per_epoch, int(FROZEN_SHARE * context.total_steps))
        self.weight = nn.Parameter(F.normalize(torch.randn(number, width), dim=1))
        self.register_buffer("learning", torch.tensor(float(self.frozen_steps == 0)))

    def forward(self) -> Tensor:
        """The weight (K, D); its gradient is 0 while it is frozen."""
        still = self.weight.detach()
        return still + self.learning * (self.weight - still)

    def after_step(self, progress: float) -> None:
        """Thaw when the time has come; `progress` of the run in (0, 1]."""
        self.learning.fill_(float(round(progress * self.total_steps) >= self.frozen_steps))


def swapped_prediction(assignments: Sequence[Tensor], scores: Sequence[Tensor], temperature: float) -> Tensor:
    """Mean of -sum_k q_uk log softmax(s_v / temperature)_k over images and over pairs of views u != v.

    `assignments` q (B, K) belong to the large views, `scores` s (B, K) to all views, the large ones first.
    """
    losses = []
    for v, score in enumerate(scores):
        predicted = F.log_softmax(score / temperature, dim=1)
        losses += [-(q * predicted).sum(1).mean() for u, q in enumerate(assignments) if u != v]
    return torch.stack(losses).mean()


def entropy(probabilities: Tensor) -> Tensor:
    """Mean entropy in nats, 0 to log K, of distributions (B, K)."""
    return torch.special.entr(probabilities).sum(1).mean()
