"""Files appear whole or not at all."""

import errno
import os
import stat
from contextlib import nullcontext

import pytest

from bench.files import write_atomically, write_json, write_text


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    target = tmp_path / "deep" / "file.txt"
    write_text(target, "old")

    def half(path):
        path.write_text("ne")
        raise OSError(28, "No space left on device")

    with pytest.raises(OSError, match="No space"):
        write_atomically(target, half)
    assert target.read_text() == "old"
    assert [path.name for path in target.parent.iterdir()] == ["file.txt"]


def test_the_last_check_can_stop_the_rename(tmp_path):
    def refuse():
        raise RuntimeError("not ours any more")

    with pytest.raises(RuntimeError, match="not ours"):
        write_text(tmp_path / "file.txt", "new", before_rename=refuse)
    assert list(tmp_path.iterdir()) == []


def test_json_holds_no_nan(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "file.json", {"value": float("nan")})
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("number", "matters"), [(errno.EINVAL, False), (errno.ENOTSUP, False), (errno.EIO, True)])
def test_a_file_system_that_cannot_flush_a_folder_is_no_broken_one(tmp_path, monkeypatch, number, matters):
    fsync = os.fsync

    def refuse_folders(descriptor):
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(number, "refused")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", refuse_folders)
    with pytest.raises(OSError, match="refused") if matters else nullcontext():
        write_text(tmp_path / "file.txt", "new")
