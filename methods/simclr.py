"""SimCLR: contrastive learning with the NT-Xent loss over all views of a batch."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from bench.api import Range, Search, Terms
from bench.methods._joint_embedding import JointEmbedding
from bench.methods._standardise import at_least_float32

ROWS = 4096
"""Views whose similarities to all are in memory at once."""
_again_in_backward = partial(checkpoint, use_reentrant=False, preserve_rng_state=False)


@dataclass(frozen=True)
class Config:
    temperature: Annotated[float, Range(above=0), Search(0.05, 1)] = 0.2
    """solo-learn on CIFAR and ImageNet-100; the paper finds 0.1 on ImageNet (table 5) and 0.5 on CIFAR (B.9)."""


def objective(za: Tensor, zb: Tensor, temperature: float) -> tuple[Tensor, Terms]:
    """NT-Xent of projected views (B, D): paper, equation 1, averaged over the 2B views.

    -log( exp(s_ip / temperature) / sum_{k != i} exp(s_ik / temperature) ) with cosine similarities s, the other view
    of the same image as positive p, and all other 2B - 2 views as negatives. Beyond ROWS views similarities are made
    ROWS rows at a time, and again in the backward pass, so that memory grows with B instead of B^2.
    """
    z = torch.cat([F.normalize(at_least_float32(view), dim=1) for view in (za, zb)])
    count, batch = len(z), len(za)
    index = torch.arange(count, device=z.device)
    if count <= ROWS:
        loss, hits = _contrast(z, z, index, batch, temperature)
    else:
        blocks = [
            torch.stack(_again_in_backward(_contrast, z[rows], z, rows, batch, temperature)) * len(rows)
            for rows in torch.split(index, ROWS)
        ]
        loss, hits = (torch.stack(blocks).sum(0) / count).unbind()
    positive = (z.detach()[:batch] * z.detach()[batch:]).sum(1).mean()
    return loss, {"positive_similarity": positive, "instance_accuracy": hits.detach()}


def _contrast(queries: Tensor, z: Tensor, rows: Tensor, batch: int, temperature: float) -> tuple[Tensor, Tensor]:
    """Mean loss, and share whose positive is nearest, of `queries` (n, D), which are the `rows` (n,) of z (2B, D)."""
    itself = rows[:, None] == torch.arange(len(z), device=z.device)
    similarities = (queries @ z.T).masked_fill_(itself, -torch.inf).div_(temperature)
    positives = (rows + batch) % len(z)
    return F.cross_entropy(similarities, positives), (similarities.argmax(1) == positives).to(z.dtype).mean()


class SimCLR(JointEmbedding):
    """SimCLR; its projector has batch normalisation in the hidden layers (official code: on the output too)."""

    citation = "Chen, Kornblith, Norouzi, Hinton (2020), A Simple Framework for Contrastive Learning, arXiv:2002.05709"
    Config = Config

    def objective(self, za: Tensor, zb: Tensor) -> tuple[Tensor, Terms]:
        return objective(za, zb, self.config.temperature)
