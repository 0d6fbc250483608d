"""Tiny-ImageNet: 200 classes of ImageNet at 64 x 64 pixels."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from bench.api import Archive, Dataset, ImageFiles, RawData
from bench.datasets._imagefolder import image_files, read_classes
from bench.datasets._layout import unpacked
from bench.errors import UserError

CLASSES = 200
FOLDER = "tiny-imagenet-200"
ANNOTATIONS = "val/val_annotations.txt"


class TinyImageNet(Dataset):
    """The official archive: `train/<wnid>/images/`, and `val/images/` for test, whose labels are in a list beside it.

    The labels of its own test part were never published.
    """

    citation = "Le, Yang (2015), Tiny ImageNet Visual Recognition Challenge, Stanford CS 231N"
    licence = "non-commercial research (ImageNet terms)"
    defaults: ClassVar = {"image_size": 64}

    @property
    def key(self) -> str:
        return "tinyimagenet"

    @property
    def short_side(self) -> int:
        return 64

    def find(self, data_root: Path) -> RawData | None:
        folder = unpacked(data_root, FOLDER)
        if folder is None:
            return None
        for part in ("train", ANNOTATIONS):
            if not (folder / part).exists():
                raise UserError(f"{folder / part} is missing; unpack {FOLDER}.zip again.")
        classes, train = read_classes(folder / "train")
        if len(classes) != CLASSES:
            raise UserError(f"{folder} holds {len(classes)} classes, not {CLASSES}; unpack {FOLDER}.zip again.")
        return RawData(classes, {"train": train, "test": _annotated(folder, classes)})

    def archives(self) -> Sequence[Archive]:
        return [
            Archive(
                url="http://cs231n.stanford.edu/tiny-imagenet-200.zip",
                filename="tiny-imagenet-200.zip",
                md5="90528d7ca1a48142e341f4ef8d21d0de",
                digest_source="ContinualAI/avalanche, avalanche/benchmarks/datasets/tiny_imagenet/tiny_imagenet.py",
            )
        ]


def _annotated(folder: Path, classes: Sequence[str]) -> ImageFiles:
    """Files of `val/images` with their labels; lines of the list are name, wnid and a box, between tabs."""
    lines = [line.split("\t") for line in (folder / ANNOTATIONS).read_text(encoding="utf-8").splitlines()]
    wnids = {line[0]: line[1] for line in lines if len(line) > 1}
    paths = image_files(folder / "val/images")
    if {path.name for path in paths} != set(wnids) or not set(wnids.values()) <= set(classes):
        raise UserError(f"{folder / ANNOTATIONS} does not list the pictures beside it; unpack {FOLDER}.zip again.")
    return ImageFiles(paths, [classes.index(wnids[path.name]) for path in paths])
