"""Barlow Twins (solo-learn): its barlow_loss_func on our projector."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Annotated

from torch import Tensor

from bench.api import Range, Search, Terms
from bench.methods._joint_embedding import JointEmbedding
from bench.methods.solo._adapter import solo

_losses = solo("losses/barlow.py")
# Its own reduction over processes has gradients smaller by their number, and batch statistics of one process. It gets
# the whole batch from us and is not told of other processes.
_losses.dist = SimpleNamespace(is_available=lambda: False)


@dataclass(frozen=True)
class Config:
    lambda_: Annotated[float, Range(minimum=0), Search(0.001, 0.3)] = 0.0051
    """Weight of the redundancy term; solo-learn on CIFAR, as the paper."""
    scale: Annotated[float, Range(above=0)] = 0.1
    """Factor on the whole loss; solo-learn on CIFAR."""


class SoloBarlowTwins(JointEmbedding):
    """As `barlow`, with solo-learn's loss function, which works in float32 alone."""

    citation = "da Costa et al. (2022), solo-learn, JMLR 23(56); Barlow Twins: arXiv:2103.03230"
    requires = "pip install --no-deps solo-learn==1.0.2"
    Config = Config

    def objective(self, za: Tensor, zb: Tensor) -> tuple[Tensor, Terms]:
        config = self.config
        return _losses.barlow_loss_func(za.float(), zb.float(), lamb=config.lambda_, scale_loss=config.scale), {}
