"""MINC (third-party constants): mutual information without contrast, by a running second moment of the embeddings.

The spectral loss's repulsion of all pairs becomes a quadratic form in Lambda, the second moment. The derivation is the
paper's. The trained loss and its constants (scale 10, decay 0.8, momentum 0.996, embeddings of unit length, no
predictor) are only known from third-party code, which takes one order of the views and a Lambda that starts at 0; here
both orders are averaged and Lambda starts as that of the first batch (ours).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn

from bench.api import Context, Method, Range, Search, Terms
from bench.methods._gather import gather
from bench.methods._heads import projector
from bench.methods._momentum import Momentum
from bench.methods._standardise import unit_rows


@dataclass(frozen=True)
class Config:
    scale: Annotated[float, Range(above=0), Search(1, 100)] = 10.0
    """s, the squared length that the unit vectors stand for; third-party code. The spectral loss calls it mu."""
    decay: Annotated[float, Range(minimum=0, below=1)] = 0.8
    """Share of Lambda that remains after a step; third-party code (beta)."""
    momentum: Annotated[float, Range(minimum=0, below=1), Search(0.8, 0.996, "momentum")] = 0.996
    """Of the target at the start; third-party code, where it is constant. A run too short for it uses less;
    result.json has the value."""
    final_momentum: Annotated[float, Range(minimum=0, maximum=1)] = 0.996
    """Of the target at the end; third-party code. Less in a short run, as at the start."""
    gha: bool = False
    """The lower triangle of Lambda in its place: the generalised Hebbian algorithm, which orders eigendirections."""


def objective(query: Tensor, target: Tensor, moment: Tensor, scale: float, gha: bool = False) -> tuple[Tensor, Terms]:
    """mean_i of -s <t_i, q_i> + s^2/2 q_i^T Lambda q_i for unit vectors q, t (B, D) and Lambda = `moment` (D, D).

    No gradient flows into t and Lambda. With Lambda = T^T T / B its gradient is half of the spectral loss's (scale s).
    With `gha` the gradient of the second part is the algorithm's, s^2 tril(Lambda) q, which is that of no function:
    q^T tril(Lambda) q / 2 has half of (tril(Lambda) + tril(Lambda)^T) q. Its value is then s^2 q^T tril(Lambda) q.
    """
    target, moment = target.detach(), moment.detach()
    attraction = (query * target).sum(1).mean()
    if gha:
        repulsion = (query * (query @ moment.tril().T).detach()).sum(1).mean()
    else:
        repulsion = ((query @ moment) * query).sum(1).mean() / 2
    return -scale * attraction + scale**2 * repulsion, {"attraction": attraction, "repulsion": repulsion}


class MINC(Method):
    """MINC; the target is an exponential moving average of encoder and projector."""

    citation = "Guo, Avila Pires, Khetarpal, Schuurmans, Dai (2025), MINC, arXiv:2504.16667"
    version = 2  # 2: in a run too short for it the momentum is constant too
    Config = Config
    moment: Tensor
    steps: Tensor

    def __init__(self, encoder: nn.Module, context: Context) -> None:
        super().__init__(encoder, context)
        config, width = self.config, context.projector.output
        self.projector = projector(context)
        online = nn.Sequential(encoder, self.projector)
        self.target = Momentum(online, config.momentum, config.final_momentum, context.total_steps)
        self.register_buffer("moment", torch.zeros(width, width))
        self.register_buffer("steps", torch.zeros((), dtype=torch.int64))
        self._fresh: list[Tensor] = []

    def embed(self, features: Tensor) -> Tensor:
        return unit_rows(self.projector(features))

    def loss(self, views: Sequence[Tensor], indices: Tensor, labels: Tensor | None) -> tuple[Tensor, Terms]:
        q1, q2 = (self.embed(self.encoder(view)) for view in views)
        t1, t2 = (unit_rows(self.target(view)) for view in views)
        with torch.autocast(q1.device.type, enabled=False):
            fresh = _second_moment(torch.cat([gather(t1), gather(t2)]))
            self._fresh.append(fresh)
            moment = torch.where(self.steps == 0, fresh, self.moment)
            scale, gha = self.config.scale, self.config.gha
            loss, terms = objective(torch.cat([q1, q2]), torch.cat([t2, t1]), moment, scale, gha)
        return loss, terms

    @torch.no_grad()
    def after_step(self, progress: float) -> None:
        self.target.update(progress)
        fresh = torch.stack(self._fresh).mean(0) if len(self._fresh) > 1 else self._fresh[0]
        self._fresh.clear()
        share = torch.where(self.steps == 0, 1.0, 1 - self.config.decay)
        self.moment.lerp_(fresh, share.to(fresh.dtype))
        self.steps += 1

    def resolved(self) -> dict[str, float]:
        """The target's momentum at the start and at the end of this run."""
        return self.target.resolved()


def _second_moment(z: Tensor) -> Tensor:
    return (z.T @ z).div_(len(z))
