"""Lists image files in class folders: `<split>/<class>/**/<image>`, everything in sorted order."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from bench.api import ImageFiles, RawData
from bench.errors import UserError

SUFFIXES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
IGNORED = ("__MACOSX", "@eaDir")


def read_splits(folders: Mapping[str, Path]) -> RawData:
    """Raw data of `{'train': folder, 'test': folder}`; every split must have the same classes.

    Raises UserError, saying what was found, for differing, single or empty classes and for folders without any.
    """
    splits, classes = {}, {}
    for name, folder in folders.items():
        classes[name], splits[name] = read_classes(folder)
    if classes["train"] != classes["test"]:
        raise UserError(
            f"{folders['train']} and {folders['test']} hold different classes: "
            f"{_difference(classes['train'], classes['test'])} only in the first, "
            f"{_difference(classes['test'], classes['train'])} only in the second."
        )
    return RawData(classes["train"], splits)


def read_classes(folder: Path) -> tuple[list[str], ImageFiles]:
    """Class names of one folder of class folders and its files, labelled by the position of their class."""
    classes = class_folders(folder)
    if not classes:
        found = f"{len(image_files(folder))} images, but no class folders" if image_files(folder) else "no images"
        raise UserError(f"{folder} holds {found}; expected is {folder}/<class>/<image>.")
    if len(classes) == 1:
        raise UserError(f"{folder} holds a single class folder, '{classes[0]}'; at least two are needed.")
    paths: list[Path] = []
    labels: list[int] = []
    for label, name in enumerate(classes):
        files = image_files(folder / name)
        if not files:
            raise UserError(f"Class folder {folder / name} holds no image files ({', '.join(SUFFIXES)}).")
        paths += files
        labels += [label] * len(files)
    return classes, ImageFiles(paths, labels)


def class_folders(folder: Path) -> list[str]:
    """Sorted names of the folders in `folder`, hidden ones left out."""
    with os.scandir(folder) as entries:
        return sorted(entry.name for entry in entries if entry.is_dir() and not _ignored(entry.name))


def image_files(folder: Path) -> list[Path]:
    """Sorted paths of the image files in `folder` and below it, by the ending of their names, hidden ones left out."""
    found = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if not _ignored(name)]
        found += [os.path.join(parent, name) for name in files if name.lower().endswith(SUFFIXES) and name[0] != "."]
    return [Path(path) for path in sorted(found)]


def _ignored(name: str) -> bool:
    return name[0] == "." or name in IGNORED


def _difference(some: Sequence[str], others: Sequence[str]) -> str:
    names = sorted(set(some) - set(others))
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "") or "none"
