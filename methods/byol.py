"""BYOL: bootstrap your own latent, predicting a momentum target."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.api import Context, Method, Range, Search, Terms
from bench.methods._heads import predictor, projector
from bench.methods._momentum import Momentum
from bench.methods._standardise import at_least_float32


@dataclass(frozen=True)
class Config:
    momentum: Annotated[float, Range(minimum=0, below=1), Search(0.8, 0.996, "momentum")] = 0.99
    """Of the target at the start; solo-learn on CIFAR 0.99, paper 0.996 (1,000 epochs of ImageNet). A run too short
    for it uses less; result.json has the value."""
    final_momentum: Annotated[float, Range(minimum=0, maximum=1)] = 1.0
    """Of the target at the end; paper, section 3.2."""
    normalise_output: bool = True
    """Batch normalisation (no scale, no shift) behind the projector, as in SimSiam and MoCo v3. The paper has none:
    one of three short runs on digits then stayed at the random encoder's accuracy on validation images (measured)."""


def objective(predictions: Sequence[Tensor], targets: Sequence[Tensor]) -> tuple[Tensor, Terms]:
    """Sum over the two orders of 2 - 2 cos(prediction of one view, target of the other): paper, equation 2.

    Two tensors (B, D) each; no gradient flows into the targets.
    """
    crossed = zip(predictions, reversed(targets), strict=True)
    cosines = [F.cosine_similarity(at_least_float32(p), at_least_float32(t).detach(), dim=1).mean() for p, t in crossed]
    agreement = (cosines[0] + cosines[1]) / 2
    return 4 - 4 * agreement, {"agreement": agreement}


class BYOL(Method):
    """BYOL; the target is an exponential moving average of encoder and projector."""

    citation = "Grill, Strub, Altché, Tallec et al. (2020), Bootstrap Your Own Latent, arXiv:2006.07733"
    Config = Config

    def __init__(self, encoder: nn.Module, context: Context) -> None:
        super().__init__(encoder, context)
        self.projector = projector(context, normalise_output=self.config.normalise_output)
        self.predictor = predictor(context.projector.output, context.projector.hidden)
        online = nn.Sequential(encoder, self.projector)
        config = self.config
        self.target = Momentum(online, config.momentum, config.final_momentum, context.total_steps)

    def embed(self, features: Tensor) -> Tensor:
        return self.projector(features)

    def loss(self, views: Sequence[Tensor], indices: Tensor, labels: Tensor | None) -> tuple[Tensor, Terms]:
        predictions = [self.predictor(self.embed(self.encoder(view))) for view in views]
        targets = [self.target(view) for view in views]
        with torch.autocast(views[0].device.type, enabled=False):
            return objective(predictions, targets)

    def after_step(self, progress: float) -> None:
        self.target.update(progress)

    def resolved(self) -> dict[str, float]:
        """The target's momentum at the start and at the end of this run."""
        return self.target.resolved()
