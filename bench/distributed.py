"""One run in several processes: how they find each other, and what they tell each other besides gradients.

Every function works in a process that has joined no others, which is then the only one. Messages between the
processes of a GPU run go through the CPU (gloo), so that none of them waits for a GPU; gradients and the embeddings
that a loss gathers go through NCCL.
"""

from __future__ import annotations

import hashlib
import io
import os
import platform
import warnings
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from bench.errors import UserError
from bench.group import VARIABLES

TIMEOUT = timedelta(hours=1)
"""Longest wait of a process for another before both give up. A process that dies is noticed at once, on a GPU by
whoever started it; others wait this long for process 0 to evaluate."""

Shared = TypeVar("Shared")


class BrokenUp(Exception):
    """The processes of a run cannot go on together: one is gone, or silent, or had to stop. Each must end, so that all
    can start anew; a run without a result stays unfinished."""


def expected() -> int:
    """How many processes the environment describes: 1 without the variables."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def from_environment(device: torch.device) -> torch.device:
    """Join the processes that the environment describes, and return this process's own `device`.

    On GPUs that is the one numbered LOCAL_RANK of those that the process sees. With one process, or without the
    variables, nothing is joined. Raises UserError where some of the variables are missing, or there are not enough
    GPUs.
    """
    if expected() == 1:
        return device
    missing = [name for name in VARIABLES if name not in os.environ]
    if missing:
        raise UserError(f"WORLD_SIZE={expected()} is set but {', '.join(missing)} not: start with torchrun.")
    backend = "gloo"
    if device.type == "cuda":
        device = _own_gpu()
        torch.cuda.set_device(device)
        backend = "cpu:gloo,cuda:nccl"
    dist.init_process_group(backend, timeout=TIMEOUT)
    if device.type == "cuda":
        _check_own_gpus(device)
    return device


def leave() -> None:
    """Undo `from_environment`; harmless where nothing was joined. The others notice if they still wait for us."""
    if dist.is_initialized():
        dist.destroy_process_group()


def size() -> int:
    """Number of processes of this run."""
    return dist.get_world_size() if dist.is_initialized() else 1


def rank() -> int:
    """This process's number, 0 to size - 1."""
    return dist.get_rank() if dist.is_initialized() else 0


def leads() -> bool:
    """Whether this is process 0, which evaluates and writes."""
    return rank() == 0


def parallel(method: nn.Module) -> DistributedDataParallel:
    """`method` with its gradients averaged over processes during backward.

    Buffers are not sent around: what objectives keep is the same everywhere already, and batch statistics are
    synchronised on GPUs and local on CPUs. Without `find_unused_parameters` the gradients would change places between
    the first step and the next ones, and with them the rounding of their sums, after every resumption again.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # torch 2.15 has another name for it, which 2.11 lacks
        return DistributedDataParallel(method, broadcast_buffers=False, find_unused_parameters=True)


def share(value: Shared) -> Shared:
    """Process 0's value on every process: tensors, numbers, strings, None, lists, tuples and dictionaries of them."""
    if size() == 1:
        return value
    buffer = io.BytesIO()
    if leads():
        torch.save(value, buffer)
    length = torch.tensor([buffer.tell()])
    dist.broadcast(length, 0)
    content = torch.frombuffer(bytearray(buffer.getvalue()), dtype=torch.uint8) if leads() else torch.empty(0)
    if not leads():
        content = torch.empty(int(length), dtype=torch.uint8)
    dist.broadcast(content, 0)
    return value if leads() else torch.load(io.BytesIO(content.numpy().tobytes()), weights_only=True)


def gather(values: Tensor) -> Tensor:
    """Values (...) of every process as (size, ...) on the CPU, in order of rank; waits for the device."""
    own = values.detach().cpu().contiguous()
    if size() == 1:
        return own[None]
    parts = [torch.empty_like(own) for _ in range(size())]
    dist.all_gather(parts, own)
    return torch.stack(parts)


def is_lost_peer(error: BaseException) -> bool:
    """Whether an error comes of waiting in vain for another process (gloo has no exception class of its own)."""
    if isinstance(error, dist.DistError):
        return True
    return isinstance(error, RuntimeError) and any(word in str(error) for word in ("gloo/", "pair closure"))


def _own_gpu() -> torch.device:
    """LOCAL_RANK's GPU, or the only one where each process was given its own."""
    local_rank, seen = int(os.environ["LOCAL_RANK"]), torch.cuda.device_count()
    if not seen:
        raise UserError(f"Process {local_rank} of this machine finds no GPU: give --device cpu, or each process a GPU.")
    if seen > 1 and local_rank >= seen:
        raise UserError(f"Process {local_rank} of this machine finds {seen} GPUs: start no more than one on each.")
    return torch.device("cuda", local_rank if seen > 1 else 0)


def _check_own_gpus(device: torch.device) -> None:
    """Raise UserError, in every process, where two of them have one GPU, between which NCCL cannot send."""
    name = f"{platform.node()} {torch.cuda.get_device_properties(device).uuid}"
    number = int.from_bytes(hashlib.sha256(name.encode()).digest()[:7])
    if len(set(gather(torch.tensor(number)).tolist())) < size():
        raise UserError(f"Two of the {size()} processes have the same GPU: start no more than one on each.")
