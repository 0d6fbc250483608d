"""Files that appear whole or not at all: written beside their place, flushed to the disk, then renamed."""

from __future__ import annotations

import errno
import json
import os
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any


def write_atomically(
    path: Path, write: Callable[[Path], object], before_rename: Callable[[], None] | None = None
) -> None:
    """Let `write` fill a temporary file in the same folder, fsync it, and rename it to `path`.

    `before_rename` runs after the file is on the disk and before it takes its name; if it raises, `path` is
    untouched. The temporary file is removed on every failure (OSError for a full disk or a read-only folder
    reaches the caller).
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        write(temporary)
        with open(temporary, "rb+") as handle:
            os.fsync(handle.fileno())
        if before_rename is not None:
            before_rename()
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)


def write_text(path: Path, text: str, before_rename: Callable[[], None] | None = None) -> None:
    """`write_atomically` for UTF-8 text."""
    write_atomically(path, lambda temporary: temporary.write_text(text, encoding="utf-8"), before_rename)


def write_json(path: Path, value: Any, before_rename: Callable[[], None] | None = None) -> None:
    """`write_atomically` for JSON, indented, keys in the order given; NaN and infinity are refused (ValueError)."""
    write_text(path, json.dumps(value, indent=2, allow_nan=False) + "\n", before_rename)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk, so that a rename survives a power cut, where the file system can do so."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # SMB, some FUSE file systems
            raise
    finally:
        os.close(descriptor)
