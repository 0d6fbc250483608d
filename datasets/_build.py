"""Writes a store: canvases (or paths of files), sizes and labels of every split as .npy files, and meta.json."""

from __future__ import annotations

import hashlib
import json
import os
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from bench.api import ImageArrays, ImageFiles, RawData
from bench.datasets._decode import Unreadable, decode, measure
from bench.datasets._streamed import paths_array
from bench.errors import UserError
from bench.files import sync_folder, write_json

FORMAT = 1
"""Raised when the layout or the decoding changes: an older store is built anew."""
CHUNK_BYTES = 1 << 24
NAMED = 5


@dataclass(frozen=True)
class _Source:
    """A split before decoding: `measure(i)` is the height and width of `picture(i)`, which is (3, h, w) uint8."""

    labels: np.ndarray
    paths: Sequence[Path] | None
    measure: Callable[[int], tuple[int, int]]
    picture: Callable[[int], np.ndarray]


@dataclass(frozen=True)
class _Chunk:
    """What decoding some pictures gave: per picture its SHA-256, or why it is unreadable; and sums over the pixels."""

    digests: dict[int, bytes]
    failures: dict[int, str]
    sums: np.ndarray
    squares: np.ndarray
    pixels: int


@dataclass(frozen=True)
class _Written:
    source: _Source
    kept: list[int]
    failures: dict[int, str]
    digests: list[bytes]
    labels: np.ndarray
    mean: list[float]
    std: list[float]


def build(
    raw: RawData, folder: Path, short_side: int | None, skip_corrupt: bool, signature: str, streamed: bool
) -> None:
    """Fill `folder` with the decoded splits of `raw`; meta.json is written last.

    `streamed`: every picture is decoded all the same, for its size, digest and statistics, but what is kept of it is
    the path of its file.

    Raises UserError for unreadable pictures (unless they are to be skipped) and OSError when the disk is full.
    """
    written = {
        name: _write_split(folder, name, _source(split, short_side), skip_corrupt, streamed)
        for name, split in raw.splits.items()
    }
    failures = [
        (split.source, index, why) for split in written.values() for index, why in sorted(split.failures.items())
    ]
    if failures and not skip_corrupt:
        named = "; ".join(f"{_name(source, index)} ({why})" for source, index, why in failures[:NAMED])
        more = f"; and {len(failures) - NAMED} more" if len(failures) > NAMED else ""
        raise UserError(f"{len(failures)} unreadable images: {named}{more}. Mend them, or give --skip-corrupt.")
    _check_classes(written, raw.classes)
    meta = {
        "format": FORMAT,
        "signature": signature,
        "streamed": streamed,
        "short_side": short_side,
        "classes": list(raw.classes),
        "counts": {name: len(split.kept) for name, split in written.items()},
        "mean": written["train"].mean,
        "std": written["train"].std,
        "fingerprint": fingerprint({name: (w.digests, w.labels) for name, w in written.items()}, raw.classes),
        "skipped": [{"path": _name(source, index), "reason": why} for source, index, why in failures],
        "duplicates": _duplicates(written),
        "files": {path.name: path.stat().st_size for path in sorted(folder.iterdir())},
    }
    write_json(folder / "meta.json", meta)
    sync_folder(folder)


