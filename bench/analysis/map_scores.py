"""How well maps find objects, and how concentrated they are.

Maps are (B, S, S) and not negative, with a positive entry; masks (B, S, S) say which pixels are the object's, one at
least. Every score is (B,) float64 on the maps' device.
"""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor

BOX_THRESHOLD = 0.5
"""Share of its maximum above which a map's pixel belongs to the box that it predicts."""
TIES = 1e-9
"""Relative difference below which two pixels are both the maximum."""


def energy(maps: Tensor, masks: Tensor) -> Tensor:
    """Share of a map's sum inside the object (Wang et al. 2020, arXiv 1910.01279, section 4.3).

    By chance, which is a uniform map: the object's share of the area.
    """
    return (maps * masks).sum((1, 2)) / maps.sum((1, 2))


def pointing(maps: Tensor, masks: Tensor) -> Tensor:
    """Whether a map's maximum lies in the object: the pointing game (Zhang et al. 2016, arXiv 1608.00507), exact hits
    only. Among several maxima the share of them that do; by chance again the object's share of the area.
    """
    highest = maps >= (1 - TIES) * maps.amax((1, 2), keepdim=True)
    return (highest & masks).sum((1, 2)).double() / highest.sum((1, 2))


def box_overlap(maps: Tensor, masks: Tensor) -> Tensor:
    """Intersection over union of the object's box and the map's: that of the largest connected region of pixels above
    BOX_THRESHOLD of its maximum (Zhou et al. 2016, arXiv 1512.04150, section 3.2, at 0.2 there). Boxes are tight.
    """
    above = maps >= BOX_THRESHOLD * maps.amax((1, 2), keepdim=True)
    return _overlap(tight_boxes(_largest_region(above)), tight_boxes(masks))


def gini(maps: Tensor) -> Tensor:
    """Gini coefficient of a map's entries: 0 for a uniform map, (n - 1) / n where one of the n entries has it all."""
    ordered = maps.flatten(1).sort(1).values
    n = ordered.shape[1]
    ranks = torch.arange(1, n + 1, dtype=ordered.dtype, device=ordered.device)
    return 2 * (ordered * ranks).sum(1) / (n * ordered.sum(1)) - (n + 1) / n


def entropy(maps: Tensor) -> Tensor:
    """Entropy of a map taken as a distribution, over that of a uniform one: 1 spread evenly, 0 in a single entry."""
    shares = maps.flatten(1) / maps.flatten(1).sum(1, keepdim=True)
    return torch.special.entr(shares).sum(1) / np.log(shares.shape[1])


def tight_boxes(masks: Tensor) -> Tensor:
    """Boxes (B, 4) int64 around the true pixels of masks (B, S, S): top, left, and behind the last row and column."""
    edges = []
    for axis in (2, 1):
        lines = masks.any(axis).long()
        edges += [lines.argmax(1), lines.shape[1] - lines.flip(1).argmax(1)]
    top, bottom, left, right = edges
    return torch.stack([top, left, bottom, right], dim=1)


def _overlap(a: Tensor, b: Tensor) -> Tensor:
    corner, end = torch.maximum(a[:, :2], b[:, :2]), torch.minimum(a[:, 2:], b[:, 2:])
    common = (end - corner).clamp_min(0).prod(1)
    areas = (a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1)
    return common.double() / (areas - common)


def _largest_region(above: Tensor) -> Tensor:
    """The largest 8-connected region of each mask (B, S, S); the first among equals."""
    within_a_picture = np.zeros((3, 3, 3), dtype=bool)
    within_a_picture[1] = True
    labels, count = ndimage.label(above.cpu().numpy(), within_a_picture)
    sizes = np.bincount(labels.ravel(), minlength=count + 1)
    sizes[0] = 0
    by_pixel = sizes[labels]
    first = by_pixel.reshape(len(labels), -1).argmax(1)
    chosen = labels.reshape(len(labels), -1)[np.arange(len(labels)), first]
    return torch.from_numpy(labels == chosen[:, None, None]).to(above.device)
