"""What Imagenette and Imagewoof share: fast.ai's archives of ten ImageNet classes at three sizes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from bench.api import Archive, Dataset, RawData
from bench.datasets._imagefolder import read_splits
from bench.datasets._layout import unpacked
from bench.errors import UserError, suggest

URL = "https://s3.amazonaws.com/fast-ai-imageclas"
SHORT_SIDES = {"160": 160, "320": 320, "full": 384}
"""Pixels; the archives '160' and '320' have this shorter side, full-size pictures are scaled down to it."""


class FastAiDataset(Dataset):
    """Folders `<stem>[-160|-320]/{train,val}/<wnid>/`; the argument chooses the size, '' means 160."""

    defaults: ClassVar = {"image_size": 128}
    takes_argument = True
    name: ClassVar[str]
    stem: ClassVar[str]
    wnids: ClassVar[Mapping[str, str]]
    """WordNet id, the name of a class folder, to the name people use."""
    md5: ClassVar[Mapping[str, str]]
    digest_source: ClassVar[str]

    def __init__(self, argument: str = "") -> None:
        self.size = argument or "160"
        if self.size not in SHORT_SIDES:
            raise UserError(f"{self.name}:{argument}: unknown size.{suggest(argument, SHORT_SIDES)}")
        super().__init__(argument)

    @property
    def key(self) -> str:
        return f"{self.name}-{self.size}"

    @property
    def short_side(self) -> int:
        return SHORT_SIDES[self.size]

    @property
    def folder(self) -> str:
        return self.stem if self.size == "full" else f"{self.stem}-{self.size}"

    def find(self, data_root: Path) -> RawData | None:
        folder = unpacked(data_root, self.folder)
        if folder is None:
            return None
        for part in ("train", "val"):
            if not (folder / part).is_dir():
                raise UserError(f"{folder} has no folder '{part}'; unpack {self.folder}.tgz again.")
        raw = read_splits({"train": folder / "train", "test": folder / "val"})
        if set(raw.classes) != set(self.wnids):
            raise UserError(f"{folder} holds the classes {', '.join(raw.classes)}, not those of {self.name}.")
        return RawData([self.wnids[wnid] for wnid in raw.classes], raw.splits)

    def archives(self) -> Sequence[Archive]:
        filename = f"{self.folder}.tgz"
        return [Archive(f"{URL}/{filename}", filename, md5=self.md5[self.size], digest_source=self.digest_source)]
