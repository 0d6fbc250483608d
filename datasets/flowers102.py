"""Flowers-102: flowers of a hundred and two kinds, some hardly apart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.api import Archive, Dataset, RawData
from bench.datasets._layout import holding
from bench.datasets._listed import listed
from bench.datasets._matlab import variable
from bench.errors import UserError

FOLDER = "flowers-102"
MEND = "delete it, and it is downloaded again"


class Flowers102(Dataset):
    """`flowers-102/jpg/` and the two official lists beside it; the official validation part is of train.

    The kinds have numbers, no names.
    """

    citation = "Nilsback, Zisserman (2008), Automated Flower Classification over a Large Number of Classes"
    licence = "not stated; research"

    @property
    def key(self) -> str:
        return "flowers102"

    @property
    def short_side(self) -> int:
        return 256

    def find(self, data_root: Path) -> RawData | None:
        folder = holding(data_root, FOLDER, ("jpg", "imagelabels.mat", "setid.mat"))
        if folder is None:
            return None
        labels = _numbers(folder / "imagelabels.mat", "labels") - 1
        parts = {"train": ("trnid", "valid"), "test": ("tstid",)}
        splits = {}
        for name, official in parts.items():
            rows = np.concatenate([_numbers(folder / "setid.mat", part) for part in official])
            if rows.min() < 1 or rows.max() > len(labels):
                raise UserError(
                    f"{folder / 'setid.mat'} has pictures that imagelabels.mat has not; delete both: they come again."
                )
            names = [f"image_{row:05d}.jpg" for row in rows]
            splits[name] = listed(folder / "jpg", names, labels[rows - 1].tolist())
        return RawData([f"kind {number}" for number in range(1, labels.max() + 2)], splits)

    def archives(self) -> Sequence[Archive]:
        return [
            Archive(
                url="https://www.robots.ox.ac.uk/~vgg/data/flowers/102/102flowers.tgz",
                filename="102flowers.tgz",
                md5="52808999861908f626f3c1f4e79d11fa",
                digest_source="torchvision.datasets.Flowers102",
                entry="jpg",
                folder=FOLDER,
            ),
            Archive(
                url="https://www.robots.ox.ac.uk/~vgg/data/flowers/102/imagelabels.mat",
                filename="imagelabels.mat",
                md5="e0620be6f572b9609742df49c70aed4d",
                digest_source="torchvision.datasets.Flowers102",
                entry="imagelabels.mat",
                folder=FOLDER,
            ),
            Archive(
                url="https://www.robots.ox.ac.uk/~vgg/data/flowers/102/setid.mat",
                filename="setid.mat",
                md5="a5357ecc9cb78c4bef273ce3793fc85c",
                digest_source="torchvision.datasets.Flowers102",
                entry="setid.mat",
                folder=FOLDER,
            ),
        ]


def _numbers(path: Path, name: str) -> np.ndarray:
    """One list of integers (N,) of a MATLAB file."""
    try:
        return variable(path, name, MEND).astype(np.int64)
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} is missing or damaged ({error}); {MEND}.") from error
