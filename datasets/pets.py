"""Oxford-IIIT Pets: thirty-seven breeds of cats and dogs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.api import Archive, Dataset, ImageFiles, RawData
from bench.datasets._layout import holding
from bench.datasets._listed import lines, listed
from bench.errors import UserError

FOLDER = "oxford-iiit-pet"


class Pets(Dataset):
    """`oxford-iiit-pet/{images,annotations}/`: trainval for train, the official test part."""

    citation = "Parkhi, Vedaldi, Zisserman, Jawahar (2012), Cats and Dogs"
    licence = "CC BY-SA 4.0"

    @property
    def key(self) -> str:
        return "pets"

    @property
    def short_side(self) -> int:
        return 256

    def find(self, data_root: Path) -> RawData | None:
        folder = holding(data_root, FOLDER, ("images", "annotations"))
        if folder is None:
            return None
        splits: dict[str, ImageFiles] = {}
        breeds: dict[int, str] = {}
        for name, official in (("train", "trainval"), ("test", "test")):
            path = folder / "annotations" / f"{official}.txt"
            rows = [line.split() for line in lines(path) if not line.startswith("#")]
            if not all(len(row) == 4 and row[1].isdigit() for row in rows):
                raise UserError(f"{path} is damaged; unpack the archive again.")
            breeds |= {int(row[1]): row[0].rpartition("_")[0] for row in rows}
            labels = [int(row[1]) - 1 for row in rows]
            splits[name] = listed(folder / "images", [f"{row[0]}.jpg" for row in rows], labels)
        if sorted(breeds) != list(range(1, len(breeds) + 1)):
            raise UserError(f"{folder / 'annotations'} leaves out numbers of breeds; unpack the archive again.")
        return RawData([breeds[number] for number in sorted(breeds)], splits)

    def archives(self) -> Sequence[Archive]:
        return [
            Archive(
                url="https://www.robots.ox.ac.uk/~vgg/data/pets/data/images.tar.gz",
                filename="images.tar.gz",
                md5="5c4f3ee8e5d25df40f4fd59a7f44e54c",
                digest_source="torchvision.datasets.OxfordIIITPet",
                entry="images",
                folder=FOLDER,
            ),
            Archive(
                url="https://www.robots.ox.ac.uk/~vgg/data/pets/data/annotations.tar.gz",
                filename="annotations.tar.gz",
                md5="95a8c909bbe2e81eed6a22bccdf3f68f",
                digest_source="torchvision.datasets.OxfordIIITPet",
                entry="annotations",
                folder=FOLDER,
            ),
        ]
