"""Projection and prediction heads."""

from __future__ import annotations

import itertools

from torch import nn

from bench.api import Context


def projector(context: Context) -> nn.Sequential:
    """Barlow Twins' head: Linear(no bias)-BN-ReLU for each hidden layer, then Linear(no bias) without BN.

    Zbontar et al. 2021, section 2.2: three linear layers; widths and depth come from the protocol.
    """
    shape = context.projector
    widths = [context.feature_dim] + [shape.hidden] * (shape.layers - 1)
    layers: list[nn.Module] = []
    for width_in, width_out in itertools.pairwise(widths):
        layers += [nn.Linear(width_in, width_out, bias=False), nn.BatchNorm1d(width_out), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers, nn.Linear(widths[-1], shape.output, bias=False))
