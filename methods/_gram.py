"""Products of Gram matrices, with half the matrix products in the backward pass that autograd would make."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from bench.methods._pairs import sum_of_squares


def gram_product(a: Tensor, z: Tensor) -> Tensor:
    """<A A^T, Z Z^T> (Frobenius) of (B, D) matrices, which is |A^T Z|^2 without anything of size D x D."""
    product: Tensor = _GramProduct.apply(a, z)
    return product


def gram_norm(z: Tensor) -> Tensor:
    """|Z Z^T|^2 (Frobenius) of a matrix (B, D), which is |Z^T Z|^2: the smaller of the two is built."""
    norm: Tensor = _GramNorm.apply(z)
    return norm


class _GramProduct(torch.autograd.Function):
    """Its gradients are 2 Z Z^T A and 2 A A^T Z; both Gram matrices are symmetric, which autograd does not know."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, z: Tensor) -> Tensor:
        gram_a, gram_z = a @ a.T, z @ z.T
        ctx.save_for_backward(a, z, gram_a, gram_z)
        return (gram_a * gram_z).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        a, z, gram_a, gram_z = ctx.saved_tensors
        return (gram_z @ a).mul_(2 * gradient), (gram_a @ z).mul_(2 * gradient)


class _GramNorm(torch.autograd.Function):
    """Its gradient is 4 Z Z^T Z."""

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        batch, width = z.shape
        ctx.of_rows = batch < width
        gram = z @ z.T if ctx.of_rows else z.T @ z
        ctx.save_for_backward(z, gram)
        return sum_of_squares(gram)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        z, gram = ctx.saved_tensors
        return (gram @ z if ctx.of_rows else z @ gram).mul_(4 * gradient)