def workers() -> int:
    """Threads for decoding: the processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _source(split: ImageFiles | ImageArrays, short_side: int | None) -> _Source:
    labels = np.asarray(split.labels, dtype=np.int64)
    if isinstance(split, ImageArrays):
        images = split.images
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[:2] != (len(labels), 3):
            raise ValueError(f"images must be ({len(labels)}, 3, H, W) uint8, not {images.shape} {images.dtype}")
        return _Source(labels, None, lambda index: images.shape[2:], lambda index: np.ascontiguousarray(images[index]))
    if short_side is None:
        raise ValueError("a dataset of image files needs a short_side")
    paths = split.paths
    return _Source(
        labels, paths, lambda index: measure(paths[index], short_side), lambda index: decode(paths[index], short_side)
    )


def _name(source: _Source, index: int) -> str:
    return str(source.paths[index]) if source.paths is not None else f"picture {index}"


def _write_split(folder: Path, name: str, source: _Source, skip_corrupt: bool, streamed: bool) -> _Written:
    """Measure every picture, then decode it onto its canvas. Where damage shows only in decoding and is to be skipped,
    decode once more without these pictures.
    """
    with ThreadPoolExecutor(workers()) as pool:
        sizes, failures = _measure(pool, source, name)
        while True:
            kept = [index for index in range(len(source.labels)) if index not in failures]
            if not kept:
                return _Written(source, [], failures, [], source.labels[:0], [], [])
            canvas = (max(sizes[index][0] for index in kept), max(sizes[index][1] for index in kept))
            path = None if streamed else folder / f"{name}.images.npy"
            chunks = _decode(pool, source, kept, canvas, path, name)
            found = {index: why for chunk in chunks for index, why in chunk.failures.items()}
            failures |= found
            if not (found and skip_corrupt):
                break
    labels = source.labels[kept]
    _save(folder / f"{name}.sizes.npy", np.array([sizes[index] for index in kept], dtype=np.int32))
    _save(folder / f"{name}.labels.npy", labels)
    if path is None:
        assert source.paths is not None
        _save(folder / f"{name}.paths.npy", paths_array([source.paths[index] for index in kept]))
    else:
        with open(path, "rb+") as handle:
            os.fsync(handle.fileno())
    digests = [digest for chunk in chunks for _, digest in sorted(chunk.digests.items())]
    mean, std = _mean_and_std(chunks)
    return _Written(source, kept, failures, digests, labels, mean, std)


def _measure(pool: ThreadPoolExecutor, source: _Source, name: str) -> tuple[dict[int, tuple[int, int]], dict[int, str]]:
    def task(indices: Sequence[int]) -> list[tuple[int, tuple[int, int] | str]]:
        found: list[tuple[int, tuple[int, int] | str]] = []
        for index in indices:
            try:
                found.append((index, source.measure(index)))
            except Unreadable as error:
                found.append((index, str(error)))
        return found

    sizes: dict[int, tuple[int, int]] = {}
    failures: dict[int, str] = {}
    for result in tracked(pool, task, range(len(source.labels)), 256, f"measure {name}"):
        for index, value in result:
            if isinstance(value, str):
                failures[index] = value
            else:
                sizes[index] = value
    return sizes, failures


def _decode(
    pool: ThreadPoolExecutor,
    source: _Source,
    kept: Sequence[int],
    canvas: tuple[int, int],
    path: Path | None,
    name: str,
) -> list[_Chunk]:
    """Decode the pictures `kept` into rows of `path`, canvases (N, 3, H, W); None: into nothing."""
    stride = 3 * canvas[0] * canvas[1]
    if path is not None:
        start = np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(len(kept), 3, *canvas)).offset

    def task(rows: Sequence[int]) -> _Chunk:
        canvases = np.zeros((len(rows), 3, *canvas), dtype=np.uint8)
        chunk = _decode_chunk(source, [kept[row] for row in rows], canvases)
        if path is not None:
            # Written, not mapped: a full disk is then an OSError and no bus error.
            with open(path, "rb+") as handle:
                handle.seek(start + rows[0] * stride)
                handle.write(canvases.data)
        return chunk

    length = min(256, max(1, CHUNK_BYTES // stride))
    return list(tracked(pool, task, range(len(kept)), length, f"decode {name}"))


def _decode_chunk(source: _Source, indices: Sequence[int], canvases: np.ndarray) -> _Chunk:
    digests: dict[int, bytes] = {}
    failures: dict[int, str] = {}
    sums, squares, pixels = np.zeros(3, dtype=np.int64), np.zeros(3, dtype=np.int64), 0
    for row, index in enumerate(indices):
        try:
            picture = source.picture(index)
        except Unreadable as error:
            failures[index] = str(error)
            continue
        height, width = picture.shape[1:]
        canvases[row, :, :height, :width] = picture
        digests[index] = picture_digest(picture)
        wide = picture.reshape(3, -1).astype(np.int32)
        sums += wide.sum(axis=1, dtype=np.int64)
        squares += np.einsum("cp,cp->c", wide, wide, dtype=np.int64)
        pixels += height * width
    return _Chunk(digests, failures, sums, squares, pixels)


def tracked(
    pool: ThreadPoolExecutor, task: Callable[[Sequence[int]], Any], rows: range, length: int, title: str
) -> Iterable[Any]:
    """What `task` gives for each `length` of the rows, in order, under a progress bar."""
    parts = [rows[start : start + length] for start in range(0, len(rows), length)]
    with tqdm(desc=title, total=len(rows), unit=" images", disable=None, delay=2) as progress:
        for part, result in zip(parts, pool.map(task, parts), strict=True):
            progress.update(len(part))
            yield result


def _save(path: Path, array: np.ndarray) -> None:
    with open(path, "wb") as handle:
        np.save(handle, array, allow_pickle=False)
        handle.flush()
        os.fsync(handle.fileno())


def _mean_and_std(chunks: Iterable[_Chunk]) -> tuple[list[float], list[float]]:
    """Per channel, of values in [0, 1], over every pixel of every picture; from exact integer sums."""
    sums = np.sum([chunk.sums for chunk in chunks], axis=0)
    squares = np.sum([chunk.squares for chunk in chunks], axis=0)
    pixels = max(1, sum(chunk.pixels for chunk in chunks))
    mean = sums / pixels
    variance = np.maximum(squares / pixels - mean**2, 0)
    return (mean / 255).tolist(), (np.sqrt(variance) / 255).tolist()


def _check_classes(written: Mapping[str, _Written], classes: Sequence[str]) -> None:
    for name, split in written.items():
        counts = np.bincount(split.labels[split.labels >= 0], minlength=len(classes))
        if len(counts) > len(classes):
            raise ValueError(f"split {name} has labels beyond its {len(classes)} classes")
        if (counts == 0).any():
            raise UserError(f"No readable image of class '{classes[int(np.argmin(counts))]}' in the {name} split.")


def picture_digest(picture: np.ndarray) -> bytes:
    """SHA-256 of a picture (3, h, w) uint8: its size and pixels."""
    return hashlib.sha256(np.array(picture.shape[1:], dtype="<i8").tobytes() + picture.tobytes()).digest()


def fingerprint(splits: Mapping[str, tuple[Sequence[bytes], np.ndarray]], classes: Sequence[str]) -> str:
    """SHA-256 over class names and, per split, the pictures' own digests and the labels (N,), in order."""
    total = hashlib.sha256(json.dumps(list(classes)).encode())
    for name, (digests, labels) in sorted(splits.items()):
        total.update(f"{name} {len(digests)}".encode())
        total.update(b"".join(digests))
        total.update(labels.astype("<i8").tobytes())
    return total.hexdigest()


def _duplicates(written: Mapping[str, _Written]) -> list[dict[str, Any]]:
    """Groups of pictures that are equal pixel by pixel."""
    groups: dict[bytes, list[tuple[str, int]]] = defaultdict(list)
    for name, split in written.items():
        for row, digest in enumerate(split.digests):
            groups[digest].append((name, row))
    return [_group(written, members) for members in groups.values() if len(members) > 1]


def _group(written: Mapping[str, _Written], members: Sequence[tuple[str, int]]) -> dict[str, Any]:
    labels = [int(written[name].labels[row]) for name, row in members]
    pictures = []
    for (name, row), label in zip(members, labels, strict=True):
        split = written[name]
        pictures.append({"split": name, "row": row, "label": label, "path": _name(split.source, split.kept[row])})
    return {
        "across_splits": len({name for name, _ in members}) > 1,
        "conflicting_labels": len({label for label in labels if label >= 0}) > 1,
        "pictures": pictures,
    }
