from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from bench.api import Dataset, ImageArrays, RawData
from bench.datasets._decode import decode
from bench.datasets._store import open_store, prepare
from bench.datasets.folder import Folder
from bench.errors import UserError

SPLITS = {"train": {"cat": 4, "dog": 5}, "test": {"cat": 2, "dog": 3}}
PREPARE = """
import sys
from pathlib import Path
from bench.datasets._store import prepare
from bench.datasets.folder import Folder
"""


class Arrays(Dataset):
    citation = licence = "made for this test"
    key = "arrays"  # type: ignore[assignment]

    def __init__(self, raw: RawData | None) -> None:
        super().__init__()
        self.raw = raw

    def find(self, data_root: Path) -> RawData | None:
        return self.raw


@pytest.fixture
def pictures(tmp_path: Path, make_folder: Callable[..., Path]) -> Path:
    return make_folder(tmp_path / "pictures", SPLITS)


def leftovers(data_root: Path) -> list[str]:
    store = data_root / ".bench"
    return [path.name for path in store.iterdir() if path.name.endswith(".partial")] if store.exists() else []


@settings(max_examples=25, deadline=None)
@given(st.data(), st.integers(2, 6), st.integers(1, 9), st.integers(1, 9))
def test_arrays_come_back_as_they_were(data: st.DataObject, count: int, height: int, width: int) -> None:
    images = data.draw(arrays.arrays(np.uint8, (count, 3, height, width)))
    labels = np.arange(count) % 3 - 1
    labels[-2:] = 0, 1
    raw = RawData(["a", "b"], {"train": ImageArrays(images, labels), "test": ImageArrays(images[-2:], labels[-2:])})
    with tempfile.TemporaryDirectory() as folder:
        store = prepare(Arrays(raw), Path(folder))
        train = store.split("train")
        np.testing.assert_array_equal(train.images, images)
        np.testing.assert_array_equal(train.labels, labels)
        np.testing.assert_array_equal(train.sizes, [[height, width]] * count)
        assert isinstance(train.images, np.memmap)
        scaled = images.astype(np.float64) / 255
        np.testing.assert_allclose(store.mean, scaled.mean(axis=(0, 2, 3)), atol=1e-12)
        np.testing.assert_allclose(store.std, scaled.std(axis=(0, 2, 3)), atol=1e-7)
        again = prepare(Arrays(raw), Path(folder), store_root=Path(folder) / "elsewhere")
        assert again.fingerprint == store.fingerprint
        changed = images.copy()
        changed[-1, 0, 0, 0] ^= 1
        raw = RawData(["a", "b"], {"train": ImageArrays(changed, labels), "test": raw.splits["test"]})
        assert prepare(Arrays(raw), Path(folder), Path(folder) / "third").fingerprint != store.fingerprint


def test_files_lie_top_left_on_the_smallest_canvas(tmp_path: Path, make_folder: Callable[..., Path]) -> None:
    root = make_folder(tmp_path / "pictures", {"train": {"cat": 2}, "test": {"cat": 2}}, size=(20, 24))
    make_folder(root, {"train": {"dog": 2}, "test": {"dog": 2}}, size=(30, 22))
    train = prepare(Folder(str(root)), tmp_path).split("train")
    assert train.images.shape == (4, 3, 30, 24)
    np.testing.assert_array_equal(train.sizes, [[20, 24], [20, 24], [30, 22], [30, 22]])
    paths = sorted((root / "train").rglob("*.jpg"))
    for path, image, (height, width) in zip(paths, train.images, train.sizes, strict=True):
        np.testing.assert_array_equal(image[:, :height, :width], decode(path, 160))
        assert not image[:, height:].any()
        assert not image[:, :, width:].any()


def test_mean_and_std_leave_the_margins_out(tmp_path: Path, make_folder: Callable[..., Path]) -> None:
    root = make_folder(tmp_path / "pictures", {"train": {"cat": 2}, "test": {"cat": 1}}, size=(20, 24))
    make_folder(root, {"train": {"dog": 1}, "test": {"dog": 1}}, size=(24, 20))
    store = prepare(Folder(str(root)), tmp_path)
    pixels = (
        np.concatenate([decode(path, 160).reshape(3, -1) for path in (root / "train").rglob("*.jpg")], axis=1) / 255
    )
    np.testing.assert_allclose(store.mean, pixels.mean(axis=1), atol=1e-12)
    np.testing.assert_allclose(store.std, pixels.std(axis=1), atol=1e-9)


