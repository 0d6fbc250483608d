"""Unpacks tar and zip archives that nobody has vouched for: everything lands inside one folder, or nothing does."""

from __future__ import annotations

import lzma
import os
import shutil
import stat
import tarfile
import zipfile
import zlib
from pathlib import Path, PurePosixPath

from tqdm import tqdm

from bench.errors import UserError


def unpack(path: Path, data_root: Path, entry: str = "") -> None:
    """Unpack a .tar, .tgz, .tar.xz or .zip file into a temporary folder and move its top entries into `data_root`, or
    `entry` alone.

    Only plain files and folders with relative names are accepted. Raises UserError naming the member for a name with
    `..`, an absolute name, a link of any kind or a device, for a damaged archive, and when an entry of that name is
    already there; OSError when the disk is full. Nothing is left behind in these cases. One process at a time.
    """
    temporary = data_root / f".{path.name}.unpacking"
    if temporary.exists():  # of a process that was killed
        shutil.rmtree(temporary)
    temporary.mkdir(parents=True)
    try:
        try:
            if zipfile.is_zipfile(path):
                _unpack_zip(path, temporary)
            else:
                _unpack_tar(path, temporary)
        except tarfile.FilterError as error:
            raise _refused(path, error.tarinfo.name, "is unsafe") from error
        except (
            tarfile.TarError,
            zipfile.BadZipFile,
            zlib.error,
            lzma.LZMAError,
            EOFError,
            NotImplementedError,
        ) as error:
            raise UserError(f"{path} is damaged or no archive ({error}); delete it and download again.") from error
        _place(path, temporary, data_root, entry)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _unpack_tar(path: Path, folder: Path) -> None:
    with (
        open(path, "rb") as raw,
        tarfile.open(fileobj=raw) as archive,
        tqdm(
            desc=f"unpack {path.name}", total=path.stat().st_size, unit="B", unit_scale=True, disable=None, delay=2
        ) as progress,
    ):
        for member in archive:
            _check_name(path, member.name)
            if not (member.isreg() or member.isdir()):
                kind = "a link" if member.issym() or member.islnk() else "a device or other special file"
                raise _refused(path, member.name, f"is {kind}")
            archive.extract(member, folder, filter="data")
            progress.update(raw.tell() - progress.n)


def _unpack_zip(path: Path, folder: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        for member in tqdm(archive.infolist(), desc=f"unpack {path.name}", disable=None, delay=2):
            _check_name(path, member.filename)
            kind = stat.S_IFMT(member.external_attr >> 16)
            if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
                raise _refused(path, member.filename, "is a link" if kind == stat.S_IFLNK else "is a special file")
            archive.extract(member, folder)


def _check_name(path: Path, name: str) -> None:
    parts = PurePosixPath(name.replace("\\", "/"))
    if parts.is_absolute() or (len(name) > 1 and name[1] == ":"):
        raise _refused(path, name, "has an absolute name")
    if ".." in parts.parts:
        raise _refused(path, name, "leaves the folder")


def _refused(path: Path, name: str, why: str) -> UserError:
    return UserError(f"{path} is refused: its member '{name}' {why}.")


def _place(path: Path, temporary: Path, data_root: Path, entry: str) -> None:
    found = [temporary / entry] if entry else sorted(temporary.iterdir())
    if not found or not found[0].exists():
        raise UserError(f"{path} {f'holds no {entry}' if entry else 'is empty'}; delete it and download again.")
    for one in found:
        if (data_root / one.name).exists():
            raise UserError(f"{data_root / one.name} is already there, but incomplete: move it away and try again.")
    for one in found:
        os.rename(one, data_root / one.name)
