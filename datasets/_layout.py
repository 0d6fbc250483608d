"""Where an archive's folder may lie."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path


def unpacked(data_root: Path, name: str) -> Path | None:
    """`data_root/name`, or `data_root` itself where it is that folder; None when there is neither."""
    if (data_root / name).is_dir():
        return data_root / name
    return data_root if data_root.name == name and data_root.is_dir() else None


def holding(data_root: Path, name: str, entries: Sequence[str]) -> Path | None:
    """The folder `name` as in `unpacked`, or within one of that name, that has all of `entries`; None without one."""
    candidates = [data_root / name / name, data_root / name, *([data_root] if data_root.name == name else [])]
    return next((one for one in candidates if all((one / entry).exists() for entry in entries)), None)
