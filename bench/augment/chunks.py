"""How much of a batch is worked on at once."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

CPU_NUMBERS = 2**20
"""Numbers per intermediate on a CPU, measured: small enough for its cache, large enough to hide the calls."""
GPU_NUMBERS = 2**26
"""On a GPU only a bound on the memory that an intermediate takes, 256 MiB."""


def chunks(images: Tensor, numbers: int) -> Iterator[slice]:
    """Slices of the batch `images` (B, ...) for a step whose intermediates hold `numbers` numbers per sample."""
    limit = CPU_NUMBERS if images.device.type == "cpu" else GPU_NUMBERS
    step = max(1, limit // numbers)
    return (slice(start, min(start + step, len(images))) for start in range(0, len(images), step))
