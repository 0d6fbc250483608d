"""Projection and prediction heads."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import nn

from bench.api import Context


def projector(context: Context, output: int | None = None, normalise_output: bool = False) -> nn.Sequential:
    """Linear(no bias)-BN-ReLU for each hidden layer, then Linear(no bias); widths and depth come from the protocol.

    Barlow Twins' head (Zbontar et al. 2021, section 2.2), which nearly all methods share up to their widths. `output`
    replaces the protocol's output width; `normalise_output` adds BN without scale and shift behind the last layer
    (SimSiam, MoCo v3).
    """
    shape = context.projector
    width = shape.output if output is None else output
    return mlp([context.feature_dim, *[shape.hidden] * (shape.layers - 1), width], normalise_output)


def predictor(width: int, hidden: int) -> nn.Sequential:
    """Linear(no bias)-BN-ReLU, then Linear: from embeddings (B, width) to predictions (B, width) of a target."""
    return mlp([width, hidden, width], output_bias=True)


def mlp(widths: Sequence[int], normalise_output: bool = False, output_bias: bool = False) -> nn.Sequential:
    """Linear layers between `widths`, BN-ReLU behind each but the last."""
    layers: list[nn.Module] = []
    for width_in, width_out in itertools.pairwise(widths[:-1]):
        layers += [nn.Linear(width_in, width_out, bias=False), nn.BatchNorm1d(width_out), nn.ReLU(inplace=True)]
    layers.append(nn.Linear(widths[-2], widths[-1], bias=output_bias))
    if normalise_output:
        layers.append(nn.BatchNorm1d(widths[-1], affine=False))
    return nn.Sequential(*layers)
