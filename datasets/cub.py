"""CUB-200-2011: two hundred species of birds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.api import Archive, Dataset, RawData
from bench.datasets._layout import holding
from bench.datasets._listed import lines, listed
from bench.errors import UserError

FOLDER = "CUB_200_2011"


class Birds(Dataset):
    """`CUB_200_2011/` with its official train and test parts."""

    citation = (
        "Wah, Branson, Welinder, Perona, Belongie (2011), The Caltech-UCSD Birds-200-2011 Dataset, CNS-TR-2011-001"
    )
    licence = "non-commercial research"

    @property
    def key(self) -> str:
        return "cub"

    @property
    def short_side(self) -> int:
        return 256

    def find(self, data_root: Path) -> RawData | None:
        folder = holding(data_root, FOLDER, ("images", "images.txt"))
        if folder is None:
            return None
        names, parts = _column(folder / "images.txt"), _column(folder / "train_test_split.txt")
        species, labels = _column(folder / "classes.txt"), _column(folder / "image_class_labels.txt")
        fits = names.keys() == parts.keys() == labels.keys() and set(labels.values()) <= set(species)
        if not fits or not set(parts.values()) <= {"0", "1"}:
            raise UserError(f"The lists in {folder} are not of the same pictures; unpack the archive again.")
        number = {key: label for label, key in enumerate(species)}
        splits = {}
        for name, sign in (("train", "1"), ("test", "0")):
            own = [key for key in names if parts[key] == sign]
            splits[name] = listed(folder / "images", [names[key] for key in own], [number[labels[key]] for key in own])
        return RawData(list(species.values()), splits)

    def archives(self) -> Sequence[Archive]:
        return [
            Archive(
                url="https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",
                filename="CUB_200_2011.tgz",
                md5="97eceeb196236b17998738112f37df78",
                digest_source="TDeVries/cub2011_dataset, cub2011.py",
                entry=FOLDER,
            ),
        ]


def _column(path: Path) -> dict[str, str]:
    """What a list has for every number, such as `12 001.Black_footed_Albatross/...jpg`."""
    return {key: value for key, _, value in (line.partition(" ") for line in lines(path))}
