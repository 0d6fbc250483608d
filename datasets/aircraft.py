"""FGVC-Aircraft: a hundred variants of aircraft."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.api import Archive, Dataset, RawData
from bench.datasets._layout import holding
from bench.datasets._listed import lines, listed
from bench.errors import UserError

FOLDER = "fgvc-aircraft-2013b"


class Aircraft(Dataset):
    """`fgvc-aircraft-2013b/data/`, by variant: trainval for train, the official test part.

    The bottom 20 pixels of every picture name its author; its makers want them cut off, here they stay, as with
    torchvision.
    """

    citation = "Maji, Rahtu, Kannala et al. (2013), Fine-Grained Visual Classification of Aircraft, arXiv:1306.5151"
    licence = "non-commercial research"

    @property
    def key(self) -> str:
        return "aircraft"

    @property
    def short_side(self) -> int:
        return 256

    def find(self, data_root: Path) -> RawData | None:
        folder = holding(data_root, FOLDER, ("data",))
        if folder is None:
            return None
        data = folder / "data"
        variants = lines(data / "variants.txt")
        splits = {}
        for name, official in (("train", "trainval"), ("test", "test")):
            rows = [line.partition(" ") for line in lines(data / f"images_variant_{official}.txt")]
            unknown = next((variant for _, _, variant in rows if variant not in variants), None)
            if unknown is not None:
                raise UserError(f"{data / 'variants.txt'} has no '{unknown}'; unpack the archive again.")
            labels = [variants.index(variant) for _, _, variant in rows]
            splits[name] = listed(data / "images", [f"{number}.jpg" for number, _, _ in rows], labels)
        return RawData(variants, splits)

    def archives(self) -> Sequence[Archive]:
        return [
            Archive(
                url="https://www.robots.ox.ac.uk/~vgg/data/fgvc-aircraft/archives/fgvc-aircraft-2013b.tar.gz",
                filename="fgvc-aircraft-2013b.tar.gz",
                md5="d4acdd33327262359767eeaa97a4f732",
                digest_source="google-deepmind/dm_nevis, its FGVC-Aircraft",
                entry=FOLDER,
            ),
        ]
