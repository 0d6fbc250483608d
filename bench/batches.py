"""What the steps of a run see: rows, pictures and views of each batch."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from functools import cached_property

import torch
from torch import Tensor

from bench import distributed
from bench.augment import pipeline, replayed
from bench.augment.replayed import ReplayedView
from bench.data import Data
from bench.order import Order
from bench.seeds import derive
from bench.spec import RunSpec


class Batches:
    """The batches of a run by the number of their step; every process takes its images of each.

    A batch goes through in parts, one after the other (gradient accumulation). How its pictures are augmented is drawn
    for the whole of it everywhere, so that neither processes nor parts change a view.
    """

    def __init__(self, spec: RunSpec, data: Data, order: Order, total_steps: int, device: torch.device) -> None:
        self.spec, self.data, self.order, self.total_steps, self.device = spec, data, order, total_steps, device
        self.replayed = self._captured_views()
        """What makes each view by CUDA graphs; empty where none are used."""
        self._on_device: tuple[int, Tensor] | None = None
        self._ahead: Iterator[Tensor] | None = None

    @cached_property
    def parts(self) -> list[slice]:
        """Which samples of a batch this process takes, in each of the parts in which it goes through."""
        protocol = self.spec.protocol
        parts = torch.arange(protocol.batch_size).tensor_split(protocol.accumulate)
        own = [part.tensor_split(self.spec.world_size)[distributed.rank()] for part in parts]
        return [slice(int(samples[0]), int(samples[-1]) + 1) for samples in own]

    def of_step(self, step: int) -> Iterator[tuple[Tensor, list[Tensor]]]:
        """Rows (b,) and views (b, 3, S, S) of this process's images of step 0, 1, ..., part after part."""
        rows, (epoch, batch) = self.rows(step), divmod(step, self.order.steps_per_epoch)
        augment, seed = self.spec.protocol.augment, self.spec.axis_seed("views")
        seeds = [derive(seed, epoch, batch, view) for view in range(augment.views)]
        if self.replayed:
            yield rows, [make(rows, seed) for make, seed in zip(self.replayed, seeds, strict=True)]
            return
        drawn = [pipeline.draw(augment, view, self.data.train.sizes[rows], seed) for view, seed in enumerate(seeds)]
        for samples in self.parts:
            own = rows[samples]
            yield own, self.views(self._canvases(own, step), [parameters[samples] for parameters in drawn])

    def rows(self, step: int) -> Tensor:
        """Rows (B,) of the whole batch of a step, on the device."""
        epoch, batch = divmod(step, self.order.steps_per_epoch)
        if self._on_device is None or self._on_device[0] != epoch:
            self._on_device = epoch, self.order.of(epoch).to(self.device)
        size = self.spec.protocol.batch_size
        return self._on_device[1][batch * size : (batch + 1) * size]

    def views(self, canvases: Tensor, parameters: Sequence[pipeline.Parameters]) -> list[Tensor]:
        """Augmented views (B, 3, S, S) of training pictures' canvases (B, 3, H, W), channels last; local ones are
        smaller."""
        drawn = zip(self._sides, parameters, strict=False)
        return [pipeline.apply(canvases, own, side, self.data.mean, self.data.std) for side, own in drawn]

    def end_ahead(self) -> None:
        """End the processes that make pictures ready; the next step begins with others, wherever it is."""
        self._ahead = None

    @cached_property
    def _sides(self) -> list[int]:
        protocol = self.spec.protocol
        return [protocol.augment.side(view, protocol.image_size) for view in range(protocol.augment.views)]

    def _captured_views(self) -> list[ReplayedView]:
        """Only of whole batches of small pictures that live on a GPU; those of others keep it busy as it is."""
        protocol, images = self.spec.protocol, self.data.train
        if images.resident is None or self.spec.world_size * protocol.accumulate > 1:
            return []
        pixels = max(images.resident.shape[2:].numel(), max(self._sides) ** 2)
        if protocol.batch_size * 3 * pixels > replayed.LARGEST:
            return []
        return [
            ReplayedView(
                protocol.augment,
                view,
                images.resident,
                images.sizes,
                protocol.batch_size,
                side,
                self.data.mean,
                self.data.std,
            )
            for view, side in enumerate(self._sides)
        ]

    def _canvases(self, rows: Tensor, step: int) -> Tensor:
        """Canvases of the pictures of the next part of a batch, which are `rows`."""
        images = self.data.train
        if not images.come_ahead:
            return images.canvases(rows)
        canvases = None if self._ahead is None else next(self._ahead, None)
        if canvases is None:
            steps = max(1, self.total_steps - step)  # a measurement may go on beyond the last
            batches = itertools.islice(self.order.batches(step), steps)
            parts = self.parts  # not self: what it holds must not hold it
            self._ahead = images.stream(batch[own] for batch in batches for own in parts)
            canvases = next(self._ahead)
        return canvases
