"""Supervised encoder: cross-entropy on the labels, the ceiling."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.api import Context, Method, Range, Terms
from bench.methods._standardise import at_least_float32


@dataclass(frozen=True)
class Config:
    label_smoothing: Annotated[float, Range(minimum=0, below=1)] = 0.0
    """Ours: none."""


def objective(logits: Sequence[Tensor], labels: Tensor, label_smoothing: float) -> tuple[Tensor, Terms]:
    """Mean cross-entropy of the logits (B, classes) of each view; images labelled -1 (unlabelled) do not count."""
    stacked, repeated = torch.cat([at_least_float32(view) for view in logits]), labels.repeat(len(logits))
    losses = F.cross_entropy(stacked, repeated, ignore_index=-1, reduction="sum", label_smoothing=label_smoothing)
    labelled = (repeated >= 0).sum().clamp_min(1)
    correct = ((stacked.argmax(1) == repeated) & (repeated >= 0)).sum()
    return losses / labelled, {"train_accuracy": correct / labelled}


class Supervised(Method):
    """A linear classifier on the encoder, trained with it on the same views as every other method."""

    citation = "Reference row: trained on the labels"
    needs_labels = True
    Config = Config

    def __init__(self, encoder: nn.Module, context: Context) -> None:
        super().__init__(encoder, context)
        self.classifier = nn.Linear(context.feature_dim, context.num_classes)

    def loss(self, views: Sequence[Tensor], indices: Tensor, labels: Tensor | None) -> tuple[Tensor, Terms]:
        assert labels is not None
        logits = [self.classifier(self.encoder(view)) for view in views]
        with torch.autocast(logits[0].device.type, enabled=False):
            return objective(logits, labels, self.config.label_smoothing)
