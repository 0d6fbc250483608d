"""Views per second, against torchvision's pipeline picture by picture and other libraries' transforms."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
from torch import Tensor

from bench.augment import pipeline
from bench.augment.pipeline import Augmentation
from bench.cost.clock import repeated, take_turns
from bench.cost.peers import Transform
from bench.cost.record import Row
from bench.data import Data

ROUNDS = 11
SECONDS = 60.0


def measure(
    data: Data,
    augment: Augmentation,
    image_size: int,
    batch: int,
    transforms: dict[str, list[Transform]],
    device: torch.device,
) -> Iterator[Row]:
    """A row for our pipeline on `device` and for each of `transforms`, one function per view, on the processor.

    All make the two large views of the same `batch` of pictures, which are in memory, decoded: PIL pictures for
    `transforms`, which end in a normalised tensor.
    """
    rows = torch.arange(batch, device=data.train.device)
    canvases, sizes = data.train.canvases(rows), data.train.sizes[rows]
    pictures = _pictures(canvases, sizes)

    def ours() -> None:
        for view in range(pipeline.LARGE_VIEWS):
            drawn = pipeline.draw(augment, view, sizes, view)
            pipeline.apply(canvases, drawn, image_size, data.mean, data.std)

    def one_by_one(views: list[Transform]) -> Callable[[], object]:
        return lambda: [torch.stack([view(picture) for picture in pictures]) for view in views]

    contenders = {"bench": repeated(ours)} | {name: repeated(one_by_one(views)) for name, views in transforms.items()}
    made = batch * pipeline.LARGE_VIEWS
    for name, times in take_turns(contenders, device, ROUNDS, SECONDS).items():
        numbers = times.numbers()
        yield {
            "what": "views",
            "name": name,
            "image_size": image_size,
            "batch": batch,
            **numbers,
            "views_per_second": 1e3 * made / numbers["wall_ms"],
            "views_per_cpu_second": 1e3 * made / numbers["cpu_ms"],
        }


def _pictures(canvases: Tensor, sizes: Tensor) -> list[object]:
    """Pictures as PIL has them, cut out of their canvases."""
    from PIL import Image

    return [
        Image.fromarray(canvas[:, :height, :width].permute(1, 2, 0).contiguous().numpy())
        for canvas, (height, width) in zip(canvases.cpu(), sizes.tolist(), strict=True)
    ]
