"""SimCLR: contrastive learning with the NT-Xent loss over all views of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.api import Range, Search, Terms
from bench.methods._joint_embedding import JointEmbedding
from bench.methods._standardise import at_least_float32


@dataclass(frozen=True)
class Config:
    temperature: Annotated[float, Range(above=0), Search(0.05, 1)] = 0.2
    """solo-learn on CIFAR and ImageNet-100; the paper finds 0.1 on ImageNet (table 5) and 0.5 on CIFAR (B.9)."""


def objective(za: Tensor, zb: Tensor, temperature: float) -> tuple[Tensor, Terms]:
    """NT-Xent of projected views (B, D): paper, equation 1, averaged over the 2B views.

    -log( exp(s_ip / temperature) / sum_{k != i} exp(s_ik / temperature) ) with cosine similarities s, the other view
    of the same image as positive p, and all other 2B - 2 views as negatives.
    """
    z = F.normalize(torch.cat([at_least_float32(za), at_least_float32(zb)]), dim=1)
    count, batch = len(z), len(za)
    itself = torch.eye(count, dtype=torch.bool, device=z.device)
    similarities = (z @ z.T).masked_fill(itself, -torch.inf) / temperature
    positives = torch.arange(count, device=z.device).roll(batch)
    loss = F.cross_entropy(similarities, positives)
    hits = (similarities.argmax(1) == positives).to(z.dtype).mean()
    return loss, {"positive_similarity": (z[:batch] * z[batch:]).sum(1).mean(), "instance_accuracy": hits}


class SimCLR(JointEmbedding):
    """SimCLR; its projector has batch normalisation in the hidden layers, as in the official code."""

    citation = "Chen, Kornblith, Norouzi, Hinton (2020), A Simple Framework for Contrastive Learning, arXiv:2002.05709"
    Config = Config

    def objective(self, za: Tensor, zb: Tensor) -> tuple[Tensor, Terms]:
        return objective(za, zb, self.config.temperature)
