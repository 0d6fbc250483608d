"""SwAV: swapped prediction of cluster assignments made by optimal transport."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.api import Context, Method, Range, Search, Terms
from bench.errors import UserError
from bench.methods._gather import gather, own_rows
from bench.methods._heads import projector
from bench.methods._prototypes import LARGE_VIEWS, Prototypes, entropy, swapped_prediction
from bench.methods._queue import Queue
from bench.methods._standardise import at_least_float32

PROTOTYPES = 3000
"""Of the paper, section 4, and of solo-learn on CIFAR."""
IMAGES_PER_PROTOTYPE = 15
"""Fewest images of an epoch for one prototype: CIFAR's in solo-learn (ours as a limit)."""
QUEUE = 3840
"""Official code at batches of 256, and solo-learn."""


@dataclass(frozen=True)
class Config:
    prototypes: Annotated[int, Range(minimum=2)] | None = None
    """None: 3000 as published, but no more than one per 15 images of an epoch, and 64 at least (ours)."""
    temperature: Annotated[float, Range(above=0), Search(0.05, 0.3)] = 0.1
    """Of the predictions; paper, appendix A."""
    epsilon: Annotated[float, Range(above=0), Search(0.01, 0.1)] = 0.03
    """Entropy regularisation of the assignments, larger for softer ones; the official code's advice against uniform
    codes. Paper, appendix A: 0.05, with which one of two short runs on digits kept uniform codes (measured)."""
    iterations: Annotated[int, Range(minimum=1)] = 3
    """Of Sinkhorn-Knopp; paper, section 3.1."""
    queue: Annotated[int, Range(minimum=0)] | None = None
    """Embeddings of earlier batches, per large view, that are assigned with the batch. None: where a batch has fewer
    images than there are prototypes, 3840 as published but at most half of an epoch's images (ours), else 0."""
    queue_start: Annotated[float, Range(minimum=0, maximum=1)] = 0.075
    """Part of the run before the queue is used; official code, epoch 15 of 200."""


@torch.no_grad()
def sinkhorn(scores: Tensor, epsilon: float, iterations: int, weights: Tensor | None = None) -> Tensor:
    """Assignments (N, K), each row adding up to 1, that use all prototypes equally: paper, equations 3-5.

    With mass 1/N on each sample and 1/K on each prototype, diag(u) exp(scores / epsilon) diag(v) is rescaled by turns
    to both, N times which is returned. Logarithms keep it finite at any epsilon. Samples of `weights` (N,) 0 take no
    part.
    """
    logits = scores / epsilon
    log_weights = torch.zeros_like(logits[:, :1]) if weights is None else weights.log()[:, None]
    log_u = log_weights
    for _ in range(iterations):
        log_v = -torch.logsumexp(logits + log_u, dim=0, keepdim=True)
        log_u = log_weights - torch.logsumexp(logits + log_v, dim=1, keepdim=True)
    return torch.softmax(logits + log_v, dim=1)


def objective(scores: Sequence[Tensor], codes: Sequence[Tensor], temperature: float) -> tuple[Tensor, Terms]:
    """Mean cross-entropy of each large view's code (B, K) with what every other view predicts: paper, equation 2.

    `scores` (B, K) of all views are cosines with the prototypes. Both entropies are log K in a collapse.
    """
    predictions = torch.softmax(scores[0].detach() / temperature, dim=1)
    return swapped_prediction(codes, scores, temperature), {
        "code_entropy": entropy(codes[0]),
        "prediction_entropy": entropy(predictions),
    }


