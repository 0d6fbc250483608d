"""The state of an unfinished run in one file, loaded without unpickling objects."""

from __future__ import annotations

import io
import pickle
from pathlib import Path
from typing import Any

import torch

from bench.store import RunFolder


def save(folder: RunFolder, state: dict[str, Any]) -> None:
    """Write `state` (tensors, numbers, strings, lists and dictionaries of them) whole or not at all."""
    buffer = io.BytesIO()  # torch hides an OSError of the disk, such as a full one, behind a RuntimeError
    torch.save({"run": folder.run_id, **state}, buffer)
    folder.write_binary(folder.checkpoint, lambda path: path.write_bytes(buffer.getbuffer()))


def load(folder: RunFolder) -> dict[str, Any] | None:
    """The state last saved; None when there is none or it is damaged or of another run (the run then starts anew).

    A damaged file is set aside as checkpoint.damaged, so that nothing is lost.
    """
    path = folder.checkpoint
    if not path.exists():
        return None
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
    except (RuntimeError, EOFError, pickle.UnpicklingError, ValueError, KeyError) as error:
        _set_aside(path, str(error).splitlines()[0] if str(error) else type(error).__name__)
        return None
    if not isinstance(state, dict) or state.get("run") != folder.run_id:
        _set_aside(path, "it belongs to another run")
        return None
    return state


def _set_aside(path: Path, reason: str) -> None:
    path.replace(path.with_suffix(".damaged"))
    print(
        f"{path} was not usable ({reason}); kept as {path.stem}.damaged, the run starts from its beginning", flush=True
    )
