"""Splits that are lists of names beside a folder of pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from bench.api import ImageFiles
from bench.datasets._imagefolder import image_files
from bench.errors import UserError


def lines(path: Path) -> list[str]:
    """The lines of a list that are not empty. Raises UserError where it is missing or no text."""
    try:
        text = path.read_text(encoding="utf-8")
    except (FileNotFoundError, UnicodeDecodeError) as error:
        raise UserError(f"{path} is missing or damaged; unpack the archive again.") from error
    return [line.strip() for line in text.splitlines() if line.strip()]


def listed(folder: Path, names: Sequence[str], labels: Sequence[int]) -> ImageFiles:
    """The pictures `folder / name` with their labels. Raises UserError where one of them is missing."""
    there = set(image_files(folder)) if folder.is_dir() else set()
    paths = [folder / name for name in names]
    missing = next((path for path in paths if path not in there), None)
    if missing is not None:
        raise UserError(f"{missing} is listed, but missing; unpack the archive again.")
    return ImageFiles(paths, labels)
