"""A first-in-first-out memory of embeddings of earlier batches."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Queue(nn.Module):
    """`entries` (K, D), random unit vectors until they are overwritten, oldest first (MoCo, section 3.1)."""

    entries: Tensor
    position: Tensor

    def __init__(self, length: int, width: int) -> None:
        super().__init__()
        self.register_buffer("entries", nn.functional.normalize(torch.randn(length, width), dim=1))
        self.register_buffer("position", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def push(self, z: Tensor) -> None:
        """Overwrite the oldest entries by z (B, D); of a batch longer than the queue only the last K rows."""
        length = len(self.entries)
        z = z[-length:]
        slots = (self.position + torch.arange(len(z), device=z.device)) % length
        self.entries.index_copy_(0, slots, z.to(self.entries.dtype))
        self.position.copy_((self.position + len(z)) % length)
