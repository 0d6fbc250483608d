"""Batches of canvases made ready by other processes before they are needed, for what is not in the device's reach."""

from __future__ import annotations

import itertools
import math
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bench import interrupt
from bench.api import Canvases
from bench.errors import DataGone
from bench.group import GRACE_SECONDS

EACH = 2
"""Batches that every process has ready or at hand."""
MOST_BYTES = 2**31
"""Of batches that are ready or at hand, in all: fewer processes where theirs would be more."""


def stream(images: Canvases, batches: Iterable[np.ndarray], device: torch.device) -> Iterator[Tensor]:
    """Canvases (B, 3, H, W) uint8 on `device` of each of the `batches`, row numbers (B,), in their order.

    As many processes as this one has threads read and decode, or fewer where batches are large; what they have ready
    takes 2 GiB at most (in /dev/shm). `batches` is drawn from as far ahead.

    Raises DataGone for a file that cannot be decoded, and when one of the processes is gone Interrupted if this one
    was asked to stop (all processes of a run may have been), else RuntimeError.
    """
    order = iter(batches)
    first = next(order, None)
    if first is None:
        return
    batch_bytes = len(first) * math.prod(images.shape[1:])
    loader = DataLoader(
        _Rows(images),
        batch_sampler=cast("Iterable[list[int]]", itertools.chain([first], order)),
        num_workers=max(1, min(torch.get_num_threads(), MOST_BYTES // (EACH * batch_bytes))),
        prefetch_factor=EACH,
        collate_fn=_as_it_is,
        pin_memory=device.type == "cuda",
        worker_init_fn=_outlive_signals,
        multiprocessing_context="fork",  # so that nothing is imported again for every evaluation
        generator=torch.Generator(),  # else it draws from the global one, from which methods draw
    )
    for canvases in _unbroken(iter(loader)):
        if isinstance(canvases, DataGone):
            raise canvases
        yield canvases.to(device, non_blocking=True)


def _unbroken(batches: Iterator[Tensor | DataGone]) -> Iterator[Tensor | DataGone]:
    """`batches` of the loader, whose processes may be gone. What is done with a batch raises its own errors."""
    while True:
        try:
            batch = next(batches, None)
        except (RuntimeError, EOFError, ConnectionError, FileNotFoundError) as error:  # by when in its work it ended
            if interrupt.requested():
                raise interrupt.Interrupted from error
            raise RuntimeError("a process that decodes pictures is gone, killed for want of memory?") from error
        if batch is None:
            return
        yield batch


class _Rows(Dataset[Tensor]):
    """What a process does for a batch."""

    def __init__(self, images: Canvases) -> None:
        self._images = images

    def __getitems__(self, rows: np.ndarray) -> Tensor | DataGone:
        try:
            return torch.from_numpy(self._images[rows])
        except DataGone as error:  # raised by the loader it would come with a traceback in its text
            return error


def _as_it_is(batch: Any) -> Any:
    return batch


def _outlive_signals(_: int) -> None:
    """A terminal and SLURM send signals to all processes of a run; the one that trains needs batches until it stops.

    These processes end when it lets them go or is gone, and some time after TERM, which Python sends them at its end.
    """
    for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: _end_later())


def _end_later() -> None:
    timer = threading.Timer(GRACE_SECONDS, os._exit, [0])
    timer.daemon = True  # let go before that, the process ends at once
    timer.start()