def test_damaged_pictures_are_counted_named_and_refused_or_left_out(pictures: Path, tmp_path: Path) -> None:
    healthy = prepare(Folder(str(pictures)), tmp_path / "healthy")
    truncated = pictures / "train/dog/1.jpg"
    truncated.write_bytes(truncated.read_bytes()[:-10])  # the header stays whole: seen in decoding only
    (pictures / "test/cat/0.jpg").write_bytes(b"no picture")
    with pytest.raises(UserError, match="2 unreadable images") as caught:
        prepare(Folder(str(pictures)), tmp_path)
    assert str(truncated) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert leftovers(tmp_path) == []
    store = prepare(Folder(str(pictures)), tmp_path, skip_corrupt=True)
    assert store.report["counts"] == {"train": 8, "test": 4}
    assert {Path(entry["path"]) for entry in store.report["skipped"]} == {truncated, pictures / "test/cat/0.jpg"}
    kept = np.delete(healthy.split("train").images, 5, axis=0)
    np.testing.assert_array_equal(store.split("train").images, kept)
    np.testing.assert_array_equal(store.split("train").labels, [0, 0, 0, 0, 1, 1, 1, 1])
    with pytest.raises(UserError, match="decoded without 2 unreadable images"):
        prepare(Folder(str(pictures)), tmp_path)


def test_a_class_without_a_readable_picture_is_refused(pictures: Path, tmp_path: Path) -> None:
    for path in (pictures / "test/cat").iterdir():
        path.write_bytes(b"no picture")
    with pytest.raises(UserError, match="class 'cat' in the test split"):
        prepare(Folder(str(pictures)), tmp_path, skip_corrupt=True)


def test_duplicates_are_found_within_and_across_splits(pictures: Path, tmp_path: Path) -> None:
    assert prepare(Folder(str(pictures)), tmp_path).report["duplicates"] == []
    shutil.copy(pictures / "train/cat/0.jpg", pictures / "train/cat/copy.jpg")
    shutil.copy(pictures / "train/dog/0.jpg", pictures / "test/cat/copy.jpg")
    same, conflicting = prepare(Folder(str(pictures)), tmp_path).report["duplicates"]
    assert (same["across_splits"], same["conflicting_labels"]) == (False, False)
    assert (conflicting["across_splits"], conflicting["conflicting_labels"]) == (True, True)
    assert [Path(entry["path"]) for entry in conflicting["pictures"]] == [
        pictures / "train/dog/0.jpg",
        pictures / "test/cat/copy.jpg",
    ]
    assert [entry["label"] for entry in conflicting["pictures"]] == [1, 0]


def test_changed_files_make_the_store_anew_and_unchanged_ones_do_not(pictures: Path, tmp_path: Path) -> None:
    first = prepare(Folder(str(pictures)), tmp_path)
    made = (first.folder / "meta.json").stat().st_mtime_ns
    assert (prepare(Folder(str(pictures)), tmp_path).folder / "meta.json").stat().st_mtime_ns == made
    mapped = first.split("train").images
    (pictures / "train/cat/0.jpg").unlink()
    second = prepare(Folder(str(pictures)), tmp_path)
    assert second.report["counts"]["train"] == 8
    assert second.fingerprint != first.fingerprint
    assert len(mapped) == 9, "a store that is in use stays readable"
    assert mapped[8].any()
    assert leftovers(tmp_path) == []


def test_the_store_outlives_its_raw_data(pictures: Path, tmp_path: Path) -> None:
    first = prepare(Folder(str(pictures)), tmp_path)
    shutil.rmtree(pictures)
    assert prepare(Folder(str(pictures)), tmp_path).fingerprint == first.fingerprint


def test_open_store_needs_a_prepared_one(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="bench prepare"):
        open_store(Folder(str(pictures)), tmp_path)
    made = prepare(Folder(str(pictures)), tmp_path)
    assert open_store(Folder(str(pictures)), tmp_path) == made