class SwAV(Method):
    """SwAV, with multi-crop where `augment.local_views` asks for it. Each view is one forward pass, so that batch
    normalisation sees one view at a time; the official code has one pass per resolution."""

    citation = "Caron, Misra, Mairal, Goyal, Bojanowski, Joulin (2020), SwAV, arXiv:2006.09882"
    Config = Config
    multi_crop = True
    queue_in_use: Tensor

    @classmethod
    def check(cls, context: Context) -> None:
        first, images = _queue_start(context), context.total_steps * context.accumulate * context.batch_size
        if context.config.queue and first >= context.total_steps:
            raise UserError(
                f"swav.queue={context.config.queue} is never used in a run over {images} images: set a shorter queue, "
                "an earlier swav.queue_start or swav.queue=0."
            )

    def __init__(self, encoder: nn.Module, context: Context) -> None:
        super().__init__(encoder, context)
        width = context.projector.output
        self.projector = projector(context)
        self.prototypes = Prototypes(_number_of_prototypes(context), width, context)
        length = _queue_length(context)
        self.queues = nn.ModuleList(Queue(length, width) for _ in range(LARGE_VIEWS if length else 0))
        self.total_steps, self.queue_start = context.total_steps, _queue_start(context)
        self.register_buffer("queue_in_use", torch.zeros(()))
        self._fresh: list[list[Tensor]] = [[] for _ in self.queues]

    def embed(self, features: Tensor) -> Tensor:
        return F.normalize(at_least_float32(self.projector(features)), dim=1)

    def loss(self, views: Sequence[Tensor], indices: Tensor, labels: Tensor | None) -> tuple[Tensor, Terms]:
        embeddings = [self.embed(self.encoder(view)) for view in views]
        with torch.autocast(views[0].device.type, enabled=False):
            prototypes = self.prototypes()
            codes = [self._codes(index, z.detach(), prototypes) for index, z in enumerate(embeddings[:LARGE_VIEWS])]
            return objective([z @ prototypes.T for z in embeddings], codes, self.config.temperature)

    def after_step(self, progress: float) -> None:
        with torch.no_grad():
            self.prototypes.weight.copy_(F.normalize(self.prototypes.weight, dim=1))
        self.prototypes.after_step(progress)
        for view, fresh in enumerate(self._fresh):
            self._queue(view).push(torch.cat(fresh))
            fresh.clear()
        self.queue_in_use.fill_(float(round(progress * self.total_steps) >= self.queue_start))

    def resolved(self) -> dict[str, float]:
        """Prototypes, steps in which they are frozen, length of each queue and step of its first use."""
        length = len(self._queue(0).entries) if self.queues else 0
        return {
            "prototypes": len(self.prototypes.weight),
            "frozen_steps": self.prototypes.frozen_steps,
            "queue": length,
            **({"queue_start": self.queue_start} if length else {}),
        }

    def _queue(self, view: int) -> Queue:
        return cast(Queue, self.queues[view])

    def _codes(self, view: int, z: Tensor, prototypes: Tensor) -> Tensor:
        """Codes of this process's embeddings z (B / N, D), balanced over the whole batch and any queue."""
        z = gather(z)
        samples, weights = z, torch.ones_like(z[:, 0])
        if self.queues:
            queued = self._queue(view).entries
            samples = torch.cat([z, queued])
            weights = torch.cat([weights, self.queue_in_use.expand(len(queued))])
            self._fresh[view].append(z)
        codes = sinkhorn(samples @ prototypes.detach().T, self.config.epsilon, self.config.iterations, weights)
        return own_rows(codes[: len(z)])


def _number_of_prototypes(context: Context) -> int:
    if context.config.prototypes is not None:
        return int(context.config.prototypes)
    images = context.images_per_epoch
    return min(PROTOTYPES, max(64, images // IMAGES_PER_PROTOTYPE))


def _queue_length(context: Context) -> int:
    if context.config.queue is not None:
        return int(context.config.queue)
    if context.batch_size >= _number_of_prototypes(context):
        return 0
    return min(QUEUE, context.images_per_epoch // 2)


def _queue_start(context: Context) -> int:
    """First step that uses the queue: not before it is full."""
    filled = math.ceil(_queue_length(context) / (context.accumulate * context.batch_size))
    return max(filled, math.ceil(context.config.queue_start * context.total_steps))
