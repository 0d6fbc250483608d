"""SwAV (solo-learn): its swav_loss_func and SinkhornKnopp on the heads and prototypes of `swav`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn

from bench.api import Context, Range, Search, Terms
from bench.methods._gather import world_size
from bench.methods.solo._adapter import solo
from bench.methods.swav import SwAV

_swav_loss = solo("losses/swav.py").swav_loss_func
_SinkhornKnopp = solo("utils/sinkhorn_knopp.py").SinkhornKnopp


@dataclass(frozen=True)
class Config:
    queue = 0  # no field, nor queue_start: solo-learn's assignments cannot leave out a queue that is not full yet
    queue_start = 0.0
    prototypes: Annotated[int, Range(minimum=2)] | None = None
    """None: as in `swav`, 3000 as in solo-learn on CIFAR, fewer for fewer images; result.json has the value."""
    temperature: Annotated[float, Range(above=0), Search(0.05, 0.3)] = 0.1
    """Of the predictions; solo-learn on CIFAR."""
    epsilon: Annotated[float, Range(minimum=0.02), Search(0.02, 0.2)] = 0.03
    """Entropy regularisation of the assignments, as in `swav` (ours). solo-learn: 0.05, with which one of two short
    runs on digits kept uniform codes (measured). Below 0.02 its exponentials overflow."""
    iterations: Annotated[int, Range(minimum=1)] = 3
    """Of Sinkhorn-Knopp; solo-learn."""


class SoloSwAV(SwAV):
    """As `swav:queue=0`, with solo-learn's assignments and loss function, which know no multi-crop."""

    citation = "da Costa et al. (2022), solo-learn, JMLR 23(56); SwAV: arXiv:2006.09882"
    requires = "pip install --no-deps solo-learn==1.0.2"
    Config = Config  # type: ignore[assignment]  # solo-learn's settings, by the names that the parent reads
    multi_crop = False

    def __init__(self, encoder: nn.Module, context: Context) -> None:
        super().__init__(encoder, context)
        self.assign = _SinkhornKnopp(self.config.iterations, self.config.epsilon, world_size())

    def loss(self, views: Sequence[Tensor], indices: Tensor, labels: Tensor | None) -> tuple[Tensor, Terms]:
        embeddings = [self.embed(self.encoder(view)) for view in views]
        with torch.autocast(views[0].device.type, enabled=False):
            scores = [z @ self.prototypes().T for z in embeddings]
            codes = [self.assign(score.detach()) for score in scores]
            return _swav_loss(scores, codes, self.config.temperature), {}
