"""Features of a frozen encoder."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from tqdm import tqdm

from bench.augment.pipeline import centre_crop
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.data import Images


@torch.no_grad()
def extract(
    encoder: nn.Module,
    images: Images,
    image_size: int,
    mean: Tensor,
    std: Tensor,
    precision: str,
    rows: Tensor | None = None,
    batch_size: int = 512,
) -> Tensor:
    """Features (n, d) float32, on the images' device, of the evaluation crops of `images` or of their `rows` (n,).

    The encoder maps (B, 3, image_size, image_size) to (B, d) and runs in evaluation mode, under bfloat16 autocast
    where `precision` is 'bfloat16'; afterwards every module is in the mode it was in. Pictures in [0, 1] are
    normalised by `mean` and `std` (3,) per channel.

    Raises UserError for features that are not finite.
    """
    if rows is None:
        rows = torch.arange(len(images), device=images.device)
    batches = torch.split(rows, batch_size) if len(rows) else ()
    parts = []
    with evaluation_mode(encoder), torch.autocast(images.device.type, torch.bfloat16, precision == "bfloat16"):
        progress = tqdm(batches, desc="features", unit="batch", disable=None, delay=2, leave=False)
        for batch, canvases in zip(progress, images.stream(batches), strict=True):
            crops = centre_crop(canvases, images.sizes[batch], image_size, mean, std)
            parts.append(encoder(crops).float())
    features = torch.cat(parts) if parts else mean.new_empty(0, 0)
    if not features.isfinite().all():
        raise UserError("The encoder's features are not finite; it cannot be evaluated. Check its weights.")
    return features


@contextmanager
def evaluation_mode(module: nn.Module) -> Iterator[None]:
    """`module` and its parts in evaluation mode, each back in its own mode at the end."""
    modes = [(part, part.training) for part in module.modules()]
    module.eval()
    try:
        yield
    finally:
        for part, training in modes:
            part.training = training
