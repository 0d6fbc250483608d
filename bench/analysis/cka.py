"""Linear CKA: how alike two representations of the same images are, up to rotation and scale."""

from __future__ import annotations

import math

import torch
from torch import Tensor


@torch.no_grad()
def linear_cka(x: Tensor, y: Tensor) -> float:
    """Debiased linear centred kernel alignment of features `x` (N, d) and `y` (N, e) of the same N >= 4 images.

        CKA = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)),  K = x x^T, L = y y^T

    (Kornblith et al. 2019, arXiv 1905.00414, equation 2) with the unbiased estimator of HSIC (Song et al. 2012, JMLR
    13, equation 5; used for CKA by Nguyen et al. 2021, arXiv 2010.15327): 1 for features equal up to rotation, scale
    and shift, 0 on average for independent ones, also where d is not small against N, as the plain estimate is not. It
    can be slightly negative. NaN where either side does not vary. Needs no N x N matrix: time N d e. Float64.

    Raises ValueError for fewer than four images.
    """
    if len(x) != len(y) or len(x) < 4:
        raise ValueError(f"CKA compares features of the same four images at least, not {len(x)} and {len(y)}")
    x, y = (z.double() - z.double().mean(0) for z in (x, y))  # the estimate does not change; its rounding does
    norm = math.sqrt(max(0.0, _hsic(x, x))) * math.sqrt(max(0.0, _hsic(y, y)))
    return _hsic(x, y) / norm if norm > 0 else math.nan


def _hsic(x: Tensor, y: Tensor) -> float:
    """The unbiased estimator from features: with K, L less their diagonals,

    [tr(K L) + (1'K1)(1'L1) / ((n - 1)(n - 2)) - 2 / (n - 2) 1'K L1] / (n (n - 3)).
    """
    n = len(x)
    own_x, own_y = x.square().sum(1), y.square().sum(1)
    sums_x, sums_y = x @ x.sum(0) - own_x, y @ y.sum(0) - own_y
    trace = (x.T @ y).square().sum() - own_x @ own_y
    total = trace + sums_x.sum() * sums_y.sum() / ((n - 1) * (n - 2)) - 2 * (sums_x @ sums_y) / (n - 2)
    return total.item() / (n * (n - 3))
