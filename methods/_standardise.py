"""Standardisation of embeddings over the batch, and float32 arithmetic for objectives."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def at_least_float32(z: Tensor) -> Tensor:
    """Half-precision embeddings as float32; float32 and float64 as they are."""
    return z.float() if z.dtype in (torch.float16, torch.bfloat16) else z


def standardise(z: Tensor) -> Tensor:
    """(z - mean) / sqrt(variance + 1e-5) per feature over the batch, biased variance: BatchNorm1d(affine=False)."""
    return F.batch_norm(z, None, None, training=True)


def standardise_rows(z: Tensor) -> Tensor:
    """Embeddings (B, D) of mean 0 and variance 1 over the features of each row; a constant row stays without spread.

    Products of two such rows, divided by D, are Pearson correlations.
    """
    width = z.shape[1]
    z = z - z.detach().mean(1, keepdim=True)  # changes nothing, but that rounding errors are those of the differences
    return F.layer_norm(z, (width,), eps=1e-16 / width)  # a length of 1e-8


def unit_rows(z: Tensor) -> Tensor:
    """Embeddings (B, D) scaled to length 1, float32 at least; a row of zeros stays one."""
    return F.normalize(at_least_float32(z), dim=1)
