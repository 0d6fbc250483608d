"""SimCLR (solo-learn): its simclr_loss_func on our projector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from bench.api import Range, Search, Terms
from bench.methods._joint_embedding import JointEmbedding
from bench.methods.solo._adapter import solo

_simclr_loss = solo("losses/simclr.py").simclr_loss_func


@dataclass(frozen=True)
class Config:
    temperature: Annotated[float, Range(above=0), Search(0.05, 1)] = 0.2
    """solo-learn on CIFAR."""


class SoloSimCLR(JointEmbedding):
    """As `simclr`, with solo-learn's loss function."""

    citation = "da Costa et al. (2022), solo-learn, JMLR 23(56); SimCLR: arXiv:2002.05709"
    requires = "pip install --no-deps solo-learn==1.0.2"
    Config = Config

    def objective(self, za: Tensor, zb: Tensor) -> tuple[Tensor, Terms]:
        return _simclr_loss(za, zb, self.config.temperature), {}
