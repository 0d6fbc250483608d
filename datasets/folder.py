"""Image folder: your own pictures, one folder per class, as `folder:PATH`."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path

from bench.api import Archive, Dataset, ImageFiles, RawData
from bench.datasets._cut import cut_test
from bench.datasets._imagefolder import class_folders, read_classes, read_splits
from bench.errors import UserError

TEST_FRACTION = 0.2


class Folder(Dataset):
    """PATH/train/<class>/ and PATH/test/<class>/ (or val; where both are there, test is).

    Without them, PATH/<class>/ alone: a fifth of every class is then cut for test, the same one every time.
    """

    citation = "the user's own pictures"
    licence = "the user's own"
    takes_argument = True

    def __init__(self, argument: str = "") -> None:
        if not argument:
            raise UserError("folder needs the path of a folder of pictures: --dataset folder:PATH.")
        self.path = Path(argument).expanduser().resolve()
        super().__init__(argument)

    @property
    def key(self) -> str:
        return f"{self.label}-{hashlib.sha256(str(self.path).encode()).hexdigest()[:8]}"

    @property
    def label(self) -> str:
        return "folder-" + re.sub(r"[^A-Za-z0-9_-]+", "-", self.path.name)

    @property
    def short_side(self) -> int:
        return 160

    def find(self, data_root: Path) -> RawData | None:
        if not self.path.is_dir():
            return None
        parts = class_folders(self.path)
        if "train" not in parts:
            return self._cut()
        test = next((name for name in ("test", "val") if name in parts), None)
        if test is None:
            raise UserError(f"{self.path} has train/, but neither test/ nor val/; it holds {', '.join(parts)}.")
        return read_splits({"train": self.path / "train", "test": self.path / test})

    def archives(self) -> Sequence[Archive]:
        parent = self.path.parent
        near = get_close_matches(self.path.name, class_folders(parent), n=1) if parent.is_dir() else []
        raise UserError(f"There is no folder {self.path}.{f' Did you mean {parent / near[0]}?' if near else ''}")

    def _cut(self) -> RawData:
        classes, files = read_classes(self.path)
        try:
            train, test = cut_test(files.labels, round(TEST_FRACTION * len(files.labels)))
        except ValueError as error:
            raise UserError(f"{self.path} has no train/ and test/, and {error}: no test part can be cut.") from None
        print(
            f"{self.path} has no train/ and test/: {len(test)} of {len(files.labels)} images are kept for test, "
            "a fifth of every class by a fixed seed.",
            file=sys.stderr,
        )
        splits = {
            name: ImageFiles([files.paths[row] for row in rows], [files.labels[row] for row in rows])
            for name, rows in (("train", train), ("test", test))
        }
        return RawData(classes, splits)
