"""The store: pictures as memory-mapped uint8 arrays, or streamed from their files; made once by `prepare`."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from bench.api import Canvases, Dataset, ImageFiles, RawData, Split
from bench.datasets._build import FORMAT, build
from bench.datasets._download import fetch
from bench.datasets._folder import alone, replace, temporary
from bench.datasets._streamed import StreamedCanvases
from bench.datasets._unpack import unpack
from bench.errors import UserError


@dataclass(frozen=True)
class Store:
    """An opened store. `mean` and `std` (3 each) are of the train pictures in [0, 1]; `fingerprint` is a SHA-256 over
    decoded pixels, sizes, labels and class names, the same whether pixels are kept or not; `report` holds `counts` per
    split, the `skipped` files with their reasons and the groups of `duplicates`.

    `short_side` is that of a streamed store, which keeps no pixels: its pictures are decoded from their files
    whenever they are used. None for one that has them.
    """

    folder: Path
    key: str
    classes: Sequence[str]
    fingerprint: str
    mean: Sequence[float]
    std: Sequence[float]
    report: Mapping[str, Any]
    short_side: int | None = None

    def split(self, name: str) -> Split:
        """The split `train` or `test`. Raises UserError when its files are damaged."""
        try:
            sizes = np.load(self.folder / f"{name}.sizes.npy", allow_pickle=False)
            labels = np.load(self.folder / f"{name}.labels.npy", allow_pickle=False)
            pixels = "images" if self.short_side is None else "paths"
            mode: Literal["r"] | None = "r" if self.short_side is None else None
            kept = np.load(self.folder / f"{name}.{pixels}.npy", mmap_mode=mode, allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise _damaged(self.folder, str(error)) from error
        images: Canvases = kept if self.short_side is None else StreamedCanvases(kept, sizes, self.short_side)
        count = self.report["counts"][name]
        if images.shape[:2] != (count, 3) or sizes.shape != (count, 2) or labels.shape != (count,):
            raise _damaged(self.folder, f"the {name} split does not hold {count} pictures")
        return Split(images, sizes, labels)

    def describe(self) -> str:
        """Some lines of text: pictures, canvases, duplicates, skipped files, where it lies."""
        lines = [f"{self.key}: {len(self.classes)} classes, fingerprint {self.fingerprint[:12]}, in {self.folder}"]
        for name, count in self.report["counts"].items():
            height, width = self.split(name).images.shape[2:]
            how = "" if self.short_side is None else ", decoded from their files in every epoch"
            lines.append(f"  {name}: {count} pictures on canvases of {height} x {width}{how}")
        duplicates = self.report["duplicates"]
        if duplicates:
            across = sum(group["across_splits"] for group in duplicates)
            conflicting = [group for group in duplicates if group["conflicting_labels"]]
            lines.append(
                f"  {len(duplicates)} groups of identical pictures: {across} across splits, "
                f"{len(conflicting)} with conflicting labels"
            )
            lines += [f"    {self._group(group)}" for group in conflicting[:5]]
        if self.report["skipped"]:
            lines.append(f"  {len(self.report['skipped'])} unreadable images left out, listed in meta.json")
        return "\n".join(lines)

    def _group(self, group: Mapping[str, Any]) -> str:
        return " = ".join(
            f"{picture['path']} ({picture['split']}, {_class_name(self.classes, picture['label'])})"
            for picture in group["pictures"]
        )


def prepare(
    dataset: Dataset,
    data_root: Path,
    store_root: Path | None = None,
    skip_corrupt: bool = False,
    streamed: bool | None = None,
) -> Store:
    """The store of `dataset`, opened if it is there and current, else made: found, downloaded, decoded.

    `streamed`: whether it must be one that keeps no pixels; None takes it as it is there, or makes one with pixels.

    It lies in `<store_root or data_root/.bench>/<dataset.key>`. Image files that were added, removed or changed since
    make it anew; where the raw data are gone, or are arrays of an official archive, it is used as it is.
    Raises UserError, in one line, for everything the user can mend; then nothing half-written is left.
    """
    data_root = data_root.expanduser().absolute()
    folder = _folder(dataset, data_root, store_root)
    with _disk_errors(dataset.key):
        if streamed and dataset.short_side is None:
            raise UserError(f"{dataset.key} comes as arrays, not as image files: there is nothing to stream.")
        raw = None if dataset.short_side is None and _is_current(folder, None) else dataset.find(data_root)
        if not _is_usable(folder, dataset, raw, streamed):
            with alone(folder):
                _make(dataset, raw, data_root, folder, skip_corrupt, streamed)
    return _accept(_open(folder), skip_corrupt)


def open_store(dataset: Dataset, data_root: Path, store_root: Path | None = None) -> Store:
    """The store that `prepare` made, without a look at the raw data. Raises UserError when there is none."""
    folder = _folder(dataset, data_root.expanduser().absolute(), store_root)
    if not _is_current(folder, None):
        raise UserError(f"{dataset.key} is not prepared in {folder.parent}; run: python -m bench prepare")
    return _open(folder)


def _folder(dataset: Dataset, data_root: Path, store_root: Path | None) -> Path:
    return (data_root / ".bench" if store_root is None else store_root.expanduser().absolute()) / dataset.key


def _make(
    dataset: Dataset, raw: RawData | None, data_root: Path, folder: Path, skip_corrupt: bool, streamed: bool | None
) -> None:
    """Obtain the raw data and decode them, unless another process has done so in the meantime."""
    if folder.exists() and not (folder / "meta.json").exists():
        raise UserError(f"{folder} is there and holds no decoded pictures: move it away, or give another --store-root.")
    raw = raw or dataset.find(data_root) or _obtain(dataset, data_root)
    if _is_usable(folder, dataset, raw, streamed):
        return
    streamed = _is_streamed(folder) if streamed is None else streamed
    signature = _signature(dataset, raw, streamed)
    assert signature is not None
    made = temporary(folder)
    made.mkdir()
    try:
        build(raw, made, dataset.short_side, skip_corrupt, signature, streamed)
        replace(made, folder)
    finally:
        shutil.rmtree(made, ignore_errors=True)


def _obtain(dataset: Dataset, data_root: Path) -> RawData:
    archives = dataset.archives()
    if not archives:
        raise UserError(f"{dataset.key}: no pictures were found under {data_root}, and there is nothing to download.")
    with alone(data_root / f"{dataset.key}-download"):  # not that of a store which lies there, too
        raw = dataset.find(data_root)
        if raw is not None:  # another process, which decodes elsewhere, was faster
            return raw
        for archive in archives:
            place = data_root / archive.folder
            if archive.entry and (place / archive.entry).exists():
                continue
            file = fetch(archive, place)
            if archive.entry != archive.filename:
                unpack(file, place, archive.entry)
        raw = dataset.find(data_root)
    if raw is None:
        names = ", ".join(archive.filename for archive in archives)
        raise UserError(f"What {names} held is in {data_root}, but not what {dataset.key} expects.")
    return raw


def _signature(dataset: Dataset, raw: RawData | None, streamed: bool) -> str | None:
    """SHA-256 over the listing of the raw image files (relative paths, lengths, times of change); None without data.

    Paths are absolute for a streamed store, whose files must stay where they are.
    """
    if raw is None:
        return None
    total = hashlib.sha256(f"{dataset.short_side} {list(raw.classes)}".encode())
    for name, split in sorted(raw.splits.items()):
        if not isinstance(split, ImageFiles):
            continue
        common = len(os.path.commonpath({path.parent for path in split.paths})) if split.paths and not streamed else 0
        for path, label in zip(split.paths, split.labels, strict=True):
            status = os.stat(path)
            total.update(f"{name}\0{str(path)[common:]}\0{status.st_size}\0{status.st_mtime_ns}\0{label}\n".encode())
    return total.hexdigest()


def _is_usable(folder: Path, dataset: Dataset, raw: RawData | None, streamed: bool | None) -> bool:
    """Whether the store there is of the kind that is asked for (None: of either) and of the raw data as they are.

    Without raw data one that keeps pixels is taken as it is; a streamed one is nothing without them.
    """
    kind = _is_streamed(folder)
    if streamed not in (None, kind) or (kind and raw is None):
        return False
    return _is_current(folder, _signature(dataset, raw, kind))


def _is_current(folder: Path, signature: str | None) -> bool:
    """Whether a store of this format is there, made of raw data with this signature (None: of any)."""
    if not (folder / "meta.json").exists():
        return False
    meta = _meta(folder)
    return meta.get("format") == FORMAT and signature in (None, meta.get("signature"))


def _is_streamed(folder: Path) -> bool:
    """Whether a store is there that keeps no pixels."""
    return (folder / "meta.json").exists() and bool(_meta(folder).get("streamed"))


def _open(folder: Path) -> Store:
    """Open a store, every file checked by its length and header. Raises UserError when one is damaged."""
    meta = _meta(folder)
    try:
        report = {name: meta[name] for name in ("counts", "skipped", "duplicates")}
        short_side = meta["short_side"] if meta.get("streamed") else None
        statistics = meta["fingerprint"], meta["mean"], meta["std"]
        store = Store(folder, folder.name, meta["classes"], *statistics, report, short_side)
        lengths = dict(meta["files"])
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(folder, f"meta.json lacks {error}") from error
    for name, length in lengths.items():
        path = folder / name
        actual = path.stat().st_size if path.exists() else None
        if actual != length:
            raise _damaged(
                folder, f"{name} is missing" if actual is None else f"{name} has {actual} bytes, not {length}"
            )
    for name in report["counts"]:
        store.split(name)
    return store


def _meta(folder: Path) -> dict[str, Any]:
    try:
        meta = json.loads((folder / "meta.json").read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise _damaged(folder, f"meta.json cannot be read: {error}") from error
    if not isinstance(meta, dict):
        raise _damaged(folder, "meta.json holds no object")
    return meta


def _accept(store: Store, skip_corrupt: bool) -> Store:
    skipped = store.report["skipped"]
    if skipped and not skip_corrupt:
        raise UserError(
            f"{store.key} was decoded without {len(skipped)} unreadable images, the first {skipped[0]['path']}: mend "
            "them, or give --skip-corrupt."
        )
    return store


def _damaged(folder: Path, why: str) -> UserError:
    return UserError(f"The decoded store {folder} is damaged ({why}): delete that folder, it is made anew then.")


def _class_name(classes: Sequence[str], label: int) -> str:
    return classes[label] if label >= 0 else "no label"


@contextmanager
def _disk_errors(key: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        where = f" ({error.filename})" if error.filename else ""
        raise UserError(f"{key} cannot be prepared: {error.strerror or error}{where}.") from error
