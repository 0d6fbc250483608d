"""BYOL (solo-learn): its byol_loss_func on the heads and the target of `byol`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor

from bench.api import Range, Search, Terms
from bench.methods._standardise import at_least_float32
from bench.methods.byol import BYOL
from bench.methods.solo._adapter import solo

_byol_loss = solo("losses/byol.py").byol_loss_func


@dataclass(frozen=True)
class Config:
    momentum: Annotated[float, Range(minimum=0, below=1), Search(0.8, 0.996, "momentum")] = 0.99
    """Of the target at the start; solo-learn on CIFAR. Less in a run too short for it; result.json has the value."""
    final_momentum: Annotated[float, Range(minimum=0, maximum=1)] = 1.0
    """Of the target at the end; solo-learn on CIFAR."""
    normalise_output: bool = True
    """Batch normalisation behind the projector, as in `byol`; solo-learn: none."""


class SoloBYOL(BYOL):
    """As `byol`, with solo-learn's loss function, added up over the two orders."""

    citation = "da Costa et al. (2022), solo-learn, JMLR 23(56); BYOL: arXiv:2006.07733"
    requires = "pip install --no-deps solo-learn==1.0.2"
    Config = Config  # type: ignore[assignment]  # solo-learn's settings, by the names that the parent reads

    def loss(self, views: Sequence[Tensor], indices: Tensor, labels: Tensor | None) -> tuple[Tensor, Terms]:
        first, second = (at_least_float32(self.predictor(self.embed(self.encoder(view)))) for view in views)
        target_first, target_second = (at_least_float32(self.target(view)) for view in views)
        with torch.autocast(first.device.type, enabled=False):
            return _byol_loss(first, target_second) + _byol_loss(second, target_first), {}
