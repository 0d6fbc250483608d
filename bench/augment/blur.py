"""Gaussian blur with a standard deviation per sample."""

from __future__ import annotations

import torch
from torch import Tensor


def gaussian_blur(images: Tensor, sigmas: Tensor) -> Tensor:
    """Blur images (B, 3, S, S) with `sigmas` (B,) in pixels, as torchvision's `gaussian_blur`; 0 leaves one alone.

    The kernel has `kernel_size(S)` taps and the border is reflected. Both passes are products with one matrix per
    sample, which for the sizes of pretraining is faster than a convolution with a kernel per sample.
    """
    batch, channels, size, _ = images.shape
    matrices = blur_matrices(sigmas, size)
    vertical = torch.matmul(matrices[:, None], images)
    blurred = torch.bmm(vertical.view(batch, channels * size, size), matrices.transpose(1, 2))
    return blurred.view_as(images).clamp_(0, 1)  # weights add up to 1 only up to rounding


def kernel_size(size: int) -> int:
    """The odd number of taps nearest to a tenth of the picture's side (SimCLR, appendix A), 3 at least."""
    return max(3, 2 * (size // 20) + 1)


def blur_matrices(sigmas: Tensor, size: int) -> Tensor:
    """Matrices (B, S, S) that blur a column of S pixels; reflected taps are added to the pixels they fall on."""
    radius = kernel_size(size) // 2
    pixels = torch.arange(size, device=sigmas.device)
    offsets = torch.arange(-radius, radius + 1, device=sigmas.device)
    weights = torch.exp(-0.5 * (offsets / sigmas.clamp_min(1e-2)[:, None]) ** 2)  # at 0.01 exactly the identity
    weights = weights / weights.sum(1, keepdim=True)
    last = size - 1
    reflected = last - (last - (pixels + offsets[:, None]).abs()).abs()
    shifts = (reflected[:, :, None] == pixels).to(weights.dtype)
    return (weights @ shifts.flatten(1)).view(-1, size, size)
