"""From an archive to a store: the archive on a server, or already in the data root."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import http.server
import shutil
import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from bench.api import Archive, Dataset, RawData
from bench.datasets import _download
from bench.datasets._imagefolder import read_splits
from bench.datasets._store import prepare
from bench.errors import UserError


class Remote(Dataset):
    citation = licence = "made for this test"
    key = "remote"  # type: ignore[assignment]
    short_side = 32  # type: ignore[assignment]

    def __init__(self, *archives: Archive) -> None:
        super().__init__()
        self.own = archives

    def find(self, data_root: Path) -> RawData | None:
        folder = data_root / "remote"
        return read_splits({"train": folder / "train", "test": folder / "val"}) if (folder / "train").exists() else None

    def archives(self) -> Sequence[Archive]:
        return self.own


@pytest.fixture
def archive_file(tmp_path: Path, make_folder: Callable[..., Path]) -> Path:
    make_folder(tmp_path / "made/remote", {"train": {"cat": 2, "dog": 2}, "val": {"cat": 1, "dog": 1}})
    return Path(shutil.make_archive(str(tmp_path / "served/remote"), "gztar", tmp_path / "made", "remote"))


@pytest.fixture
def address(archive_file: Path) -> Iterator[str]:
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(archive_file.parent))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/{archive_file.name}"
        server.shutdown()
        thread.join()


def described(path: Path, url: str) -> Archive:
    return Archive(url, path.name, md5=hashlib.md5(path.read_bytes()).hexdigest(), digest_source="this test")


def test_archive_is_downloaded_unpacked_and_decoded(tmp_path: Path, archive_file: Path, address: str) -> None:
    root = tmp_path / "data"
    store = prepare(Remote(described(archive_file, address)), root)
    assert store.report["counts"] == {"train": 4, "test": 2}
    assert sorted(path.name for path in root.iterdir()) == [
        ".bench",
        ".remote-download.lock",
        "remote",
        archive_file.name,
    ]


def test_a_dataset_of_several_files_has_a_folder_for_them(tmp_path: Path, archive_file: Path, address: str) -> None:
    shutil.make_archive(str(tmp_path / "served/remote"), "gztar", tmp_path / "made", "remote")
    names = tmp_path / "served/names.mat"
    names.write_text("cat, dog")
    pictures = dataclasses.replace(described(archive_file, address), folder="remote", entry="remote")
    there = described(names, address.replace(archive_file.name, names.name))
    there = dataclasses.replace(there, folder="remote", entry="names.mat")
    root = tmp_path / "data"

    class Nested(Remote):
        def find(self, data_root: Path) -> RawData | None:
            return super().find(data_root / "remote")

    with pytest.raises(UserError, match="not 0000"):
        prepare(Nested(pictures, dataclasses.replace(there, md5="0" * 32)), root)
    (root / "remote" / archive_file.name).unlink()  # what it gave is there, so that it is not fetched again
    pictures = dataclasses.replace(pictures, url="http://127.0.0.1:9/remote.tar.gz")
    (root / "remote/remote/train").rename(root / "aside")
    with pytest.raises(UserError, match="but not what remote expects"):
        prepare(Nested(pictures, there), root)
    (root / "aside").rename(root / "remote/remote/train")
    assert prepare(Nested(pictures, there), root).report["counts"] == {"train": 4, "test": 2}
    assert sorted(path.name for path in (root / "remote").iterdir()) == ["names.mat", "remote"]
    assert (root / "remote/names.mat").read_text() == "cat, dog"


def test_archive_in_the_data_root_needs_no_network(
    tmp_path: Path, archive_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_download, "PAUSE_SECONDS", 0.0)
    dataset = Remote(described(archive_file, "http://127.0.0.1:9/remote.tar.gz"))
    with pytest.raises(UserError, match="Could not download"):
        prepare(dataset, tmp_path / "data")
    shutil.copy(archive_file, tmp_path / "data")
    assert prepare(dataset, tmp_path / "data").report["counts"] == {"train": 4, "test": 2}


def test_archive_of_something_else_is_refused(tmp_path: Path, archive_file: Path, address: str) -> None:
    (tmp_path / "made/remote").rename(tmp_path / "made/other")
    shutil.make_archive(str(tmp_path / "served/remote"), "gztar", tmp_path / "made", "other")
    with pytest.raises(UserError, match="but not what remote expects"):
        prepare(Remote(described(archive_file, address)), tmp_path / "data")
