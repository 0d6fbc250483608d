"""STL-10: ten classes at 96 x 96 pixels, few labels, and 100,000 pictures without one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from bench.api import Archive, Dataset, ImageArrays, RawData
from bench.datasets._cifar import read_names
from bench.datasets._layout import unpacked
from bench.errors import UserError

COUNTS = {"train": 5_000, "unlabeled": 100_000, "test": 8_000}
PIXELS = 3 * 96 * 96
FOLDER = "stl10_binary"


class Stl10(Dataset):
    """Train holds the labelled pictures and behind them the unlabelled ones, with label -1."""

    citation = "Coates, Ng, Lee (2011), An Analysis of Single Layer Networks in Unsupervised Feature Learning"
    licence = "non-commercial research (ImageNet terms)"
    defaults: ClassVar = {"image_size": 96}

    @property
    def key(self) -> str:
        return "stl10"

    def find(self, data_root: Path) -> RawData | None:
        folder = unpacked(data_root, FOLDER)
        if folder is None:
            return None
        unlabelled = np.full(COUNTS["unlabeled"], -1)
        train = ImageArrays(
            np.concatenate([_images(folder, "train"), _images(folder, "unlabeled")]),
            np.concatenate([_labels(folder, "train"), unlabelled]),
        )
        test = ImageArrays(_images(folder, "test"), _labels(folder, "test"))
        return RawData(read_names(folder / "class_names.txt", 10), {"train": train, "test": test})

    def archives(self) -> Sequence[Archive]:
        return [
            Archive(
                url="http://ai.stanford.edu/~acoates/stl10/stl10_binary.tar.gz",
                filename="stl10_binary.tar.gz",
                md5="91f7769df0f17e558f3565bffb0c7dfb",
                digest_source="torchvision.datasets.STL10",
            )
        ]


def _images(folder: Path, part: str) -> np.ndarray:
    """Pictures (N, 3, 96, 96), memory-mapped; the file has them channel by channel, column by column."""
    columns = _mapped(folder / f"{part}_X.bin", COUNTS[part] * PIXELS).reshape(-1, 3, 96, 96)
    return columns.transpose(0, 1, 3, 2)


def _labels(folder: Path, part: str) -> np.ndarray:
    labels = _mapped(folder / f"{part}_y.bin", COUNTS[part]).astype(np.int64)
    if labels.min() < 1 or labels.max() > 10:
        raise UserError(f"{folder / f'{part}_y.bin'} has labels beyond 1 to 10; unpack the archive again.")
    return labels - 1


def _mapped(path: Path, length: int) -> np.ndarray:
    if not path.is_file():
        raise UserError(f"{path} is missing; unpack the archive again.")
    if path.stat().st_size != length:
        raise UserError(f"{path} has {path.stat().st_size} bytes, not {length}; unpack the archive again.")
    return np.memmap(path, dtype=np.uint8, mode="r")
