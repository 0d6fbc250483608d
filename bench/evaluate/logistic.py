"""L2-regularised multinomial logistic regression by L-BFGS, along a path of regularisation strengths.

The objective over weights W (d, K) and intercepts b (K,), for N examples x with class y, is

    (1/N) sum_n -log softmax(x_n W + b)[y_n]  +  (strength / 2) ||W||^2

with the intercepts free: scikit-learn's `LogisticRegression(C=1 / (strength * N))` for three classes and more. With
two classes scikit-learn fits one weight vector v = W_1 - W_0 instead; the optimum is that of C = 2 / (strength * N).
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

GRADIENT_TOLERANCE = 1e-5
"""Largest Euclidean norm of the objective's gradient at a solution. scikit-learn's `tol` bounds its largest entry."""
ITERATION_LIMIT = 1000
"""L-BFGS iterations per strength."""
BLOCK = 1024
"""Rows in one product: bounds the memory of the logits, and stays in the processor's cache."""
GPU_BLOCK = 2**16
"""The same on a GPU, where a call costs its host about 20 microseconds (measured) and the product next to nothing."""


@dataclass(frozen=True)
class Solution:
    """Optimum at one strength: `weight` (d, K) and `intercept` (K,), float64.

    A class without a training example has weight 0 and intercept -inf: it is never predicted.
    """

    strength: float
    weight: Tensor
    intercept: Tensor
    gradient_norm: float

    @property
    def converged(self) -> bool:
        """Whether the gradient came below GRADIENT_TOLERANCE within ITERATION_LIMIT iterations."""
        return self.gradient_norm <= GRADIENT_TOLERANCE

    def logits(self, features: Tensor) -> Tensor:
        """Unnormalised log-probabilities (M, K) of `features` (M, d) float64."""
        return features @ self.weight + self.intercept


@torch.no_grad()
def regularisation_path(
    features: Tensor, labels: Tensor, num_classes: int, strengths: Iterable[float]
) -> list[Solution]:
    """Solutions for `features` (N, d) float64 and `labels` (N,) int64, strongest regularisation first.

    Each strength starts from the solution of the one before. The features should be centred: it is not needed for
    the result but for the speed. The result is the same bit for bit at the same number of torch's threads.
    """
    from threadpoolctl import threadpool_limits

    classes, targets = torch.unique(labels, return_inverse=True)
    variances, axes = _principal_axes(features)
    design = torch.cat([features @ axes, features.new_ones(len(features), 1)], dim=1)
    curvature = torch.cat([variances, variances.new_ones(1)])
    coefficients = design.new_zeros(design.shape[1], len(classes))
    path = []
    for strength in sorted(strengths, reverse=True):
        # SciPy's BLAS has a thread count of its own, one per core, on which the last bits would depend.
        with threadpool_limits(1, user_api="blas"):
            coefficients, gradient_norm = _minimise(design, targets, curvature, strength, coefficients)
        weight = features.new_zeros(features.shape[1], num_classes)
        weight[:, classes] = axes @ coefficients[:-1]
        intercept = features.new_full((num_classes,), -torch.inf)
        intercept[classes] = coefficients[-1]
        path.append(Solution(strength, weight, intercept, gradient_norm))
    return path


def _blocks(rows: Tensor) -> tuple[Tensor, ...]:
    """`rows` (N, ...) in parts for one product each."""
    return torch.split(rows, BLOCK if rows.device.type == "cpu" else GPU_BLOCK)


def _principal_axes(features: Tensor) -> tuple[Tensor, Tensor]:
    """Second moments (d,) along the principal axes, and the axes (d, d) as columns."""
    moments = features.new_zeros(features.shape[1], features.shape[1])
    for rows in _blocks(features):
        moments.addmm_(rows.T, rows)
    variances, axes = torch.linalg.eigh(moments / len(features))
    return variances.clamp_min(0.0), axes


def _minimise(
    design: Tensor, targets: Tensor, curvature: Tensor, strength: float, start: Tensor
) -> tuple[Tensor, float]:
    """Coefficients (d + 1, K) of smallest objective and the norm of the gradient there.

    L-BFGS works on coefficients scaled by the root of an estimate of the Hessian's diagonal, which in the basis of the
    principal axes is nearly all of it: `curvature` (d + 1,) of the design times the mean p (1 - p) of the
    probabilities at the start, plus the penalty. It needs a fraction of the iterations for the correlated features
    of an encoder.
    """
    from scipy.optimize import OptimizeResult, minimize

    penalty = torch.full_like(curvature, strength)
    penalty[-1] = 0.0
    scale = (curvature * _mean_variance(design, start) + penalty).sqrt().clamp_min(1e-3).unsqueeze(1)
    gradient_norm = np.inf

    def scaled_objective(point: np.ndarray[Any, Any]) -> tuple[float, np.ndarray[Any, Any]]:
        nonlocal gradient_norm
        value, gradient = _objective(design, targets, penalty, _to_tensor(point, start) / scale)
        gradient_norm = gradient.norm().item()
        return value.item(), (gradient / scale).flatten().cpu().numpy()

    def stop_when_flat(intermediate_result: OptimizeResult) -> None:
        if gradient_norm <= GRADIENT_TOLERANCE:
            raise StopIteration

    result = minimize(
        scaled_objective,
        (start * scale).flatten().cpu().numpy(),
        jac=True,
        method="L-BFGS-B",
        callback=stop_when_flat,
        options={"maxiter": ITERATION_LIMIT, "ftol": 0.0, "gtol": 0.0},
    )
    coefficients = _to_tensor(result.x, start) / scale
    return coefficients, _objective(design, targets, penalty, coefficients)[1].norm().item()


def _mean_variance(design: Tensor, coefficients: Tensor) -> float:
    """Mean of p (1 - p) over the probabilities of all examples and classes."""
    probabilities = (torch.softmax(rows @ coefficients, dim=1) for rows in _blocks(design))
    total = sum((p * (1 - p)).sum().item() for p in probabilities)
    return total / (len(design) * coefficients.shape[1])


def _to_tensor(point: np.ndarray[Any, Any], like: Tensor) -> Tensor:
    return torch.from_numpy(point).to(like.device).view_as(like)


def _objective(design: Tensor, targets: Tensor, penalty: Tensor, coefficients: Tensor) -> tuple[Tensor, Tensor]:
    """Value and gradient (d + 1, K) of the objective; `penalty` (d + 1,) is the strength per row of coefficients."""
    penalised = penalty.unsqueeze(1) * coefficients
    value = (penalised * coefficients).sum() / 2
    gradient = penalised
    for rows, classes in zip(_blocks(design), _blocks(targets.unsqueeze(1)), strict=True):
        log_probabilities = torch.log_softmax(rows @ coefficients, dim=1)
        value = value - log_probabilities.gather(1, classes).sum() / len(design)
        residuals = log_probabilities.exp_()
        residuals.scatter_add_(1, classes, residuals.new_full(classes.shape, -1.0))
        gradient.addmm_(rows.T, residuals, alpha=1 / len(design))
    return value, gradient
