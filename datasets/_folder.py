"""A folder that appears whole or not at all, made by one process at a time."""

from __future__ import annotations

import errno
import fcntl
import os
import re
import shutil
import sys
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench.files import sync_folder

WITHOUT_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP)


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """Hold the folder's lock, which the kernel frees when its holder dies, and clear away what a killed one left."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    with open(folder.with_name(f".{folder.name}.lock"), "w") as handle:
        try:
            _lock(handle.fileno(), folder.name)
        except OSError as error:
            if error.errno not in WITHOUT_LOCKS:
                raise
            print(
                f"{folder.parent} has no file locks: prepare {folder.name} in one process at a time.", file=sys.stderr
            )
        else:
            leftover = re.compile(rf"\.{re.escape(folder.name)}\.[0-9a-f]{{32}}\.partial")
            for path in folder.parent.iterdir():
                if leftover.fullmatch(path.name):
                    shutil.rmtree(path)
        yield


def _lock(descriptor: int, key: str) -> None:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"Another process is preparing {key}; waiting for it.", file=sys.stderr)
        fcntl.flock(descriptor, fcntl.LOCK_EX)


def temporary(folder: Path) -> Path:
    """A new name beside it, which `alone` clears away where whoever took it was killed."""
    return folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.partial")


def replace(made: Path, folder: Path) -> None:
    """Put what was made in place of a stale folder; who has that open keeps reading it."""
    if folder.exists():
        stale = temporary(folder)
        os.rename(folder, stale)
        os.rename(made, folder)
        shutil.rmtree(stale)
    else:
        os.rename(made, folder)
    sync_folder(folder.parent)
