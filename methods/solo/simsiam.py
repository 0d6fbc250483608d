"""SimSiam (solo-learn): its simsiam_loss_func on the heads of `simsiam`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.api import Terms
from bench.methods._standardise import at_least_float32
from bench.methods.simsiam import SimSiam
from bench.methods.solo._adapter import solo

_simsiam_loss = solo("losses/simsiam.py").simsiam_loss_func


@dataclass(frozen=True)
class Config:
    """Empty: the objective has no hyperparameter."""


class SoloSimSiam(SimSiam):
    """As `simsiam`, with solo-learn's loss function, averaged over the two orders."""

    citation = "da Costa et al. (2022), solo-learn, JMLR 23(56); SimSiam: arXiv:2011.10566"
    requires = "pip install --no-deps solo-learn==1.0.2"
    Config = Config  # type: ignore[assignment]  # solo-learn's settings, by the names that the parent reads

    def loss(self, views: Sequence[Tensor], indices: Tensor, labels: Tensor | None) -> tuple[Tensor, Terms]:
        z1, z2 = (self.embed(self.encoder(view)) for view in views)
        p1, p2 = (at_least_float32(self.predictor(z)) for z in (z1, z2))
        z1, z2 = at_least_float32(z1), at_least_float32(z2)
        with torch.autocast(z1.device.type, enabled=False):
            return (_simsiam_loss(p1, z2) + _simsiam_loss(p2, z1)) / 2, {}