@pytest.mark.parametrize("name", ["train.images.npy", "test.sizes.npy", "train.labels.npy", "meta.json"])
@pytest.mark.parametrize("damage", ["truncated", "garbled"])
def test_damaged_store_is_refused_with_the_way_out(pictures: Path, tmp_path: Path, name: str, damage: str) -> None:
    store = prepare(Folder(str(pictures)), tmp_path)
    path = store.folder / name
    content = path.read_bytes()
    path.write_bytes(content[:-7] if damage == "truncated" else b"#" * 40 + content[40:])
    with pytest.raises(UserError, match="delete that folder"):
        prepare(Folder(str(pictures)), tmp_path)
    shutil.rmtree(store.folder)
    assert prepare(Folder(str(pictures)), tmp_path) == store


def test_missing_store_file_is_noticed(pictures: Path, tmp_path: Path) -> None:
    store = prepare(Folder(str(pictures)), tmp_path)
    (store.folder / "test.labels.npy").unlink()
    with pytest.raises(UserError, match=r"test\.labels\.npy is missing"):
        prepare(Folder(str(pictures)), tmp_path)


def test_store_of_another_format_is_made_anew(pictures: Path, tmp_path: Path) -> None:
    store = prepare(Folder(str(pictures)), tmp_path)
    meta = json.loads((store.folder / "meta.json").read_text())
    (store.folder / "meta.json").write_text(json.dumps(meta | {"format": -1}))
    with pytest.raises(UserError, match="not prepared"):
        open_store(Folder(str(pictures)), tmp_path)
    assert prepare(Folder(str(pictures)), tmp_path) == store


def test_nothing_found_and_nothing_to_download(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="nothing to download"):
        prepare(Arrays(None), tmp_path)


def test_a_data_root_that_cannot_be_written_is_one_line(pictures: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be prepared"):
        prepare(Folder(str(pictures)), tmp_path / "file" / "below")


def run_python(code: str, *arguments: object, **options: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", PREPARE + code, *map(str, arguments)]
    return subprocess.Popen(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)  # type: ignore[call-overload,no-any-return]


def test_full_disk_is_one_line_and_leaves_nothing(pictures: Path, tmp_path: Path) -> None:
    code = "prepare(Folder(sys.argv[1]), Path(sys.argv[2]))"
    limit = lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))  # noqa: E731
    process = run_python(code, pictures, tmp_path, preexec_fn=limit)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 1
    assert "UserError: " in errors.splitlines()[-1]
    assert "File too large" in errors.splitlines()[-1]
    assert leftovers(tmp_path) == []


@pytest.mark.slow
def test_two_processes_prepare_at_once(pictures: Path, tmp_path: Path) -> None:
    code = "print(prepare(Folder(sys.argv[1]), Path(sys.argv[2])).fingerprint)"
    processes = [run_python(code, pictures, tmp_path) for _ in range(2)]
    results = [process.communicate(timeout=120)[0].strip() for process in processes]
    assert [process.returncode for process in processes] == [0, 0]
    assert results[0] == results[1] == prepare(Folder(str(pictures)), tmp_path).fingerprint
    assert leftovers(tmp_path) == []


@pytest.mark.slow
def test_a_killed_preparer_blocks_nobody(pictures: Path, tmp_path: Path) -> None:
    code = """
import time
from bench.datasets import _build
write = _build._write_split
_build._write_split = lambda *arguments: (write(*arguments), print("half", flush=True), time.sleep(600))
prepare(Folder(sys.argv[1]), Path(sys.argv[2]))
"""
    process = run_python(code, pictures, tmp_path)
    assert process.stdout is not None
    assert process.stdout.readline() == "half\n"
    assert len(leftovers(tmp_path)) == 1
    waiting = run_python("print(prepare(Folder(sys.argv[1]), Path(sys.argv[2])).fingerprint)", pictures, tmp_path)
    assert waiting.stderr is not None
    assert "waiting" in waiting.stderr.readline()
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    fingerprint, _ = waiting.communicate(timeout=120)
    assert waiting.returncode == 0
    assert leftovers(tmp_path) == []
    assert prepare(Folder(str(pictures)), tmp_path).fingerprint == fingerprint.strip()


def test_a_folder_that_is_no_store_is_never_replaced(pictures: Path, tmp_path: Path) -> None:
    """With --store-root where the raw pictures lie a dataset of the same name would have been deleted."""
    own = tmp_path / "stores" / Folder(str(pictures)).key
    own.mkdir(parents=True)
    (own / "thesis.tex").write_text("years of work")
    with pytest.raises(UserError, match="holds no decoded pictures: move it away"):
        prepare(Folder(str(pictures)), tmp_path, tmp_path / "stores")
    assert (own / "thesis.tex").read_text() == "years of work"
