"""Sums over a matrix of pairwise products, with the gradient written out: autograd would keep many such matrices."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Transfer = Callable[[Tensor], tuple[Tensor, ...]]
"""From R (n, n) with a diagonal of zeros, which it may overwrite: sum_ij h(R_ij), then h'(R_ij) as a matrix (n, n),
then what else is to be told of R. h(0) and h'(0) are 0."""


def pair_sums(a: Tensor, b: Tensor, scale: float, transfer: Transfer) -> tuple[Tensor, ...]:
    """The diagonal of R = scale A B^T (n,) and sum_{i != j} h(R_ij), both with a gradient, for A and B (n, k).

    What else `transfer` tells of R follows, without one. One matrix n x n is kept for the backward pass, h'(R).
    """
    sums: tuple[Tensor, ...] = _PairSums.apply(a, b, scale, transfer)
    return sums


def squares(r: Tensor) -> tuple[Tensor, Tensor]:
    """The transfer h(r) = r^2."""
    return sum_of_squares(r), r.mul_(2)


def sum_of_squares(r: Tensor) -> Tensor:
    """Of a matrix, row by row: no matrix of squares, and not the 1e-4 by which one norm over 4 million entries errs."""
    return torch.linalg.vector_norm(r, dim=1).square().sum()


class _PairSums(torch.autograd.Function):
    """With G_ij the gradient of R_ij, those of A and B are scale G B and scale G^T A; G is never built."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, scale: float, transfer: Transfer) -> tuple[Tensor, ...]:
        products = (a @ b.T).mul_(scale)
        diagonal = products.diagonal().clone()
        total, slope, *others = transfer(products.fill_diagonal_(0))
        ctx.scale = scale
        ctx.save_for_backward(a, b, slope)
        ctx.mark_non_differentiable(*others)
        return diagonal, total, *others

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, of_diagonal: Tensor, of_total: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        a, b, slope = ctx.saved_tensors
        on, off = ctx.scale * of_diagonal[:, None], ctx.scale * of_total
        return _product(slope, b).mul_(off).addcmul_(on, b), _product(slope.T, a).mul_(off).addcmul_(on, a), None, None


def _product(matrix: Tensor, x: Tensor) -> Tensor:
    """matrix @ x, laid out as x is: what comes before a transposed view would copy anything else."""
    return matrix @ x if x.is_contiguous() else (x.T @ matrix.T).T
