"""CIFAR-10: 60,000 pictures of 32 x 32 pixels in ten classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from bench.api import Archive, Dataset, RawData
from bench.datasets._cifar import read_names, read_records
from bench.datasets._layout import unpacked

BATCH = 10_000
FOLDER = "cifar-10-batches-bin"


class Cifar10(Dataset):
    """The official binary archive, which needs no unpickling: five training batches and one for test."""

    citation = "Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images"
    licence = "none stated; cite the report"
    defaults: ClassVar = {"image_size": 32}

    @property
    def key(self) -> str:
        return "cifar10"

    def find(self, data_root: Path) -> RawData | None:
        folder = unpacked(data_root, FOLDER)
        if folder is None:
            return None
        train = [folder / f"data_batch_{number}.bin" for number in range(1, 6)]
        splits = {
            "train": read_records(train, BATCH, label_bytes=1, classes=10),
            "test": read_records([folder / "test_batch.bin"], BATCH, label_bytes=1, classes=10),
        }
        return RawData(read_names(folder / "batches.meta.txt", 10), splits)

    def archives(self) -> Sequence[Archive]:
        return [
            Archive(
                url="https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",
                filename="cifar-10-binary.tar.gz",
                md5="c32a1d4ab5d03f1284b67883e8d87530",
                digest_source="https://www.cs.toronto.edu/~kriz/cifar.html",
            )
        ]
