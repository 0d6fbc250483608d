"""Pictures with known boxes, made from real ones: an object's picture pasted, smaller, onto another as background."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.augment.pipeline import centre_crop
from bench.data import Data, Images
from bench.errors import UserError
from bench.seeds import derive

SIDES = (0.3, 0.4, 0.5, 0.6)
"""Of the pasted square, as shares of the picture's side; one is drawn for every picture."""


class Composed:
    """Test pictures `rows` (N,) of `data` on backgrounds: test pictures of another class, or of `background`.

    The box is the pasted square, with whatever surroundings the object brings along. Sides, places and backgrounds are
    drawn by `seed`, the same for every run. Raises UserError where all pictures are of one class and there is no other
    `background`.
    """

    def __init__(self, data: Data, rows: Tensor, background: Images | None, seed: int) -> None:
        self.data, self.rows = data, rows
        self.labels = data.test.labels[rows]
        generator = torch.Generator().manual_seed(derive(seed, "analysis", "composed"))
        device = rows.device
        self._sides = torch.randint(len(SIDES), (len(rows),), generator=generator).to(device)
        self._places = torch.rand(len(rows), 2, generator=generator).to(device)
        self._background = background or data.test
        if background is None:
            self._behind = rows[_of_other_classes(self.labels.cpu(), generator).to(device)]
        else:
            self._behind = torch.randint(len(background), (len(rows),), generator=generator).to(device)

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, part: slice | Tensor, size: int) -> tuple[Tensor, Tensor]:
        """Normalised pictures (B, 3, size, size) of a part of the rows, and masks (B, size, size) of their boxes."""
        mean, std = self.data.mean, self.data.std
        behind, rows = self._behind[part], self.rows[part]
        pictures = centre_crop(self._background.canvases(behind), self._background.sizes[behind], size, mean, std)
        masks = torch.zeros(len(rows), size, size, dtype=torch.bool, device=rows.device)
        for index, share in enumerate(SIDES):
            side = round(share * size)
            members = (self._sides[part] == index).nonzero().squeeze(1)
            chosen = rows[members]
            objects = centre_crop(self.data.test.canvases(chosen), self.data.test.sizes[chosen], side, mean, std)
            corner = (self._places[part][members] * (size - side + 1)).long()
            lines, columns = (corner[:, axis, None] + torch.arange(side, device=rows.device) for axis in (0, 1))
            place = (members[:, None, None], slice(None), lines[:, :, None], columns[:, None, :])
            pictures[place] = objects.permute(0, 2, 3, 1)
            masks[members[:, None, None], lines[:, :, None], columns[:, None, :]] = True
        return pictures, masks


def _of_other_classes(labels: Tensor, generator: torch.Generator) -> Tensor:
    """For each of `labels` (N,) the position of one that differs, drawn evenly."""
    if (labels == labels[0]).all():
        raise UserError("Pictures are composed of two classes at least; give --background, or more --images.")
    order = labels.argsort(stable=True)
    ordered = labels[order]
    first, behind = torch.searchsorted(ordered, labels), torch.searchsorted(ordered, labels, right=True)
    others = len(labels) - (behind - first)
    drawn = (torch.rand(len(labels), generator=generator, dtype=torch.float64) * others).long()
    return order[torch.where(drawn < first, drawn, drawn + behind - first)]
