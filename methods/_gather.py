"""The whole batch on every process."""

from __future__ import annotations

from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor


def world_size() -> int:
    """Number of processes of this run."""
    return dist.get_world_size() if dist.is_available() and dist.is_initialized() else 1


def gather(z: Tensor) -> Tensor:
    """Rows (B, ...) of all processes from each one's (B / N, ...), in order of rank; `z` itself for one process.

    The gradient of a process's rows is the sum of the gradients that all processes have for them. With a loss over
    the whole batch on every process, averaging parameters' gradients over processes, as DistributedDataParallel does,
    then gives exactly the gradient of one process with the whole batch.
    """
    return z if world_size() == 1 else _Gather.apply(z)


def own_rows(z: Tensor) -> Tensor:
    """This process's share (B / N, ...) of the rows of all processes: the inverse of `gather`."""
    if world_size() == 1:
        return z
    return z.chunk(world_size())[dist.get_rank()]


class _Gather(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        parts = [torch.empty_like(z, memory_format=torch.contiguous_format) for _ in range(world_size())]
        dist.all_gather(parts, z.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        gradient = gradients[0].contiguous().clone()
        dist.all_reduce(gradient)
        return own_rows(gradient)
