from __future__ import annotations

from pathlib import Path

import pytest

from bench.datasets._imagefolder import read_classes, read_splits
from bench.errors import UserError


def touch(*paths: Path) -> None:
    for path in paths:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()


def test_files_are_listed_in_sorted_order_below_their_class(tmp_path: Path) -> None:
    names = ["b/2.PNG", "b/10.jpg", "a/images/x.JPEG", "a/a.webp", "b/notes.txt", "b/.hidden.jpg", ".git/c.jpg"]
    touch(*(tmp_path / name for name in names))
    classes, files = read_classes(tmp_path)
    assert classes == ["a", "b"]
    assert [str(path.relative_to(tmp_path)) for path in files.paths] == [
        "a/a.webp",
        "a/images/x.JPEG",
        "b/10.jpg",
        "b/2.PNG",
    ]
    assert list(files.labels) == [0, 0, 1, 1]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ([], "holds no images"),
        (["1.jpg", "2.jpg"], "holds 2 images, but no class folders"),
        (["a/1.jpg"], "single class folder, 'a'"),
        (["a/1.jpg", "b/readme.txt"], "b holds no image files"),
    ],
)
def test_unusable_folders_are_refused_with_what_was_found(tmp_path: Path, names: list[str], message: str) -> None:
    touch(*(tmp_path / name for name in names))
    with pytest.raises(UserError, match=message):
        read_classes(tmp_path)


def test_differing_classes_are_named(tmp_path: Path) -> None:
    touch(*(tmp_path / name for name in ["train/a/1.jpg", "train/b/1.jpg", "val/a/1.jpg", "val/c/1.jpg"]))
    with pytest.raises(UserError, match=r"b only in the first, c only in the second"):
        read_splits({"train": tmp_path / "train", "test": tmp_path / "val"})
