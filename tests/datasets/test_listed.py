"""Datasets whose parts are lists of names: whose picture is whose, and lists that do not fit the pictures."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from scipy.io import savemat

from bench import discover
from bench.api import ImageFiles, RawData
from bench.errors import UserError

Writers = Mapping[str, Callable[[], Path]]

EXPECTED = {
    "flowers102": (
        ["kind 1", "kind 2"],
        [("image_00003", 0), ("image_00004", 1), ("image_00001", 0), ("image_00002", 1), ("image_00007", 0)],
        [("image_00006", 1), ("image_00005", 0)],
    ),
    "pets": (["great_dane", "Sphynx"], [("great_dane_0", 0), ("Sphynx_1", 1)], [("great_dane_6", 0), ("Sphynx_7", 1)]),
    "dtd": (["banded", "woven"], [("woven/3", 1), ("banded/3", 0), ("woven/0", 1)], [("woven/2", 1), ("banded/2", 0)]),
    "aircraft": (["F/A-18", "Boeing 747-400"], [("0", 0), ("1", 1), ("2", 0)], [("6", 0), ("7", 1)]),
    "cub": (["001.Albatross", "002.Wren"], [("001.Albatross/0", 0), ("002.Wren/0", 1)], [("001.Albatross/3", 0)]),
}
"""Classes, and the first pictures of train and of test with their labels."""


def found(name: str, data_root: Path) -> RawData:
    raw = discover.load("datasets", name)().find(data_root)
    assert isinstance(raw, RawData)
    return raw


@pytest.mark.parametrize("name", EXPECTED)
def test_pictures_have_the_labels_of_the_lists(name: str, listed_files: Writers, tmp_path: Path) -> None:
    listed_files[name]()
    raw = found(name, tmp_path)
    classes, *parts = EXPECTED[name]
    assert list(raw.classes) == classes
    for part, first in zip(("train", "test"), parts, strict=True):
        split = raw.splits[part]
        assert isinstance(split, ImageFiles)
        assert len(split.paths) == {"train": 6, "test": 2}[part]
        for path, label, (stem, expected) in zip(split.paths, split.labels, first, strict=False):
            assert (str(path.with_suffix("")).endswith(f"/{stem}"), label) == (True, expected)


@pytest.mark.parametrize("name", EXPECTED)
def test_a_picture_that_is_missing_is_named(name: str, listed_files: Writers, tmp_path: Path) -> None:
    listed_files[name]()
    gone = found(name, tmp_path).splits["test"]
    assert isinstance(gone, ImageFiles)
    gone.paths[0].unlink()
    with pytest.raises(UserError, match=f"{gone.paths[0].name} is listed, but missing"):
        found(name, tmp_path)


@pytest.mark.parametrize(
    ("name", "list_", "text", "message"),
    [
        ("flowers102", "imagelabels.mat", None, "imagelabels.mat is missing or damaged"),
        ("flowers102", "setid.mat", "no MATLAB file", "setid.mat is missing or damaged"),
        ("pets", "annotations/test.txt", None, "test.txt is missing or damaged"),
        ("pets", "annotations/test.txt", "Sphynx_7\n", "test.txt is damaged"),
        ("dtd", "labels/val1.txt", None, "val1.txt is missing or damaged"),
        ("dtd", "labels/test1.txt", "dotted/1.jpg\n", "dotted/1.jpg is of a kind that train has none of"),
        ("aircraft", "data/variants.txt", "F/A-18\n", "has no 'Boeing 747-400'"),
        ("cub", "train_test_split.txt", "1 1\n", "are not of the same pictures"),
        ("cub", "classes.txt", "1 001.Albatross\n", "are not of the same pictures"),
    ],
)
def test_lists_that_do_not_fit_are_one_line(
    name: str, list_: str, text: str | None, message: str, listed_files: Writers, tmp_path: Path
) -> None:
    path = listed_files[name]() / list_
    path.unlink()
    if text is not None:
        path.write_text(text)
    with pytest.raises(UserError, match=message) as caught:
        found(name, tmp_path)
    assert "\n" not in str(caught.value)


def test_flowers_of_another_edition_are_refused(listed_files: Writers, tmp_path: Path) -> None:
    folder = listed_files["flowers102"]()
    savemat(folder / "setid.mat", {"trnid": [[1]], "valid": [[2]], "tstid": [[9]]})
    with pytest.raises(UserError, match="has pictures that imagelabels"):
        found("flowers102", tmp_path)
