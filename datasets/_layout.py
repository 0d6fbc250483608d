"""Where an archive's folder may lie."""

from __future__ import annotations

from pathlib import Path


def unpacked(data_root: Path, name: str) -> Path | None:
    """`data_root/name`, or `data_root` itself where it is that folder; None when there is neither."""
    if (data_root / name).is_dir():
        return data_root / name
    return data_root if data_root.name == name and data_root.is_dir() else None
