"""In which order pretraining sees its pictures."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.seeds import derive


@dataclass(frozen=True)
class Order:
    """In which order epochs see the pictures that are pretrained on, which are `rows` (n,): from `seed` alone."""

    rows: Tensor
    seed: int
    batch_size: int
    steps_per_epoch: int

    def of(self, epoch: int) -> Tensor:
        """Rows (n,) on the CPU."""
        generator = torch.Generator().manual_seed(derive(self.seed, epoch))
        return self.rows[torch.randperm(len(self.rows), generator=generator)]

    def batches(self, step: int) -> Iterator[Tensor]:
        """Rows (B,) of every batch from that of `step` on, without end, on the CPU."""
        first, skipped = divmod(step, self.steps_per_epoch)
        for epoch in itertools.count(first):
            order = self.of(epoch)
            for batch in range(skipped if epoch == first else 0, self.steps_per_epoch):
                yield order[batch * self.batch_size : (batch + 1) * self.batch_size]
