"""ReSSL (solo-learn): its ressl_loss_func; similarities to earlier embeddings are matched with a target's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.api import Context, Method, Range, Search, Terms
from bench.methods._gather import gather
from bench.methods._heads import projector
from bench.methods._momentum import Momentum
from bench.methods._queue import Queue
from bench.methods._standardise import at_least_float32
from bench.methods.solo._adapter import solo

_ressl_loss = solo("losses/ressl.py").ressl_loss_func


@dataclass(frozen=True)
class Config:
    temperature: Annotated[float, Range(above=0), Search(0.05, 0.5)] = 0.1
    """Of the trained network's similarities; solo-learn on CIFAR."""
    target_temperature: Annotated[float, Range(above=0)] = 0.04
    """Of the target's similarities, sharper; solo-learn on CIFAR."""
    momentum: Annotated[float, Range(minimum=0, below=1), Search(0.8, 0.996, "momentum")] = 0.99
    """Of the target at the start; solo-learn on CIFAR. Less in a run too short for it; result.json has the value."""
    final_momentum: Annotated[float, Range(minimum=0, maximum=1)] = 1.0
    """Of the target at the end; solo-learn on CIFAR."""
    queue: Annotated[int, Range(minimum=1)] = 65536
    """Earlier embeddings of the target; solo-learn on CIFAR. At most half of an epoch's images, as in `moco` (ours).
    result.json has the value."""


class SoloReSSL(Method):
    """ReSSL as solo-learn trains it: view 1 to the trained network, view 2 to the target, which is its average.

    The paper gives the target weaker augmentations; here both views are drawn alike, as for every method.
    """

    citation = "da Costa et al. (2022), solo-learn, JMLR 23(56); Zheng et al. (2021), ReSSL, arXiv:2107.09282"
    requires = "pip install --no-deps solo-learn==1.0.2"
    Config = Config

    def __init__(self, encoder: nn.Module, context: Context) -> None:
        super().__init__(encoder, context)
        config = self.config
        self.projector = projector(context)
        online = nn.Sequential(encoder, self.projector)
        self.target = Momentum(online, config.momentum, config.final_momentum, context.total_steps)
        length = min(config.queue, max(1, context.images_per_epoch // 2))
        self.queue = Queue(length, context.projector.output)

    def embed(self, features: Tensor) -> Tensor:
        return self.projector(features)

    def loss(self, views: Sequence[Tensor], indices: Tensor, labels: Tensor | None) -> tuple[Tensor, Terms]:
        first, second = views
        query = at_least_float32(self.embed(self.encoder(first)))
        key = at_least_float32(self.target(second))
        with torch.autocast(query.device.type, enabled=False):
            query, key = F.normalize(query, dim=1), F.normalize(key, dim=1)
            entries = self.queue.entries.clone()  # the gradient needs them after the queue has moved on
            loss = _ressl_loss(query, key, entries, self.config.temperature, self.config.target_temperature)
        self.queue.push(gather(key))
        return loss, {}

    def after_step(self, progress: float) -> None:
        self.target.update(progress)

    def resolved(self) -> dict[str, float]:
        """The target's momentum at the start and at the end, and the length of the queue, in this run."""
        return {**self.target.resolved(), "queue": len(self.queue.entries)}
