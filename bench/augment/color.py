"""Brightness, contrast, saturation, hue and greyscale of images (B, 3, H, W) in [0, 1], one factor per sample (B,).

Each agrees with torchvision's function of the same name on float images, clamping included.
"""

from __future__ import annotations

import torch
from torch import Tensor

LUMA = (0.2989, 0.587, 0.114)
"""torchvision's weights of red, green and blue (ITU-R 601-2)."""


def adjust_brightness(images: Tensor, factors: Tensor) -> Tensor:
    """Multiply by `factors` >= 0 and clamp; 1 leaves a picture alone."""
    return (images * per_sample(factors)).clamp_(0, 1)


def adjust_contrast(images: Tensor, factors: Tensor) -> Tensor:
    """Blend with the mean of the picture's own greyscale; 1 leaves it alone, 0 is uniform grey."""
    red, green, blue = images.mean((2, 3)).unbind(1)
    mean = LUMA[0] * red + LUMA[1] * green + LUMA[2] * blue
    return (images * per_sample(factors)).add_(per_sample((1 - factors) * mean)).clamp_(0, 1)


def adjust_saturation(images: Tensor, factors: Tensor) -> Tensor:
    """Blend with the greyscale picture; 1 leaves it alone, 0 is greyscale."""
    return torch.lerp(grayscale(images), images, per_sample(factors)).clamp_(0, 1)


def adjust_hue(images: Tensor, factors: Tensor) -> Tensor:
    """Shift the hue by `factors` in [-0.5, 0.5] turns of the colour circle, in HSV; 0 leaves a picture alone.

    HSV's cases by sextant collapse into arithmetic on whole planes. With m the smallest channel and c the chroma
    (largest - smallest), the hue is 1 + (G + B - R - m) / c sixths of a turn away from red, on the side of the larger
    of green and blue; and a channel is value - c clamp(2 - d, 0, 1) where d is the distance, in sixths, from the hue
    to the complement of that channel.
    """
    red, green, blue = images.unbind(1)
    value = images.amax(1)
    least = images.amin(1)
    chroma = value - least
    from_red = (green + blue).sub_(red).sub_(least).div_(chroma.clamp_min(1e-12)).add_(1)  # greys stay grey
    turns = torch.copysign(from_red, green - blue).div_(6).add_((factors + 1)[:, None, None])  # frac needs >= 0
    # turned so that the complements of red, green and blue lie at half a turn
    turns = torch.stack([turns, turns + 2 / 3, turns + 1 / 3], dim=1).frac_()
    distance = turns.sub_(0.5).abs_().mul_(6)
    share = distance.neg_().add_(2).clamp_(0, 1)
    return torch.addcmul(value[:, None], chroma[:, None], share, value=-1).clamp_(0, 1)


def to_grayscale(images: Tensor, amounts: Tensor) -> Tensor:
    """Greyscale in all three channels where `amounts` (B,) is 1, the picture unchanged where it is 0."""
    return torch.lerp(images, grayscale(images), per_sample(amounts))


def grayscale(images: Tensor) -> Tensor:
    """Luma (B, 1, H, W)."""
    red, green, blue = images.unbind(1)
    return (red * LUMA[0]).add_(green, alpha=LUMA[1]).add_(blue, alpha=LUMA[2]).unsqueeze(1)


def per_sample(values: Tensor) -> Tensor:
    """(B,) as (B, 1, 1, 1), to broadcast over images."""
    return values[:, None, None, None]
