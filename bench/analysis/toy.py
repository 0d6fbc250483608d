"""A handful of images as points on the circle, moved by an objective's gradient alone: no network, no noise."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bench.analysis.pairs import Objective
from bench.seeds import derive

IMAGES = 6
SPREAD = 0.5
"""Radians, at most, between the two views of an image at the start."""
STEPS = 400
RATE = 0.03
"""Radians that the fastest point moves in the first step; later ones follow the gradient as it shrinks or grows."""


def trajectories(objective: Objective, seed: int) -> tuple[Tensor, Tensor]:
    """Angles (STEPS + 1, 2, IMAGES) of both views under gradient descent, and the loss (STEPS + 1,); float64.

    The start is drawn by `seed`, the same for every objective. The gradient is divided by its largest entry at the
    start, since objectives differ in scale: where the points slow down, the objective has lost its grip on them.
    """
    generator = torch.Generator().manual_seed(derive(seed, "toy"))
    centres = 2 * math.pi * torch.rand(IMAGES, generator=generator, dtype=torch.float64)
    offsets = SPREAD * torch.rand(IMAGES, generator=generator, dtype=torch.float64)
    angles = torch.stack([centres - offsets / 2, centres + offsets / 2]).requires_grad_()
    path, losses, scale = [], [], 0.0
    for _ in range(STEPS + 1):
        za, zb = torch.stack([angles.cos(), angles.sin()], dim=-1)
        loss = objective(za, zb)
        (gradient,) = torch.autograd.grad(loss, angles)
        scale = scale or gradient.abs().max().item()
        path.append(angles.detach())
        losses.append(loss.detach())
        angles = (angles.detach() - RATE * gradient / scale).requires_grad_()
    return torch.stack(path), torch.stack(losses)
