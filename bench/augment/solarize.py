"""Solarisation: bright pixels are inverted."""

from __future__ import annotations

import torch
from torch import Tensor


def solarize(images: Tensor, thresholds: Tensor) -> Tensor:
    """Invert values of images (B, 3, H, W) in [0, 1] that reach the sample's threshold (B,); one above 1 changes none.

    As torchvision's `solarize`.
    """
    return torch.where(images >= thresholds[:, None, None, None], 1 - images, images)
