"""The contract over every registered dataset, on tiny raw data in the layout of its archive."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest

from bench import discover
from bench.api import Dataset, ImageArrays, ImageFiles
from bench.datasets import cifar10, cifar100, imagenet, stl10, tinyimagenet
from bench.datasets._store import open_store, prepare
from bench.errors import UserError

RANDOM = np.random.default_rng(0)
BYTES = {"cifar10": 1, "cifar100": 2}


def cifar_file(path: Path, records: int, label_bytes: int, classes: int) -> np.ndarray:
    """Write records whose label is their row modulo `classes`; returns the pictures as a (N, 32, 32, 3) reference."""
    pictures = RANDOM.integers(0, 256, (records, 32, 32, 3), dtype=np.uint8)
    labels = np.zeros((records, label_bytes), dtype=np.uint8)
    labels[:, -1] = np.arange(records) % classes
    path.parent.mkdir(parents=True, exist_ok=True)
    np.hstack([labels, pictures.transpose(0, 3, 1, 2).reshape(records, -1)]).tofile(path)
    return pictures


def stl_file(folder: Path, part: str, records: int) -> np.ndarray:
    pictures = RANDOM.integers(0, 256, (records, 96, 96, 3), dtype=np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    pictures.transpose(0, 3, 2, 1).tofile(folder / f"{part}_X.bin")  # channel, column, row
    if part != "unlabeled":
        (np.arange(records) % 10 + 1).astype(np.uint8).tofile(folder / f"{part}_y.bin")
    return pictures


@pytest.fixture
def small_archives(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cifar10, "BATCH", 20)
    monkeypatch.setattr(cifar100, "TRAIN", 200)
    monkeypatch.setattr(cifar100, "TEST", 100)
    monkeypatch.setattr(stl10, "COUNTS", {"train": 20, "unlabeled": 7, "test": 10})


@pytest.fixture
def lay_out(
    tmp_path: Path,
    make_folder: Callable[..., Path],
    listed_files: Mapping[str, Callable[[], Path]],
    small_archives: None,
) -> Callable[[str], str]:
    """`lay_out(name)` writes raw data below tmp_path and returns the argument that finds them."""

    def cifar10_files() -> None:
        for number in range(1, 6):
            cifar_file(tmp_path / f"{cifar10.FOLDER}/data_batch_{number}.bin", 20, 1, 10)
        cifar_file(tmp_path / f"{cifar10.FOLDER}/test_batch.bin", 20, 1, 10)
        (tmp_path / cifar10.FOLDER / "batches.meta.txt").write_text("\n".join("abcdefghij") + "\n\n")

    def cifar100_files() -> None:
        cifar_file(tmp_path / f"{cifar100.FOLDER}/train.bin", 200, 2, 100)
        cifar_file(tmp_path / f"{cifar100.FOLDER}/test.bin", 100, 2, 100)
        names = "\n".join(f"class_{number}" for number in range(100))
        (tmp_path / cifar100.FOLDER / "fine_label_names.txt").write_text(names)

    def stl10_files() -> None:
        for part, count in stl10.COUNTS.items():
            stl_file(tmp_path / stl10.FOLDER, part, count)
        (tmp_path / stl10.FOLDER / "class_names.txt").write_text("\n".join("abcdefghij"))

    def tinyimagenet_files() -> None:
        """Folders as in the archive; two pictures of every class for training, one for test, in another order."""
        root, wnids = tmp_path / tinyimagenet.FOLDER, [f"n{number:08}" for number in range(200)]
        make_folder(root, {"train": {f"{wnid}/images": 2 for wnid in wnids}, "val": {"images": 200}}, suffix=".JPEG")
        names = {wnid: f"{number * 7 % 200}.JPEG" for number, wnid in enumerate(wnids)}
        lines = [f"{name}\t{wnid}\t0\t0\t62\t62\n" for wnid, name in names.items()]
        (root / tinyimagenet.ANNOTATIONS).write_text("".join(lines))

    files: dict[str, Callable[[], object]] = {"cifar10": cifar10_files, "cifar100": cifar100_files}
    files |= {"stl10": stl10_files, "tinyimagenet": tinyimagenet_files, **listed_files}

    def lay(name: str) -> str:
        if name in ("imagenette", "imagewoof"):
            wnids = discover.load("datasets", name).wnids
            splits = {"train": dict.fromkeys(wnids, 2), "val": dict.fromkeys(wnids, 1)}
            make_folder(tmp_path / f"{name}2-160", splits, suffix=".JPEG")
        elif name == "imagenet":
            wnids = [f"n{number:08}" for number in range(900)] + imagenet.IMAGENET_100.split()
            make_folder(tmp_path / name, {part: dict.fromkeys(wnids, 1) for part in ("train", "val")}, suffix=".JPEG")
        elif name == "folder":
            return str(make_folder(tmp_path / "own", {"train": {"cat": 2, "dog": 2}, "val": {"cat": 1, "dog": 1}}))
        elif name != "digits":
            files[name]()
        return ""

    return lay


def opened(name: str, argument: str = "") -> Dataset:
    dataset: Dataset = discover.load("datasets", name)(argument)
    return dataset


@pytest.mark.parametrize("name", discover.names("datasets"))
def test_contract(name: str, lay_out: Callable[[str], str], tmp_path: Path) -> None:
    dataset = opened(name, lay_out(name))
    assert re.fullmatch(r"[A-Za-z0-9_-]+", dataset.key)
    assert dataset.citation
    assert dataset.licence
    assert discover.describe("datasets", name).title
    assert discover.describe("datasets", name).licence == dataset.licence
    assert dataset.defaults.get("image_size", 16) >= 16
    raw = dataset.find(tmp_path)
    assert raw is not None
    assert set(raw.splits) == {"train", "test"}
    for split in raw.splits.values():
        assert isinstance(split, ImageArrays) == (dataset.short_side is None)
    store = prepare(dataset, tmp_path)
    assert list(store.classes) == list(raw.classes)
    assert len(set(store.classes)) == len(store.classes) >= 2
    for part in ("train", "test"):
        split = store.split(part)
        assert split.images.dtype == np.uint8
        assert len(split.images) == len(split.sizes) == len(split.labels) == len(raw.splits[part].labels)
        assert set(split.labels[split.labels >= 0]) == set(range(len(store.classes)))
    assert (store.split("test").labels >= 0).all()
    assert all(0 < value < 1 for value in (*store.mean, *store.std))
    assert store.key in store.describe()
    assert open_store(dataset, tmp_path) == prepare(opened(name, dataset.argument), tmp_path) == store


@pytest.mark.parametrize("name", sorted(set(discover.names("datasets")) - {"digits", "folder", "imagenet", "cars"}))
def test_archives_are_named_with_digest_and_source(name: str, tmp_path: Path) -> None:
    assert opened(name).find(tmp_path) is None
    for archive in opened(name).archives():
        assert archive.url.endswith("/" + archive.filename)
        assert re.fullmatch("[0-9a-f]{32}", archive.md5 or "")
        assert archive.digest_source


@pytest.mark.parametrize("name", sorted(set(discover.names("datasets")) - {"folder"}))
def test_unknown_argument_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="'321'" if name not in ("imagenette", "imagewoof") else "Did you mean '320'"):
        opened(name, "321")


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_pixels_labels_and_damage(name: str, lay_out: Callable[[str], str], tmp_path: Path) -> None:
    lay_out(name)
    module = {"cifar10": cifar10, "cifar100": cifar100}[name]
    path = tmp_path / module.FOLDER / ("test_batch.bin" if name == "cifar10" else "test.bin")
    count, classes = (20, 10) if name == "cifar10" else (100, 100)
    pictures = cifar_file(path, count, BYTES[name], classes)
    raw = opened(name).find(tmp_path)
    assert raw is not None
    test = raw.splits["test"]
    assert isinstance(test, ImageArrays)
    np.testing.assert_array_equal(test.images.transpose(0, 2, 3, 1), pictures)
    np.testing.assert_array_equal(test.labels, np.arange(count) % classes)
    assert opened(name).find(tmp_path / module.FOLDER) is not None, "the unpacked folder itself as data root"
    content = path.read_bytes()
    path.write_bytes(content[:-1])
    with pytest.raises(UserError, match="unpack the archive again"):
        opened(name).find(tmp_path)
    path.write_bytes(content[: BYTES[name] - 1] + b"\xff" + content[BYTES[name] :])
    with pytest.raises(UserError, match="label 255"):
        opened(name).find(tmp_path)
    path.unlink()
    with pytest.raises(UserError, match="is missing"):
        opened(name).find(tmp_path)


def test_cifar10_batches_are_in_order(lay_out: Callable[[str], str], tmp_path: Path) -> None:
    lay_out("cifar10")
    third = cifar_file(tmp_path / cifar10.FOLDER / "data_batch_3.bin", 20, 1, 10)
    images = prepare(opened("cifar10"), tmp_path).split("train").images
    np.testing.assert_array_equal(images[40:60].transpose(0, 2, 3, 1), third)


def test_stl_pictures_are_upright_and_unlabelled_ones_behind(lay_out: Callable[[str], str], tmp_path: Path) -> None:
    lay_out("stl10")
    folder = tmp_path / stl10.FOLDER
    labelled, unlabelled = stl_file(folder, "train", 20), stl_file(folder, "unlabeled", 7)
    train = prepare(opened("stl10"), tmp_path).split("train")
    np.testing.assert_array_equal(train.images.transpose(0, 2, 3, 1), np.concatenate([labelled, unlabelled]))
    np.testing.assert_array_equal(train.labels, [*(np.arange(20) % 10), *[-1] * 7])
    (folder / "test_y.bin").write_bytes(bytes([0] * 10))
    with pytest.raises(UserError, match="labels beyond"):
        opened("stl10").find(tmp_path)
    (folder / "test_X.bin").write_bytes(b"short")
    with pytest.raises(UserError, match="not 276480"):
        opened("stl10").find(tmp_path)


def test_imagewoof_sizes_and_names(lay_out: Callable[[str], str], tmp_path: Path) -> None:
    lay_out("imagewoof")
    woof = opened("imagewoof", "full")
    assert (woof.key, woof.short_side) == ("imagewoof-full", 384)
    assert woof.archives()[0].url.endswith("/imagewoof2.tgz")
    assert opened("imagewoof", "320").find(tmp_path) is None
    assert opened("imagewoof").key == opened("imagewoof", "160").key
    raw = opened("imagewoof").find(tmp_path)
    assert raw is not None
    assert raw.classes[0] == "Shih-Tzu"
    (tmp_path / "imagewoof2-160").rename(tmp_path / "imagenette2-160")
    with pytest.raises(UserError, match="not those of imagenette"):
        opened("imagenette").find(tmp_path)
    (tmp_path / "imagenette2-160/val").rename(tmp_path / "val")
    with pytest.raises(UserError, match="no folder 'val'"):
        opened("imagenette").find(tmp_path)


def test_imagenet_and_its_hundred_classes(lay_out: Callable[[str], str], tmp_path: Path) -> None:
    lay_out("imagenet")
    whole, hundred = (opened("imagenet", argument).find(tmp_path) for argument in ("", "100"))
    assert whole is not None
    assert hundred is not None
    assert (len(whole.classes), tuple(hundred.classes)) == (1000, tuple(imagenet.IMAGENET_100.split()))
    for split in hundred.splits.values():
        assert isinstance(split, ImageFiles)
        named = [hundred.classes[label] for label in split.labels]
        assert named == [path.parent.name for path in split.paths] == imagenet.IMAGENET_100.split()
    (tmp_path / "imagenet/train/n01558993").rename(tmp_path / "imagenet/train/n99999999")
    (tmp_path / "imagenet/val/n01558993").rename(tmp_path / "imagenet/val/n99999999")
    with pytest.raises(UserError, match="holds 99 classes of imagenet100, not 100"):
        opened("imagenet", "100").find(tmp_path)
    with pytest.raises(UserError, match=r"account at image-net\.org"):
        prepare(opened("imagenet"), tmp_path / "elsewhere")


def test_tiny_imagenets_test_pictures_have_the_labels_of_the_list(
    lay_out: Callable[[str], str], tmp_path: Path
) -> None:
    lay_out("tinyimagenet")
    raw = opened("tinyimagenet").find(tmp_path)
    assert raw is not None
    train, test = raw.splits["train"], raw.splits["test"]
    assert isinstance(train, ImageFiles)
    assert isinstance(test, ImageFiles)
    assert [raw.classes[label] for label in train.labels] == [path.parent.parent.name for path in train.paths]
    for path, label in zip(test.paths, test.labels, strict=True):
        assert int(path.stem) == label * 7 % 200
    (tmp_path / "tiny-imagenet-200/val/images/0.JPEG").unlink()
    with pytest.raises(UserError, match=r"val_annotations\.txt does not list the pictures beside it"):
        opened("tinyimagenet").find(tmp_path)
    (tmp_path / "tiny-imagenet-200/train/n00000007").rename(tmp_path / "n00000007")
    with pytest.raises(UserError, match="holds 199 classes, not 200"):
        opened("tinyimagenet").find(tmp_path)
    (tmp_path / "tiny-imagenet-200/val/val_annotations.txt").unlink()
    with pytest.raises(UserError, match=r"val_annotations\.txt is missing; unpack"):
        opened("tinyimagenet").find(tmp_path)


def test_digits_split() -> None:
    raw = opened("digits").find(Path())
    assert raw is not None
    train, test = raw.splits["train"], raw.splits["test"]
    assert isinstance(train, ImageArrays)
    assert (len(train.labels), len(test.labels)) == (1297, 500)
    assert train.images.max() == 255
    assert np.bincount(test.labels).min() >= 48


def test_folder_without_parts_is_cut_and_says_so(
    make_folder: Callable[..., Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = make_folder(tmp_path / "own", {"": {"cat": 10, "dog": 5}})
    raw = opened("folder", str(root)).find(tmp_path)
    assert raw is not None
    assert np.bincount(raw.splits["test"].labels).tolist() == [2, 1]
    paths = [path for split in raw.splits.values() for path in split.paths]  # type: ignore[union-attr]
    assert sorted(paths) == sorted(root.rglob("*.jpg"))
    assert "3 of 15 images are kept for test" in capsys.readouterr().err
    with pytest.raises(UserError, match="no test part can be cut"):
        opened("folder", str(make_folder(tmp_path / "few", {"": {"cat": 10, "dog": 1}}))).find(tmp_path)


def test_folder_test_goes_before_val(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    classes = {"cat": 1, "dog": 1}
    root = make_folder(tmp_path / "own", {"train": classes, "val": classes, "test": {"cat": 2, "dog": 3}})
    raw = opened("folder", str(root)).find(tmp_path)
    assert raw is not None
    assert list(raw.splits["test"].labels) == [0, 0, 1, 1, 1]


def test_folder_mistakes_are_one_line(make_folder: Callable[..., Path], tmp_path: Path) -> None:
    make_folder(tmp_path / "pictures", {"train": {"cat": 1, "dog": 1}})
    with pytest.raises(UserError, match="neither test/ nor val/"):
        prepare(opened("folder", str(tmp_path / "pictures")), tmp_path)
    with pytest.raises(UserError, match=r"There is no folder .*pictuers\. Did you mean .*/pictures\?"):
        prepare(opened("folder", str(tmp_path / "pictuers")), tmp_path)
    with pytest.raises(UserError, match="folder:PATH"):
        opened("folder")


def test_folders_of_one_name_have_stores_of_their_own(tmp_path: Path) -> None:
    assert opened("folder", str(tmp_path / "a/x")).key != opened("folder", str(tmp_path / "b/x")).key
