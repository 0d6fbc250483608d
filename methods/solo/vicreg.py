"""VICReg (solo-learn): its vicreg_loss_func on our projector."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from torch import Tensor

from bench.api import Range, Search, Terms
from bench.methods._joint_embedding import JointEmbedding
from bench.methods.solo._adapter import solo

_vicreg_loss = solo("losses/vicreg.py").vicreg_loss_func
Weight = Annotated[float, Range(minimum=0)]


@dataclass(frozen=True)
class Config:
    invariance: Weight = 25.0
    """Weight of the mean squared distance between the views; solo-learn on CIFAR, as the paper."""
    variance: Weight = 25.0
    """Weight of the hinges on the standard deviations, which solo-learn adds up over the views; solo-learn on CIFAR."""
    covariance: Annotated[float, Range(minimum=0), Search(0.1, 30)] = 1.0
    """Weight of the squared covariances; solo-learn on CIFAR, as the paper."""


class SoloVICReg(JointEmbedding):
    """As `vicreg` with `variant=solo-learn`, with solo-learn's loss function."""

    citation = "da Costa et al. (2022), solo-learn, JMLR 23(56); VICReg: arXiv:2105.04906"
    requires = "pip install --no-deps solo-learn==1.0.2"
    Config = Config

    def objective(self, za: Tensor, zb: Tensor) -> tuple[Tensor, Terms]:
        config = self.config
        return _vicreg_loss(za, zb, config.invariance, config.variance, config.covariance), {}
