"""Reads CIFAR's binary archives: records of label bytes and 3 x 32 x 32 pixels, channel by channel, row by row."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench.api import ImageArrays
from bench.errors import UserError

PIXELS = 3 * 32 * 32


def read_records(paths: list[Path], records: int, label_bytes: int, classes: int) -> ImageArrays:
    """Pictures of `records` records in each file, labelled by the last of its `label_bytes`.

    Raises UserError for a missing file, a wrong length or a label beyond `classes`.
    """
    parts = []
    for path in paths:
        length = records * (label_bytes + PIXELS)
        if not path.is_file():
            raise UserError(f"{path} is missing; unpack the archive again.")
        if path.stat().st_size != length:
            raise UserError(f"{path} has {path.stat().st_size} bytes, not {length}; unpack the archive again.")
        parts.append(np.fromfile(path, dtype=np.uint8).reshape(records, label_bytes + PIXELS))
    table = np.concatenate(parts)
    labels = table[:, label_bytes - 1].astype(np.int64)
    if labels.max() >= classes:
        raise UserError(f"{paths[0].parent} has label {labels.max()}, but {classes} classes; unpack the archive again.")
    return ImageArrays(table[:, label_bytes:].reshape(-1, 3, 32, 32), labels)


def read_names(path: Path, classes: int) -> list[str]:
    """Class names, one per line. Raises UserError when the file is missing or holds another number of them."""
    names = path.read_text(encoding="utf-8").split() if path.is_file() else []
    if len(names) != classes:
        raise UserError(f"{path} holds {len(names)} class names, not {classes}; unpack the archive again.")
    return names
