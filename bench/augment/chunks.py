"""How much of a batch is worked on at once."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

NUMBERS = 2**26
"""Numbers per intermediate, a bound on the memory that it takes: 256 MiB."""


def chunks(images: Tensor, numbers: int) -> Iterator[slice]:
    """Slices of the batch `images` (B, ...) for a step whose intermediates hold `numbers` numbers per sample."""
    step = max(1, NUMBERS // numbers)
    return (slice(start, min(start + step, len(images))) for start in range(0, len(images), step))
