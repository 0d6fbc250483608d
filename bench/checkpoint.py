"""The state of an unfinished run: the newest two files, each checked whole by its digest and loaded without unpickling.

A file is what torch.save gives, followed by its SHA-256: torch itself notices a file cut short but no changed byte.
"""

from __future__ import annotations

import hashlib
import io
import os
import pickle
from pathlib import Path
from typing import Any

import torch

from bench.files import write_atomically
from bench.store import RunFolder

DIGEST_BYTES = hashlib.sha256().digest_size


class Unusable(Exception):
    """A checkpoint that cannot be believed; the message says why."""


def save(folder: RunFolder, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings, lists and dictionaries of them) whole or not at all; the file before
    it is kept, an older one is not."""
    buffer = io.BytesIO()  # torch hides an OSError of the disk, such as a full one, behind a RuntimeError
    torch.save({"run": folder.run_id, **state}, buffer)
    buffer.write(hashlib.sha256(buffer.getbuffer()).digest())

    def keep_previous() -> None:
        folder.lock.check()
        if folder.checkpoint.exists():
            os.replace(folder.checkpoint, folder.previous_checkpoint)

    write_atomically(folder.checkpoint, lambda path: path.write_bytes(buffer.getbuffer()), keep_previous)


def load(folder: RunFolder) -> tuple[dict[str, Any] | None, list[str]]:
    """The newest usable state, None where there is none (the run then starts anew), and what was wrong with others.

    An unusable file (damaged, of another run, or one that would run code) is set aside as *.damaged, so that nothing is
    lost and nobody takes it for the next one's predecessor.
    """
    problems: list[str] = []
    for path in (folder.checkpoint, folder.previous_checkpoint):
        if not path.exists():
            continue
        try:
            return _read(path, folder.run_id), problems
        except Unusable as error:
            folder.lock.check()
            path.replace(path.with_suffix(".damaged"))
            problems.append(f"{path.name} was not usable ({error}); it is kept as {path.stem}.damaged")
    return None, problems


def remove(folder: RunFolder) -> None:
    """Of a run that has ended."""
    folder.remove(folder.checkpoint)
    folder.remove(folder.previous_checkpoint)


def _read(path: Path, run_id: str) -> dict[str, Any]:
    content = memoryview(path.read_bytes())
    state, digest = content[:-DIGEST_BYTES], content[-DIGEST_BYTES:]
    if hashlib.sha256(state).digest() != digest:
        raise Unusable("its digest does not fit: it is cut short or changed")
    try:
        values = torch.load(io.BytesIO(state), map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError, ValueError, KeyError) as error:
        raise Unusable(str(error).splitlines()[0] if str(error) else type(error).__name__) from error
    if not isinstance(values, dict) or values.get("run") != run_id:
        raise Unusable("it belongs to another run")
    return values
