"""Optimisers and the learning-rate schedule."""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import SGD, AdamW, Optimizer

from bench.config import schema

REFERENCE_BATCH = 256


class LARS(Optimizer):
    """Layer-wise adaptive rate scaling (You, Gitman, Ginsburg 2017) as in Barlow Twins' official code.

    Per weight matrix: g <- g + wd p;  g <- g eta |p| / |g|;  v <- momentum v + g;  p <- p - lr v. With `clip` the
    factor is min(eta |p| / (|g| lr), 1) instead (LARC, as in solo-learn). Parameter groups with `adapt=False` (biases,
    normalisation) skip the scaling. No value is read back to the host.
    """

    def __init__(
        self, params: Iterable[Any], lr: float, momentum: float, weight_decay: float, trust: float, clip: bool
    ) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay, "adapt": True})
        self.trust, self.clip = trust, clip

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """One update of every parameter that has a gradient."""
        assert closure is None
        for group in self.param_groups:
            parameters = [p for p in group["params"] if p.grad is not None]
            if not parameters:
                continue
            updates: list[Tensor] = [p.grad for p in parameters]
            if group["weight_decay"]:
                updates = list(torch._foreach_add(updates, parameters, alpha=group["weight_decay"]))
            if group["adapt"]:
                updates = self._scaled(parameters, updates, group["lr"])
            velocities = [self._velocity(p) for p in parameters]
            torch._foreach_mul_(velocities, group["momentum"])
            torch._foreach_add_(velocities, updates)
            torch._foreach_add_(parameters, velocities, alpha=-group["lr"])

    def _velocity(self, parameter: Tensor) -> Tensor:
        state = self.state[parameter]
        if "velocity" not in state:
            state["velocity"] = torch.zeros_like(parameter)
        return state["velocity"]

    def _scaled(self, parameters: list[Tensor], updates: list[Tensor], lr: float) -> list[Tensor]:
        weights = torch.stack(torch._foreach_norm(parameters))
        gradients = torch.stack(torch._foreach_norm(updates))
        usable = (weights > 0) & (gradients > 0)
        ratios = self.trust * weights / gradients
        if self.clip:
            ratios = (ratios / lr).clamp_max(1)  # lr 0 gives 1: nothing moves either way
        factors = torch.where(usable, ratios, torch.ones_like(weights))
        return list(torch._foreach_mul(updates, list(factors.unbind())))


def build(
    model: nn.Module, settings: schema.Optimizer, batch_size: int, constant_rate: Collection[str] = ()
) -> Optimizer:
    """The optimiser of `settings` over all trained parameters of `model`; see `peak_lr` for the rate it starts from.

    Biases and normalisation (parameters of one dimension) get no weight decay and, in LARS, no scaling. Submodules
    named in `constant_rate` form groups marked `constant`.
    """
    groups: list[dict[str, Any]] = []
    for constant in (False, True):
        named = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
        chosen = [p for name, p in named if (name.partition(".")[0] in constant_rate) == constant]
        matrices, vectors = [p for p in chosen if p.ndim > 1], [p for p in chosen if p.ndim <= 1]
        groups.append({"params": matrices, "constant": constant})
        groups.append({"params": vectors, "constant": constant, "weight_decay": 0.0})
        if settings.name == "lars":
            groups[-1]["adapt"] = False
    groups = [group for group in groups if group["params"]]
    lr = peak_lr(settings, batch_size)
    if settings.name == "adamw":
        return AdamW(groups, lr=lr, weight_decay=settings.weight_decay, fused=True)
    if settings.name == "sgd":
        return SGD(groups, lr=lr, momentum=settings.momentum, weight_decay=settings.weight_decay, fused=True)
    return LARS(groups, lr, settings.momentum, settings.weight_decay, settings.trust, settings.clip)


def peak_lr(settings: schema.Optimizer, batch_size: int) -> float:
    """Highest learning rate of a run: linear in the batch size for lars and sgd (Goyal et al. 2017), not adamw."""
    return settings.lr if settings.name == "adamw" else settings.lr * batch_size / REFERENCE_BATCH


def learning_rate(peak: float, step: int, total_steps: int, warmup_fraction: float) -> float:
    """Rate of step 0 <= step < total_steps: linear from peak / n to peak over the n warm-up steps, then cosine to 0."""
    warmup = round(warmup_fraction * total_steps)
    if step < warmup:
        return peak * (step + 1) / warmup
    return 0.5 * peak * (1 + math.cos(math.pi * (step - warmup) / max(1, total_steps - warmup)))


def set_learning_rate(optimizer: Optimizer, rate: float, peak: float) -> None:
    """Give every group `rate`, and those marked `constant` the `peak`."""
    for group in optimizer.param_groups:
        group["lr"] = peak if group["constant"] else rate
