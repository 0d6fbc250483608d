"""Describable Textures: forty-seven kinds of texture."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.api import Archive, Dataset, RawData
from bench.datasets._layout import holding
from bench.datasets._listed import lines, listed
from bench.errors import UserError

FOLDER = "dtd"


class DescribableTextures(Dataset):
    """The first of the ten official partitions; its validation part is of train."""

    citation = "Cimpoi, Maji, Kokkinos, Mohamed, Vedaldi (2014), Describing Textures in the Wild"
    licence = "research"

    @property
    def key(self) -> str:
        return "dtd"

    @property
    def short_side(self) -> int:
        return 256

    def find(self, data_root: Path) -> RawData | None:
        folder = holding(data_root, FOLDER, ("images", "labels"))
        if folder is None:
            return None
        parts = {"train": ("train1", "val1"), "test": ("test1",)}
        names = {
            part: [name for one in official for name in lines(folder / "labels" / f"{one}.txt")]
            for part, official in parts.items()
        }
        kinds = sorted({name.partition("/")[0] for name in names["train"]})
        number = {kind: label for label, kind in enumerate(kinds)}
        splits = {}
        for part, own in names.items():
            unknown = next((name for name in own if name.partition("/")[0] not in number), None)
            if unknown is not None:
                raise UserError(f"{folder / 'labels'}: {unknown} is of a kind that train has none of.")
            splits[part] = listed(folder / "images", own, [number[name.partition("/")[0]] for name in own])
        return RawData(kinds, splits)

    def archives(self) -> Sequence[Archive]:
        return [
            Archive(
                url="https://www.robots.ox.ac.uk/~vgg/data/dtd/download/dtd-r1.0.1.tar.gz",
                filename="dtd-r1.0.1.tar.gz",
                md5="fff73e5086ae6bdbea199a49dfb8a4c1",
                digest_source="torchvision.datasets.DTD",
                entry=FOLDER,
            ),
        ]
