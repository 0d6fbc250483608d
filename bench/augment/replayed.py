"""Views as CUDA graphs: half a dozen launches where `pipeline.draw` and `pipeline.apply` take two hundred."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from bench import graphs
from bench.augment import crop, pipeline
from bench.augment.pipeline import JITTERS, OPERATIONS, Augmentation, Chances

LARGEST = 2**22
"""Numbers in the pictures or in one view of a batch, such as 256 pictures of 73 px. With more the card works longer
than a launch takes, and what it works in would stay taken."""


class ReplayedView:
    """Makes view 0, 1, ... of batches of `batch` pictures on a GPU; the same to the bit as `draw` and `apply` do.

    `pictures` are canvases (N, 3, H, W) uint8, `sizes` (N, 2) the pictures' on them; both have to outlive this. The
    jitter operations have a graph each, since every batch has them in another order.
    """

    @torch.no_grad()
    def __init__(
        self,
        augmentation: Augmentation,
        view: int,
        pictures: Tensor,
        sizes: Tensor,
        batch: int,
        size: int,
        mean: Tensor,
        std: Tensor,
    ) -> None:
        self._rows = torch.zeros(batch, dtype=torch.int64, device=pictures.device)
        self._chances = Chances.empty(batch, pictures.device).draw(0)
        self._pixels = torch.empty(batch, 3, size, size, device=pictures.device)
        self._view = torch.empty_like(self._pixels, memory_format=torch.channels_last)
        drawn = pipeline.parameters(augmentation, view, sizes[self._rows], self._chances)
        self._values = {name: torch.empty_like(values) for name, values in drawn.operations.items()}

        def cut() -> None:
            drawn = pipeline.parameters(augmentation, view, sizes[self._rows], self._chances)
            self._pixels.copy_(crop.resample(pictures[self._rows], drawn.boxes, drawn.flips, size))
            for name, values in drawn.operations.items():
                self._values[name].copy_(values)

        def finish() -> None:
            for name in self._values:
                if name not in JITTERS:
                    self._change(name)
            self._view.copy_(pipeline.normalise(self._pixels, mean, std))

        jitters = {name: partial(self._change, name) for name in JITTERS if name in self._values}
        works: dict[str, Callable[[], None]] = {"cut": cut, **jitters, "finish": finish}
        with graphs.capturing(pictures.device) as self.captured:
            for work in works.values():
                work()  # libraries load on first use
            pool = torch.cuda.graph_pool_handle()
            self._graphs = {name: graphs.capture(work, pool) for name, work in works.items()}

    def __call__(self, rows: Tensor, seed: int) -> Tensor:
        """The view of the pictures `rows` (B,) that `draw` with this `seed` and `apply` give."""
        self._rows.copy_(rows)
        self._chances.draw(seed)
        for name in ["cut", *pipeline.jitter_order(seed), "finish"]:
            if name in self._graphs:
                self._graphs[name].replay()
        return self._view.clone()  # a method may keep it beyond the next step

    def _change(self, name: str) -> None:
        self._pixels.copy_(OPERATIONS[name](self._pixels, self._values[name]))
