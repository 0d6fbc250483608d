"""MoCo: momentum contrast, v2+ with a queue of negatives (v1 and v3 by `version`).

v1:   linear head, one view queries and the other is the key, one queue (He et al. 2019).
v2+:  MLP head as in v2 (Chen et al. 2020), both orders of the views averaged, a queue for each (solo-learn).
v3:   no queue, negatives from the batch, a predictor, normalised projector output (Chen et al. 2021).

Embeddings are as wide as the protocol's projector makes them but at most as wide as published, since the cost of a
queue grows with their width. The projector's hidden layers have batch normalisation, as for every method here and in
v3; v2 and solo-learn's v2+ have none.

Shuffling BN is left out. A query and its own key share the images behind their batch statistics, and negatives do not:
a cue that v1 and v2 take away by shuffling keys between GPUs of 32 images each. On one device shuffling changes
nothing, because the statistics of a batch do not depend on its order; solo-learn and Lightly train without it there,
and the larger a batch, the weaker the cue. In v3 queries and all keys come from one batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal, NamedTuple, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.api import Context, Method, Range, Search, Terms
from bench.errors import UserError
from bench.methods._gather import gather, own_rows
from bench.methods._heads import mlp, predictor, projector
from bench.methods._momentum import Momentum
from bench.methods._queue import Queue
from bench.methods._standardise import unit_rows


class Published(NamedTuple):
    """Settings of one version in its paper or, where that has none for ResNet-18, in solo-learn."""

    width: int
    temperature: float
    momentum: float
    final_momentum: float


PUBLISHED = {
    1: Published(128, 0.07, 0.999, 0.999),  # He et al. 2019, sections 3.1 and 3.3
    2: Published(256, 0.2, 0.99, 0.999),  # solo-learn on CIFAR and ImageNet-100
    3: Published(256, 0.2, 0.99, 1.0),  # solo-learn; official ResNet-50 the same but for temperature 1
}
QUEUE = 65536
"""Length of the queue in the papers and on ImageNet-100 in solo-learn, which takes 32768 on CIFAR."""


@dataclass(frozen=True)
class Config:
    version: Literal[1, 2, 3] = 2
    """2 is v2+; see the top of this file."""
    temperature: Annotated[float, Range(above=0), Search(0.05, 1)] | None = None
    """None: as published, 0.07 in v1, 0.2 in v2+ and v3."""
    momentum: Annotated[float, Range(minimum=0, below=1), Search(0.8, 0.999, "momentum")] | None = None
    """Of the target at the start. None: as published, 0.999 in v1, 0.99 in v2+ and v3. A run too short for it uses
    less; result.json has the value."""
    final_momentum: Annotated[float, Range(minimum=0, maximum=1)] | None = None
    """Of the target at the end. None: as published, 0.999 in v1 and v2+, 1 in v3. Below 1 less in a short run, as at
    the start."""
    queue: Annotated[int, Range(minimum=1)] | None = None
    """Keys of earlier batches that serve as negatives, per order of the views; not in v3. None: 65536 as published,
    but at most half of an epoch's images (ours): a queue of a whole epoch holds for every second query an older key of
    its own image, a negative that is none; half a queue for one in eight. result.json has the value."""

    def __post_init__(self) -> None:
        if self.version == 3 and self.queue is not None:
            raise UserError("moco.queue has no effect with version=3, which has no queue; leave it out.")
        for name in ("temperature", "momentum", "final_momentum"):
            if getattr(self, name) is None:
                object.__setattr__(self, name, getattr(PUBLISHED[self.version], name))


def objective(query: Tensor, key: Tensor, queue: Tensor, temperature: float) -> tuple[Tensor, Terms]:
    """-log( exp(q k / temperature) / (exp(q k / temperature) + sum_j exp(q n_j / temperature)) ): MoCo, equation 1.

    Queries and keys (B, D) in the same order and negatives (K, D), all unit vectors; mean over the batch.
    """
    positives = (query * key).sum(1, keepdim=True)
    similarities = torch.cat([positives, query @ queue.T], dim=1)
    return _cross_entropy(similarities, torch.zeros(len(query), dtype=torch.int64, device=query.device), temperature)


def objective_v3(query: Tensor, keys: Tensor, own: Tensor, temperature: float) -> tuple[Tensor, Terms]:
    """2 temperature times the cross-entropy of softmax(q k_j / temperature) with each query's own key: v3, algorithm 1.

    Unit vectors: queries (B / N, D), keys (B, D) of all processes, and the row `own` (B / N,) of each query's key.
    """
    loss, terms = _cross_entropy(query @ keys.T, own, temperature)
    return 2 * temperature * loss, terms


class MoCo(Method):
    """MoCo; the keys' network is an exponential moving average of encoder and projector."""

    citation = "He, Fan, Wu, Xie, Girshick (2019), Momentum Contrast, arXiv:1911.05722"
    version = 2  # 2: in a run too short for it the momentum does not rise beyond what the run can use
    Config = Config

    def __init__(self, encoder: nn.Module, context: Context) -> None:
        super().__init__(encoder, context)
        config = self.config
        width = min(context.projector.output, PUBLISHED[config.version].width)
        if config.version == 1:
            self.projector = mlp([context.feature_dim, width], output_bias=True)
        else:
            self.projector = projector(context, width, normalise_output=config.version == 3)
        self.predictor = predictor(width, context.projector.hidden) if config.version == 3 else nn.Identity()
        online = nn.Sequential(encoder, self.projector)
        self.target = Momentum(online, config.momentum, config.final_momentum, context.total_steps)
        self.orders = [(0, 1)] if config.version == 1 else [(0, 1), (1, 0)]
        self.queues = nn.ModuleList()
        if config.version != 3:
            longest = max(1, context.images_per_epoch // 2)
            length = min(QUEUE, longest) if config.queue is None else config.queue
            self.queues.extend(Queue(length, width) for _ in self.orders)
        self._fresh: list[list[Tensor]] = [[] for _ in self.queues]

    def embed(self, features: Tensor) -> Tensor:
        return unit_rows(self.projector(features))

    def loss(self, views: Sequence[Tensor], indices: Tensor, labels: Tensor | None) -> tuple[Tensor, Terms]:
        results = [self._contrast(views, order) for order in range(len(self.orders))]
        losses = torch.stack([loss for loss, _ in results])
        terms = {name: torch.stack([each[name] for _, each in results]).mean() for name in results[0][1]}
        return losses.sum() if self.config.version == 3 else losses.mean(), terms

    def after_step(self, progress: float) -> None:
        self.target.update(progress)
        for order, fresh in enumerate(self._fresh):
            self._queue(order).push(torch.cat(fresh))
            fresh.clear()

    def resolved(self) -> dict[str, float]:
        """The keys' momentum at the start and at the end of this run, and the length of each queue."""
        length = {"queue": len(self._queue(0).entries)} if self.queues else {}
        return {**self.target.resolved(), **length}

    def _queue(self, order: int) -> Queue:
        return cast(Queue, self.queues[order])

    def _contrast(self, views: Sequence[Tensor], order: int) -> tuple[Tensor, Terms]:
        """Loss of one view's queries against the other's keys."""
        query_view, key_view = (views[index] for index in self.orders[order])
        query = unit_rows(self.predictor(self.projector(self.encoder(query_view))))
        key = unit_rows(self.target(key_view)).detach()
        with torch.autocast(query.device.type, enabled=False):
            keys = gather(key)
            if self.config.version == 3:
                own = own_rows(torch.arange(len(keys), device=keys.device))
                return objective_v3(query, keys, own, self.config.temperature)
            # Pushed after the step: backward needs the queue as it is now, and must not find it changed.
            self._fresh[order].append(keys)
            return objective(query, key, self._queue(order).entries, self.config.temperature)


def _cross_entropy(similarities: Tensor, positives: Tensor, temperature: float) -> tuple[Tensor, Terms]:
    """Of similarities (B, K) to the candidates, of which `positives` (B,) are right."""
    hits = (similarities.argmax(1) == positives).to(similarities.dtype).mean()
    positive = similarities.detach().gather(1, positives[:, None]).mean()
    terms = {"positive_similarity": positive, "instance_accuracy": hits}
    return F.cross_entropy(similarities.div_(temperature), positives), terms
