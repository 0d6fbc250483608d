"""Datasets whose parts are lists of names: whose picture is whose, and lists that do not fit the pictures."""

from __future__ import annotations

import dataclasses
import hashlib
import tarfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from scipy.io import savemat

from bench import discover
from bench.api import ImageFiles, RawData
from bench.datasets._store import prepare
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
    "cars": (["AM General Hummer", "Audi R8"], [("cars_train/0", 0), ("cars_train/1", 1)], [("cars_test/0", 0)]),
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
        ("flowers102", "setid.mat", "no MATLAB file", "setid.mat is missing or damaged"),
        ("pets", "annotations/test.txt", None, "test.txt is missing or damaged"),
        ("pets", "annotations/test.txt", "Sphynx_7\n", "test.txt is damaged"),
        ("dtd", "labels/val1.txt", None, "val1.txt is missing or damaged"),
        ("dtd", "labels/test1.txt", "dotted/1.jpg\n", "dotted/1.jpg is of a kind that train has none of"),
        ("aircraft", "data/variants.txt", "F/A-18\n", "has no 'Boeing 747-400'"),
        ("cub", "train_test_split.txt", "1 1\n", "are not of the same pictures"),
        ("cub", "classes.txt", "1 001.Albatross\n", "are not of the same pictures"),
        ("cub", "classes.txt", None, "classes.txt is missing or damaged"),
        ("cars", "devkit/cars_meta.mat", None, "cars_meta.mat is missing or damaged"),
        ("cars", "devkit/cars_train_annos.mat", "no MATLAB file", "cars_train_annos.mat is missing or damaged"),
        ("pets", "annotations/trainval.txt", "Sphynx_1 9 1 1\n", "leaves out numbers of breeds"),
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


def test_damage_that_only_decompression_meets_is_the_users_to_mend(listed_files: Writers, tmp_path: Path) -> None:
    path = listed_files["flowers102"]() / "imagelabels.mat"
    savemat(path, {"labels": [[1, 2] * 200]}, do_compression=True)
    whole = path.read_bytes()
    for position in range(130, len(whole)):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xFF]) + whole[position + 1 :])
        with suppress(UserError):  # and nothing else
            found("flowers102", tmp_path)


@pytest.mark.parametrize("name", [name for name in EXPECTED if name != "cars"])  # which nobody gives out any more
def test_archives_give_what_is_read_and_a_broken_start_is_mended(
    name: str, listed_files: Writers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dataset, root = discover.load("datasets", name)(), tmp_path / "data"
    listed_files[name]()  # in tmp_path, from where it goes into files as its archives hold it
    packed = []
    for archive in dataset.archives():
        source, target = tmp_path / archive.folder, root / archive.folder / archive.filename
        target.parent.mkdir(parents=True, exist_ok=True)
        if archive.entry == archive.filename:
            (source / archive.entry).rename(target)
        else:
            with tarfile.open(target, "w:gz") as tar:
                tar.add(source / archive.entry, archive.entry)
                tar.add(__file__, "attributes.txt")  # lies beside the birds' folder, and is nobody's
        packed.append(dataclasses.replace(archive, md5=hashlib.md5(target.read_bytes()).hexdigest()))
    monkeypatch.setattr(type(dataset), "archives", lambda _: packed)
    broken = [archive for archive in packed if archive.entry != archive.filename][-1]
    kept = (root / broken.folder / broken.filename).read_bytes()
    (root / broken.folder / broken.filename).write_bytes(b"")
    with pytest.raises(UserError, match="has md5"):
        prepare(dataset, root)
    (root / broken.folder / broken.filename).write_bytes(kept)
    assert prepare(dataset, root).report["counts"] == {"train": 6, "test": 2}
    assert not list(root.rglob("attributes.txt"))


def test_cars_say_what_to_do_where_they_are_not(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be downloaded any more: put your copy"):
        prepare(discover.load("datasets", "cars")(), tmp_path)


def test_cars_of_a_class_that_has_no_name_are_refused(listed_files: Writers, tmp_path: Path) -> None:
    savemat(listed_files["cars"]() / "devkit/cars_meta.mat", {"class_names": np.array(["Audi R8"], dtype=object)})
    with pytest.raises(UserError, match=r"has classes that cars_meta\.mat has not"):
        found("cars", tmp_path)


@pytest.mark.parametrize("name", [name for name in EXPECTED if name != "cars"])
def test_an_empty_data_root_of_the_same_name_holds_nothing(name: str, listed_files: Writers, tmp_path: Path) -> None:
    folder = listed_files[name]()
    module = discover.load("datasets", name)().archives()[0]
    for own in (folder.name, module.folder or module.entry):
        (tmp_path / "empty" / own).mkdir(parents=True, exist_ok=True)
        assert discover.load("datasets", name)().find(tmp_path / "empty" / own) is None


def test_dtd_is_found_where_torchvision_keeps_it(listed_files: Writers, tmp_path: Path) -> None:
    folder = listed_files["dtd"]()
    folder.rename(tmp_path / "aside")
    folder.mkdir()
    (tmp_path / "aside").rename(folder / "dtd")
    assert len(found("dtd", tmp_path).classes) == 2


def test_flowers_of_another_edition_are_refused(listed_files: Writers, tmp_path: Path) -> None:
    folder = listed_files["flowers102"]()
    savemat(folder / "setid.mat", {"trnid": [[1]], "valid": [[2]], "tstid": [[9]]})
    with pytest.raises(UserError, match="has pictures that imagelabels"):
        found("flowers102", tmp_path)
