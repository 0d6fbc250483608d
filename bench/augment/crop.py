"""Random resized crop, central crop, and the antialiased resampling of one box per sample.

A box is (top, left, height, width) in whole pixels of the canvas.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from bench.augment.chunks import chunks

ASPECT_RATIOS = (3 / 4, 4 / 3)
TRIES = 10
NUMBERS = 2 * TRIES + 2
"""Random numbers from which a box is made."""


def random_boxes(sizes: Tensor, scale: tuple[float, float], uniform: Tensor) -> Tensor:
    """Boxes (B, 4) int64 distributed as torchvision's RandomResizedCrop: area uniform in `scale`, log-uniform ratio.

    `scale` holds the smallest and the largest share of the picture's area. `sizes` (B, 2) holds each picture's height
    and width, `uniform` (B, NUMBERS) what is random. The first of ten tries that fits the picture is taken, and the
    largest central box of an allowed aspect ratio where none does.
    """
    height, width = sizes.float().unbind(1)
    area = (height * width)[:, None] * (scale[0] + (scale[1] - scale[0]) * uniform[:, :TRIES])
    low, high = (math.log(ratio) for ratio in ASPECT_RATIOS)
    ratio = torch.exp(low + (high - low) * uniform[:, TRIES:-2])
    fallback_width = torch.minimum(width, (height * ASPECT_RATIOS[1]).round())
    fallback_height = torch.minimum(height, (width / ASPECT_RATIOS[0]).round())
    widths = torch.cat([(area * ratio).sqrt().round(), fallback_width[:, None]], dim=1)
    heights = torch.cat([(area / ratio).sqrt().round(), fallback_height[:, None]], dim=1)
    fits = (widths > 0) & (widths <= width[:, None]) & (heights > 0) & (heights <= height[:, None])
    first = fits.byte().argmax(dim=1, keepdim=True)
    box_height, box_width = heights.gather(1, first)[:, 0], widths.gather(1, first)[:, 0]
    free = torch.stack([height - box_height, width - box_width], dim=1)
    random_corner = torch.minimum((uniform[:, -2:] * (free + 1)).floor(), free)  # the product may round up to free + 1
    corner = torch.where(first < TRIES, random_corner, (free / 2).floor())
    return torch.cat([corner, box_height[:, None], box_width[:, None]], dim=1).long()


def central_boxes(sizes: Tensor) -> Tensor:
    """The largest central square (B, 4) int64 of pictures of `sizes` (B, 2); an odd margin is cut as by torchvision."""
    side = sizes.amin(1, keepdim=True)
    corner = ((sizes - side) / 2).round()
    return torch.cat([corner, side, side], dim=1).long()


def resample(images: Tensor, boxes: Tensor, flips: Tensor, size: int) -> Tensor:
    """Boxes of uint8 canvases (B, 3, H, W) as float32 (B, 3, size, size) in [0, 1], mirrored where `flips` (B,).

    Equals torchvision's `resized_crop(..., antialias=True)` with bilinear interpolation on a float image: the box is
    cut out first, so pixels outside it never count. The vertical pass adds up the few rows that matter, the
    horizontal one, on the result lying on its side, the few columns.
    """
    batch, channels, height, width = images.shape
    output = torch.arange(size, device=images.device).expand(batch, size)
    rows, row_weights = filter_taps(boxes[:, 0], boxes[:, 2], output, height)
    mirrored = torch.where(flips[:, None], size - 1 - output, output)
    columns, column_weights = filter_taps(boxes[:, 1], boxes[:, 3], mirrored, width)
    result = torch.empty(batch, channels, size, size, device=images.device)
    for samples in chunks(images, numbers=channels * height * width):
        vertical = weighted_rows(images[samples], rows[samples], row_weights[samples] / 255)
        sideways = vertical.transpose(1, 2).contiguous()[:, None]  # columns are rows now: a plane (W, C S) per picture
        result[samples] = (
            weighted_rows(sideways, columns[samples], column_weights[samples])
            .view(-1, size, channels, size)
            .permute(0, 2, 3, 1)
        )
    return result.clamp_(0, 1)  # weights add up to 1 only up to rounding


def weighted_rows(images: Tensor, rows: Tensor, weights: Tensor) -> Tensor:
    """Sums (B, C S, W) of pixel rows of canvases (B, C, H, W), chosen and weighted by `rows`, `weights` (B, S, K)."""
    batch, channels, height, width = images.shape
    planes = torch.arange(batch * channels, device=images.device).view(batch, channels, 1, 1)
    sums = F.embedding_bag(  # a weighted sum of chosen rows of a table
        (rows[:, None] + planes * height).flatten(0, 2),
        images.float().view(-1, width),
        per_sample_weights=weights[:, None].expand(-1, channels, -1, -1).flatten(0, 2),
        mode="sum",
    )
    return sums.view(batch, -1, width)


def filter_taps(start: Tensor, length: Tensor, output: Tensor, canvas: int) -> tuple[Tensor, Tensor]:
    """Canvas positions and weights, both (B, S, K), of the triangle filter that scales a segment to S pixels.

    Segments of the canvas begin at `start` (B,) and are `length` (B,) long; `output` (B, S) is the pixel that each
    place of the output shows. The filter is widened by the scale when shrinking (antialiasing), cut to the segment
    and normalised. K is the number of taps that the whole canvas would need; the surplus ones weigh 0.
    """
    size = output.shape[1]
    count = min(math.ceil(2 * max(1, canvas / size)), canvas)
    start, length = start[:, None].float(), length[:, None].float()
    scale = length / size
    support = scale.clamp_min(1)
    centre = scale * (output + 0.5)
    first = (start + (centre - support + 0.5).floor().clamp_min(0)).clamp_max(canvas - count)
    positions = first[:, :, None] + torch.arange(count, device=output.device)
    inside = (positions >= start[:, :, None]) & (positions < (start + length)[:, :, None])
    distance = (positions - (start + centre - 0.5)[:, :, None]).abs()
    weights = (1 - distance / support[:, :, None]).clamp_min(0) * inside
    return positions.long(), weights / weights.sum(2, keepdim=True)
