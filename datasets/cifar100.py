"""CIFAR-100: 60,000 pictures of 32 x 32 pixels in a hundred classes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from bench.api import Archive, Dataset, RawData
from bench.datasets._cifar import read_names, read_records
from bench.datasets._layout import unpacked

TRAIN, TEST = 50_000, 10_000
FOLDER = "cifar-100-binary"


class Cifar100(Dataset):
    """The official binary archive, which needs no unpickling; the labels are the fine ones."""

    citation = "Krizhevsky (2009), Learning Multiple Layers of Features from Tiny Images"
    licence = "none stated; cite the report"
    defaults: ClassVar = {"image_size": 32}

    @property
    def key(self) -> str:
        return "cifar100"

    def find(self, data_root: Path) -> RawData | None:
        folder = unpacked(data_root, FOLDER)
        if folder is None:
            return None
        splits = {
            "train": read_records([folder / "train.bin"], TRAIN, label_bytes=2, classes=100),
            "test": read_records([folder / "test.bin"], TEST, label_bytes=2, classes=100),
        }
        return RawData(read_names(folder / "fine_label_names.txt", 100), splits)

    def archives(self) -> Sequence[Archive]:
        return [
            Archive(
                url="https://www.cs.toronto.edu/~kriz/cifar-100-binary.tar.gz",
                filename="cifar-100-binary.tar.gz",
                md5="03b5dce01913d631647c71ecec9e9cb8",
                digest_source="https://www.cs.toronto.edu/~kriz/cifar.html",
            )
        ]
