"""How an objective pulls at a pair of embeddings, by their cosine: measured by autograd, and in closed form.

The attraction of a pair is what the loss falls per unit of arc when an embedding of unit length moves straight towards
the other: -dL/drho sqrt(1 - rho^2) where L depends on the pair's cosine rho alone. Negative: they are driven apart.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import torch
import torch.nn.functional as F
import yaml
from torch import Tensor, nn

from bench import arms, discover
from bench.api import Context, Projector
from bench.config.check import build
from bench.errors import UserError
from bench.seeds import derive

Kind = Literal["positive", "negative"]
Objective = Callable[[Tensor, Tensor], Tensor]
"""Scalar loss of embeddings of two views (B, D)."""

OTHERS = 0.8
"""Cosine of the positive pairs that are not swept."""
STEP = 1e-9
"""Fraction by which cosines keep clear of -1 and 1, where a pair has no direction to move in."""


def objective_of(name: str, batch: int, width: int) -> tuple[Objective, Any]:
    """The objective of a method with settings, such as `smi:form=maxmin`, and its configuration.

    Raises UserError for an unknown method or setting, and for a method whose loss is no function of two batches of
    embeddings alone (momentum encoders, predictors, queues).
    """
    arm = arms.parse(name)
    cls = discover.load("methods", arm.method)
    if not hasattr(cls, "objective"):
        raise UserError(f"'{name}' has no objective of two embeddings alone; its gradient by pair is not defined.")
    settings = {key: yaml.safe_load(value) for key, _, value in (word.partition("=") for word in arm.settings)}
    config = build(cls.Config, settings, arm.short_name)
    context = Context(config, width, Projector(width, width, 1), 2, 1, 1, batch)
    cls.check(context)
    method = cls(nn.Identity(), context)
    return (lambda za, zb: method.objective(za, zb)[0]), config


def attraction(
    objective: Objective, kind: Kind, cosines: Sequence[float], batch: int, width: int, draws: int, seed: int
) -> Tensor:
    """Attraction (len(cosines),) float64 of one pair at these cosines, averaged over random batches.

    A batch is (B, D) for each view: rows of mean zero and unit length, drawn evenly, so that cosine and Pearson's
    correlation are the same; positive pairs at cosine OTHERS. The pair is the two views of the first image, or its
    first and the second image's second view, and the direction between the two is orthogonal to the rest of the batch.
    Raises ValueError unless D > 2 B + 2, which this needs.
    """
    if width <= 2 * batch + 2:
        raise ValueError(f"a pair is set apart from {batch} images only in more than {2 * batch + 2} dimensions")
    swept = torch.tensor(cosines, dtype=torch.float64).clamp(-1 + STEP, 1 - STEP)
    totals = torch.zeros_like(swept)
    for draw in range(draws):
        generator = torch.Generator().manual_seed(derive(seed, "pair", draw))
        for index, cosine in enumerate(swept):
            za, zb, direction = _batch(kind, cosine, batch, width, generator.clone_state())
            za.requires_grad_()
            (gradient,) = torch.autograd.grad(objective(za, zb), za)
            totals[index] -= gradient[0] @ direction
    return totals / draws


def attractions(objective: Objective, za: Tensor, zb: Tensor) -> Tensor:
    """The attraction (B, B) of every pair of a row of `za` and one of `zb`, in one batch and whatever else pulls there.

    The rows (B, D), float64, have mean zero and unit length. What pulls row i towards row j of the other view is the
    gradient's part along that of j which all other embeddings leave free: the same as `attraction`. Raises ValueError
    unless D > 2 B, without which there is none.
    """
    batch, width = za.shape
    if width <= 2 * batch:
        raise ValueError(f"{batch} pairs are told apart only in more than {2 * batch} dimensions")
    moved = za.detach().clone().requires_grad_()
    (gradient,) = torch.autograd.grad(objective(moved, zb), moved)
    embeddings = torch.cat([zb, za])
    along = torch.linalg.lstsq(embeddings.T, -gradient.T).solution[:batch].T
    return along * (1 - (za @ zb.T).square()).clamp_min(0).sqrt()


def related_batch(batch: int, width: int, classes: int, same_class: float, seed: int) -> tuple[Tensor, Tensor]:
    """Two views (B, D), unit rows of mean zero, of a batch with classes: embeddings of one class have a mean cosine of
    `same_class`, those of one image OTHERS."""
    generator = torch.Generator().manual_seed(derive(seed, "classes"))
    directions, own, noise = (
        torch.randn(rows, width, generator=generator, dtype=torch.float64) for rows in (classes, batch, batch)
    )
    za = _unit(same_class**0.5 * directions[torch.arange(batch) % classes] + (1 - same_class) ** 0.5 * own)
    return za, _at(torch.tensor(OTHERS, dtype=torch.float64), za, _orthogonal(_unit(noise), za))


def closed_form(name: str, config: Any, kind: Kind, cosines: Sequence[float], batch: int) -> Tensor | None:
    """The same for sample-level objectives whose loss is a sum over pairs; None for all others.

    Those are SMI, unless it centres over the batch or works on features, and Spectral Contrastive on unit rows.
    """
    rho = torch.tensor(cosines, dtype=torch.float64).clamp(-1 + STEP, 1 - STEP)
    method = arms.parse(name).method
    if method == "smi" and config.level == "sample" and config.centre != "batch":
        slope = _smi_slope(config, kind, rho)
        weight = config.w
    elif method == "spectral" and config.mu >= 1:
        slope, weight = (torch.full_like(rho, -2.0) if kind == "positive" else 2 * rho), 1.0
        slope = slope / config.mu
    else:
        return None
    share = 1 / batch if kind == "positive" else weight / (batch * (batch - 1))
    return -share * slope * (1 - rho.square()).sqrt()


def _smi_slope(config: Any, kind: Kind, rho: Tensor) -> Tensor:
    """d/drho of one diagonal, or of one unweighted off-diagonal entry of the loss."""
    if config.transform == "identity":
        return -2 * (1 - rho) if kind == "positive" else 2 * rho
    shrunk = (1 - config.epsilon) * rho.square()
    information, slope = -0.5 * torch.log(1 - shrunk), (1 - config.epsilon) * rho / (1 - shrunk)
    if config.form == "match":
        largest = -0.5 * torch.log(torch.tensor(config.epsilon, dtype=rho.dtype))
        matched, slope = information / largest, slope / largest
        return -2 * (1 - matched) * slope if kind == "positive" else 2 * matched * slope
    if kind == "negative":
        return slope
    return -slope if config.form == "maxmin" else -(1 - config.epsilon) / (1 - ((1 - config.epsilon) * rho).square())


def _batch(
    kind: Kind, cosine: Tensor, batch: int, width: int, generator: torch.Generator
) -> tuple[Tensor, Tensor, Tensor]:
    """Both views, and the unit direction in which the first view's first row moves straight towards its partner."""
    za, noise = (_unit(torch.randn(batch, width, generator=generator, dtype=torch.float64)) for _ in range(2))
    others = torch.tensor(OTHERS, dtype=torch.float64)
    zb = _at(others, za, _orthogonal(noise, za))
    # Orthogonal to all other embeddings: what the rest of the batch pulls is not along it.
    used = torch.linalg.qr(torch.cat([za, zb]).T).Q
    directions = _unit(torch.randn(2, width, generator=generator, dtype=torch.float64))
    direction, free = F.normalize(torch.linalg.qr((directions - directions @ used @ used.T).T).Q.T, dim=1)
    if kind == "positive":
        zb[0] = _at(cosine, za[0], direction)
    else:
        zb[1] = _at(cosine, za[0], direction)
        za[1] = _at(others, zb[1], free)
    return za, zb, direction


def _at(cosine: Tensor, start: Tensor, direction: Tensor) -> Tensor:
    return cosine * start + (1 - cosine.square()).sqrt() * direction


def _orthogonal(x: Tensor, to: Tensor) -> Tensor:
    return F.normalize(x - (x * to).sum(1, keepdim=True) * to, dim=1)


def _unit(x: Tensor) -> Tensor:
    return F.normalize(x - x.mean(1, keepdim=True), dim=1)
