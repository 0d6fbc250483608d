"""Batches of canvases made ready by other processes before they are needed, for what is not in the device's reach."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from bench.api import Canvases
from bench.errors import UserError
from bench.group import GRACE_SECONDS

EACH = 2
"""Batches that every process has ready or at hand."""


def stream(images: Canvases, batches: Iterable[np.ndarray], device: torch.device) -> Iterator[Tensor]:
    """Canvases (B, 3, H, W) uint8 on `device` of each of the `batches`, row numbers (B,), in their order.

    As many processes as this one has threads read and decode, so that what waits is the memory of twice as many
    batches; `batches` is drawn from as far ahead. Raises UserError for a file that cannot be decoded, RuntimeError
    when a process was killed.
    """
    loader = DataLoader(
        _Rows(images),
        batch_sampler=batches,  # type: ignore[arg-type]
        num_workers=max(1, torch.get_num_threads()),
        prefetch_factor=EACH,
        collate_fn=_as_it_is,
        pin_memory=device.type == "cuda",
        worker_init_fn=_outlive_signals,
        multiprocessing_context="fork",  # nothing is copied, and nothing imported again for every evaluation
        generator=torch.Generator(),  # else it draws from the global one, from which methods draw
    )
    try:
        for canvases in loader:
            if isinstance(canvases, UserError):
                raise canvases
            yield canvases.to(device, non_blocking=True)
    except (EOFError, ConnectionError) as error:  # killed while it sent a batch; torch says the rest by itself
        raise RuntimeError("a process that decodes pictures exited unexpectedly, killed for want of memory?") from error


class _Rows(Dataset[Tensor]):
    """What a process does for a batch."""

    def __init__(self, images: Canvases) -> None:
        self._images = images

    def __getitems__(self, rows: np.ndarray) -> Tensor | UserError:
        try:
            return torch.from_numpy(self._images[rows])
        except UserError as error:  # raised by the loader it would come with a traceback in its text
            return error


def _as_it_is(batch: Any) -> Any:
    return batch


def _outlive_signals(_: int) -> None:
    """A terminal and SLURM send signals to all processes of a run; the one that trains needs batches until it stops.

    These processes end when it lets them go or is gone, and some time after TERM, which Python sends them at its end.
    """
    for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGUSR2):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: threading.Timer(GRACE_SECONDS, os._exit, [0]).start())
