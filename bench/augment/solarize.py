"""Solarisation: bright pixels are inverted."""

from __future__ import annotations

import torch
from torch import Tensor


def solarize(images: Tensor, thresholds: Tensor) -> Tensor:
    """Invert values of images (B, 3, H, W) in [0, 1] that reach the sample's threshold (B,); one above 1 changes none.

    As torchvision's `solarize`. The mask is arithmetic because torch.where is slow on a CPU: +0, the difference of
    equal numbers, counts as bright.
    """
    half = torch.full((), 0.5, device=images.device)
    bright = torch.copysign(half, images - thresholds[:, None, None, None]).add_(0.5)
    return torch.lerp(images, 1 - images, bright)
