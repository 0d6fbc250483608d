from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from bench.datasets._unpack import unpack
from bench.errors import UserError


def tar_with(path: Path, *members: tuple[str, bytes | None, bytes]) -> Path:
    """A .tgz of (name, content or None for a special member, type) members."""
    with tarfile.open(path, "w:gz") as archive:
        for name, content, kind in members:
            info = tarfile.TarInfo(name)
            info.type = kind
            info.linkname = "a/inside" if kind in (tarfile.SYMTYPE, tarfile.LNKTYPE) else ""
            info.size = len(content or b"")
            archive.addfile(info, io.BytesIO(content or b""))
    return path


def left_in(folder: Path, archive: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path != archive)


def test_tar_and_zip_are_unpacked_and_nothing_else_is_left(tmp_path: Path) -> None:
    archive = tar_with(tmp_path / "a.tgz", ("a", None, tarfile.DIRTYPE), ("a/b/c.txt", b"tar", tarfile.REGTYPE))
    unpack(archive, tmp_path)
    assert (tmp_path / "a/b/c.txt").read_bytes() == b"tar"
    assert left_in(tmp_path, archive) == ["a"]
    other = tmp_path / "other"
    other.mkdir()
    with zipfile.ZipFile(other / "z.zip", "w") as zipped:
        zipped.writestr("z/c.txt", "zip")
    unpack(other / "z.zip", other)
    assert (other / "z/c.txt").read_text() == "zip"
    assert left_in(other, other / "z.zip") == ["z"]


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../evil", tarfile.REGTYPE),
        ("good/../../evil", tarfile.REGTYPE),
        ("/tmp/evil", tarfile.REGTYPE),
        ("link", tarfile.SYMTYPE),
        ("hard", tarfile.LNKTYPE),
        ("device", tarfile.CHRTYPE),
        ("pipe", tarfile.FIFOTYPE),
    ],
)
def test_malicious_tar_is_refused_by_member_and_leaves_nothing(tmp_path: Path, name: str, kind: bytes) -> None:
    content = b"x" if kind == tarfile.REGTYPE else None
    root = tmp_path / "root"
    root.mkdir()
    archive = tar_with(root / "bad.tgz", ("a/inside", b"fine", tarfile.REGTYPE), (name, content, kind))
    with pytest.raises(UserError, match=rf"member '{name}'"):
        unpack(archive, root)
    assert left_in(root, archive) == []
    assert left_in(tmp_path, root) == []


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "..\\evil", "C:\\evil"])
def test_malicious_zip_names_are_refused(tmp_path: Path, name: str) -> None:
    archive = tmp_path / "bad.zip"
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr(name, "x")
    with pytest.raises(UserError, match="is refused: its member"):
        unpack(archive, tmp_path)
    assert left_in(tmp_path, archive) == []


def test_link_in_a_zip_is_refused(tmp_path: Path) -> None:
    archive = tmp_path / "bad.zip"
    info = zipfile.ZipInfo("link")
    info.external_attr = 0o120777 << 16
    with zipfile.ZipFile(archive, "w") as zipped:
        zipped.writestr(info, "/etc/passwd")
    with pytest.raises(UserError, match="'link' is a link"):
        unpack(archive, tmp_path)


@pytest.mark.parametrize("suffix", ["tgz", "zip"])
def test_truncated_archive_is_refused_and_leaves_nothing(tmp_path: Path, suffix: str) -> None:
    archive = tmp_path / f"cut.{suffix}"
    content = bytes(range(256)) * 4000
    if suffix == "zip":
        with zipfile.ZipFile(archive, "w") as zipped:
            zipped.writestr("a/b", content)
    else:
        tar_with(archive, ("a/b", content, tarfile.REGTYPE))
    archive.write_bytes(archive.read_bytes()[: archive.stat().st_size // 2])
    with pytest.raises(UserError, match="damaged or no archive"):
        unpack(archive, tmp_path)
    assert left_in(tmp_path, archive) == []


def test_what_is_already_there_is_not_touched(tmp_path: Path) -> None:
    archive = tar_with(tmp_path / "a.tgz", ("a/new", b"new", tarfile.REGTYPE))
    (tmp_path / "a").mkdir()
    with pytest.raises(UserError, match="already there"):
        unpack(archive, tmp_path)
    assert list((tmp_path / "a").iterdir()) == []


def test_what_a_killed_process_left_is_cleared_away(tmp_path: Path) -> None:
    archive = tar_with(tmp_path / "a.tgz", ("a/new", b"new", tarfile.REGTYPE))
    (tmp_path / ".a.tgz.unpacking/a").mkdir(parents=True)
    (tmp_path / ".a.tgz.unpacking/a/half").touch()
    unpack(archive, tmp_path)
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["new"]
    assert left_in(tmp_path, archive) == ["a"]


def test_empty_archive_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is empty"):
        unpack(tar_with(tmp_path / "a.tgz"), tmp_path)
