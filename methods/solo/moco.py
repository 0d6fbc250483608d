"""MoCo v2+ (solo-learn): its moco_loss_func on the heads, the target and the queues of `moco`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.api import Range, Search, Terms
from bench.methods._gather import gather
from bench.methods._standardise import at_least_float32
from bench.methods.moco import MoCo
from bench.methods.solo._adapter import solo

_moco_loss = solo("losses/moco.py").moco_loss_func


@dataclass(frozen=True)
class Config:
    version = 2  # no field: the only one that solo-learn 1.0.2 has
    temperature: Annotated[float, Range(above=0), Search(0.05, 1)] = 0.2
    """solo-learn on CIFAR."""
    momentum: Annotated[float, Range(minimum=0, below=1), Search(0.8, 0.999, "momentum")] = 0.99
    """Of the target at the start; solo-learn on CIFAR. Less in a run too short for it; result.json has the value."""
    final_momentum: Annotated[float, Range(minimum=0, maximum=1)] = 0.999
    """Of the target at the end; solo-learn on CIFAR."""
    queue: Annotated[int, Range(minimum=1)] | None = None
    """Keys of earlier batches that serve as negatives; solo-learn on CIFAR 32768. None: as in `moco`, at most half of
    an epoch's images; result.json has the value."""


class SoloMoCo(MoCo):
    """As `moco`, with solo-learn's loss function, averaged over the two orders."""

    citation = "da Costa et al. (2022), solo-learn, JMLR 23(56); MoCo v2: arXiv:2003.04297"
    requires = "pip install --no-deps solo-learn==1.0.2"
    Config = Config  # type: ignore[assignment]  # solo-learn's settings, by the names that the parent reads

    def loss(self, views: Sequence[Tensor], indices: Tensor, labels: Tensor | None) -> tuple[Tensor, Terms]:
        queries = [at_least_float32(self.embed(self.encoder(view))) for view in views]
        keys = [at_least_float32(self.target(view)).detach() for view in reversed(views)]
        losses = []
        with torch.autocast(queries[0].device.type, enabled=False):
            for query, key, queue, fresh in zip(queries, keys, self.queues, self._fresh, strict=True):
                query, key = F.normalize(query, dim=1), F.normalize(key, dim=1)
                losses.append(_moco_loss(query, key, queue.entries.T, self.config.temperature))
                fresh.append(gather(key))
        return torch.stack(losses).mean(), {}
