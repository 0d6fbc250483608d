"""NNCLR (solo-learn): its nnclr_loss_func; positives are nearest neighbours among earlier embeddings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.api import Context, Method, Range, Search, Terms
from bench.methods._gather import gather
from bench.methods._heads import predictor, projector
from bench.methods._queue import Queue
from bench.methods._standardise import at_least_float32
from bench.methods.solo._adapter import solo

_nnclr_loss = solo("losses/nnclr.py").nnclr_loss_func


@dataclass(frozen=True)
class Config:
    temperature: Annotated[float, Range(above=0), Search(0.05, 1)] = 0.2
    """solo-learn on CIFAR."""
    queue: Annotated[int, Range(minimum=1)] = 65536
    """Earlier embeddings among which neighbours are sought; solo-learn on CIFAR. At most half of an epoch's images, as
    in `moco` (ours): an older embedding of the same image is no neighbour. result.json has the value."""


class SoloNNCLR(Method):
    """NNCLR as solo-learn trains it: projector with batch normalisation of its output, predictor, one queue."""

    citation = "da Costa et al. (2022), solo-learn, JMLR 23(56); Dwibedi et al. (2021), NNCLR, arXiv:2104.14548"
    requires = "pip install --no-deps solo-learn==1.0.2"
    Config = Config

    def __init__(self, encoder: nn.Module, context: Context) -> None:
        super().__init__(encoder, context)
        width = context.projector.output
        self.projector = projector(context, normalise_output=True)
        self.predictor = predictor(width, context.projector.hidden)
        self.queue = Queue(min(self.config.queue, max(1, context.images_per_epoch // 2)), width)

    def embed(self, features: Tensor) -> Tensor:
        return self.projector(features)

    def loss(self, views: Sequence[Tensor], indices: Tensor, labels: Tensor | None) -> tuple[Tensor, Terms]:
        embeddings = [self.embed(self.encoder(view)) for view in views]
        p1, p2 = (gather(at_least_float32(self.predictor(z))) for z in embeddings)
        z1, z2 = (gather(F.normalize(at_least_float32(z.detach()), dim=1)) for z in embeddings)
        with torch.autocast(p1.device.type, enabled=False):
            neighbours1, neighbours2 = self._nearest(z1), self._nearest(z2)
            temperature = self.config.temperature
            loss = (_nnclr_loss(neighbours1, p2, temperature) + _nnclr_loss(neighbours2, p1, temperature)) / 2
        self.queue.push(z1)
        return loss, {}

    def resolved(self) -> dict[str, float]:
        """Length of the queue in this run."""
        return {"queue": len(self.queue.entries)}

    def _nearest(self, z: Tensor) -> Tensor:
        """The entry of the queue (B, D) that is nearest to each of z (B, D); a copy, as the queue moves on."""
        return self.queue.entries[(z @ self.queue.entries.T).argmax(1)]
