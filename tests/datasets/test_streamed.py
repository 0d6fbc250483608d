"""A store that keeps no pixels gives the very pictures of one that has them, or says why it cannot."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.datasets import _store
from bench.datasets._check import check
from bench.datasets._store import Store, open_store, prepare
from bench.datasets.digits import Digits
from bench.datasets.folder import Folder
from bench.errors import UserError

SPLITS = {"train": {"cat": 4, "dog": 5}, "test": {"cat": 2, "dog": 3}}


@pytest.fixture
def pictures(tmp_path: Path, make_folder: Callable[..., Path]) -> Path:
    root = make_folder(tmp_path / "pictures", SPLITS)
    Image.effect_noise((300, 200), 80).save(root / "train/cat/tall.png")  # scaled down, and wider than the others
    return root


@pytest.fixture
def stores(pictures: Path, tmp_path: Path) -> tuple[Store, Store]:
    """One with pixels and one without, of the same pictures."""
    dataset = Folder(str(pictures))
    return prepare(dataset, tmp_path, tmp_path / "kept"), prepare(dataset, tmp_path, tmp_path / "s", streamed=True)


def test_it_is_the_same_data(stores: tuple[Store, Store]) -> None:
    kept, streamed = stores
    assert streamed.fingerprint == kept.fingerprint
    assert (streamed.mean, streamed.std, streamed.report) == (kept.mean, kept.std, kept.report)
    assert not list(streamed.folder.glob("*.images.npy"))
    for name in ("train", "test"):
        ours, theirs = streamed.split(name), kept.split(name)
        assert ours.images.shape == theirs.images.shape
        np.testing.assert_array_equal(ours.sizes, theirs.sizes)
        np.testing.assert_array_equal(ours.labels, theirs.labels)
        rows = np.random.default_rng(0).permutation(len(theirs.labels))
        np.testing.assert_array_equal(ours.images[rows], theirs.images[rows])
        np.testing.assert_array_equal(ours.images[3], theirs.images[3])
    check(streamed)
    assert "decoded from their files" in streamed.describe()


def test_what_is_there_is_taken_and_what_is_asked_for_is_made(pictures: Path, tmp_path: Path) -> None:
    dataset = Folder(str(pictures))
    assert prepare(dataset, tmp_path, streamed=True).short_side == 160
    assert prepare(dataset, tmp_path).short_side == 160, "a run takes the store that is there"
    assert open_store(dataset, tmp_path).short_side == 160
    assert prepare(dataset, tmp_path, streamed=False).short_side is None
    assert prepare(dataset, tmp_path).short_side is None


def test_pictures_that_are_gone_are_missed_before_anything_runs(pictures: Path, tmp_path: Path) -> None:
    """A decoded store is used without them; a streamed one is nothing without them."""
    dataset = Folder(str(pictures))
    prepare(dataset, tmp_path, streamed=True)
    pictures.rename(tmp_path / "elsewhere")
    with pytest.raises(UserError, match="There is no folder"):
        prepare(dataset, tmp_path)


def test_who_waited_for_another_kind_takes_what_is_there_then(
    pictures: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`run` beside `prepare --stream`: it does not decode everything over the other's store."""
    dataset, alone = Folder(str(pictures)), _store.alone

    @contextmanager
    def waited(folder: Path) -> Iterator[None]:
        monkeypatch.setattr(_store, "alone", alone)
        prepare(dataset, tmp_path, streamed=True)
        with alone(folder):
            yield

    monkeypatch.setattr(_store, "alone", waited)
    assert prepare(dataset, tmp_path).short_side == 160


def test_files_that_changed_are_noticed(pictures: Path, tmp_path: Path) -> None:
    dataset = Folder(str(pictures))
    store = prepare(dataset, tmp_path, streamed=True)
    train = store.split("train").images
    first = sorted((pictures / "train/cat").iterdir())[0]
    Image.new("RGB", (24, 32)).save(first)
    with pytest.raises(UserError, match="is not the picture it was"):
        train[0]
    first.write_bytes(first.read_bytes()[:200])
    with pytest.raises(UserError, match=f"{first} cannot be decoded any more"):
        train[np.array([0, 1])]
    first.unlink()
    with pytest.raises(UserError, match=f"{first} cannot be read: No such file"):
        train[0]
    Image.new("RGB", (24, 32)).save(first)
    anew = prepare(dataset, tmp_path)
    assert anew.fingerprint != store.fingerprint
    assert anew.split("train").images[0].shape == train.shape[1:]


def test_pictures_that_moved_are_found_again(pictures: Path, tmp_path: Path) -> None:
    """By `prepare`, which every command does first; the names of a streamed store are absolute."""

    class Fixed(Folder):
        key = "pictures"  # type: ignore[assignment]

    before = prepare(Fixed(str(pictures)), tmp_path, tmp_path / "s", streamed=True)
    pictures.rename(tmp_path / "elsewhere")
    after = prepare(Fixed(str(tmp_path / "elsewhere")), tmp_path, tmp_path / "s")
    assert after.fingerprint == before.fingerprint
    assert after.split("train").images[np.arange(9)].any()


def test_arrays_have_no_files_to_stream(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="digits comes as arrays"):
        prepare(Digits(), tmp_path, streamed=True)
