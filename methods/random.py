"""Random encoder: no training, the floor."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from bench.api import Method, Terms


@dataclass(frozen=True)
class Config:
    """Nothing to set."""


class RandomEncoder(Method):
    """The encoder as initialised; only its batch-normalisation statistics are measured, on one epoch of views.

    Without that step the floor would be that of wrong statistics rather than of the untrained network.
    """

    citation = "Reference row: the untrained network"
    trains = False
    Config = Config

    def loss(self, views: Sequence[Tensor], indices: Tensor, labels: Tensor | None) -> tuple[Tensor, Terms]:
        for view in views:
            self.encoder(view)
        return torch.zeros((), device=views[0].device), {}
