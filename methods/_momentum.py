"""Momentum targets: an exponential moving average (EMA) of the trained network."""

from __future__ import annotations

import copy
import math

import torch
from torch import Tensor, nn

TIME_CONSTANTS = 20
"""Fewest time constants 1 / (1 - momentum) of the average that a run must be long."""


def usable_momentum(published: float, total_steps: int) -> float:
    """`published`, or as much of it as leaves a run of `total_steps` at least 20 time constants long.

    A target that hardly moves within the run teaches nothing: 0.996 needs 5,000 steps (ours). 1 stays: it is the end of
    the published cosines, at which the target stops.
    """
    if published == 1:
        return published
    return min(published, max(0.0, 1 - TIME_CONSTANTS / total_steps))


class Momentum(nn.Module):
    """The target network: a copy of `online` modules in a row, without gradient, that follows them slowly.

    Momentum rises from `base` to `final` along a cosine: BYOL, appendix A, with tau = final - (final - base)
    (cos(pi progress) + 1) / 2. Both are shortened by `usable_momentum`, so that one published as constant stays
    constant in a short run. Parameters are averaged; batch normalisation keeps its own
    statistics and, in training, uses those of the batch, as in the official codes.
    """

    def __init__(self, online: nn.Sequential, base: float, final: float, total_steps: int) -> None:
        super().__init__()
        self.target = copy.deepcopy(online).requires_grad_(False)
        self.base, self.final = usable_momentum(base, total_steps), usable_momentum(final, total_steps)
        # A list, so that the online network is not registered here as well.
        self._online: list[Tensor] = list(online.parameters())

    def forward(self, images: Tensor) -> Tensor:
        with torch.no_grad():
            return self.target(images)

    def resolved(self) -> dict[str, float]:
        """What `Method.resolved` says of this target: its momentum at the start and at the end of this run."""
        return {"momentum": self.base, "final_momentum": self.final}

    @torch.no_grad()
    def update(self, progress: float) -> None:
        """Move the target towards the online network; `progress` of the run in (0, 1]."""
        momentum = self.final - (self.final - self.base) * (math.cos(math.pi * progress) + 1) / 2
        torch._foreach_lerp_(list(self.target.parameters()), self._online, 1 - momentum)
