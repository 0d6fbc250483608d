"""Which errors are the output folder's, and what becomes of those that are not."""

import errno
import json
import os
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from bench import distributed, run, worker
from bench.errors import UserError
from bench.lock import Lock
from bench.run import Settings
from bench.store import RunFolder, disk_errors, disk_trouble

OUTPUT = Path("/somewhere/runs")
INSIDE, ABOVE, ELSEWHERE = "/somewhere/runs/digits/x", "/somewhere", "/elsewhere/model.pt"


def error(number, name=None):
    return OSError(number, os.strerror(number), name) if name else OSError(number, os.strerror(number))


@pytest.mark.parametrize("name", [INSIDE, ABOVE, str(OUTPUT), None])
@pytest.mark.parametrize(
    ("number", "line"),
    [
        (errno.ENOSPC, "No space left under /somewhere/runs"),
        (errno.EDQUOT, "No space left under /somewhere/runs"),
        (errno.EROFS, "choose another place"),
        (errno.EACCES, "choose another place"),
        (errno.EPERM, "choose another place"),
        (errno.EIO, "The disk of /somewhere/runs fails (Input/output error)"),
        (errno.ESTALE, "The disk of /somewhere/runs fails"),
    ],
)
def test_what_the_disk_refuses_is_one_line_that_names_the_output_folder(number, line, name):
    with pytest.raises(UserError) as caught, disk_errors(OUTPUT):
        raise error(number, name)
    assert line in str(caught.value)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.EIO, errno.EEXIST])
def test_a_file_elsewhere_is_not_the_output_folders(number):
    assert disk_trouble(error(number, ELSEWHERE), OUTPUT) is None


@pytest.mark.parametrize("name", [INSIDE, ELSEWHERE, None])
@pytest.mark.parametrize("number", [errno.ENOENT, errno.ECONNREFUSED, errno.EMFILE])
def test_other_errors_reach_the_caller_as_they_are(number, name):
    with pytest.raises(OSError, match=os.strerror(number)), disk_errors(OUTPUT):
        raise error(number, name)


def test_an_output_that_is_a_file_is_one_line(tmp_path):
    (tmp_path / "runs").write_text("a file")
    for folder in (tmp_path / "runs", tmp_path / "runs" / "monday"):
        with pytest.raises(UserError, match="choose another place"), disk_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)


@pytest.fixture
def carry_out(tmp_path, monkeypatch):
    """One run whose own code raises this error, as a worker carries it out."""

    def carry(raised):
        def inside(*_):
            raise raised

        monkeypatch.setattr(run, "_execute", inside)
        folder = RunFolder(tmp_path, "digits/smi/0a/seed0")
        assert folder.lock.acquire()
        spec = SimpleNamespace(id=folder.run_id)
        datasets, settings = SimpleNamespace(load=lambda spec: None), Settings(tmp_path, torch.device("cpu"), 1, 120)
        return folder, worker._carry_out(spec, datasets, folder, folder.lock.token, settings)

    return carry


def test_a_file_that_a_runs_own_code_misses_is_the_runs_failure(carry_out):
    folder, done = carry_out(error(errno.ENOENT, ELSEWHERE))
    assert done
    result = json.loads((folder.path / "result.json").read_text())
    assert result["status"] == "failed"
    assert result["reason"].startswith("FileNotFoundError")
    assert ELSEWHERE in result["reason"]
    assert "in inside" in (folder.path / "error.log").read_text()


def test_a_full_disk_is_not_the_runs_failure(carry_out, tmp_path):
    with pytest.raises(OSError, match="No space left"):
        carry_out(error(errno.ENOSPC))
    assert not list(tmp_path.rglob("result.json"))
    assert not list(tmp_path.rglob("lock"))


@pytest.mark.parametrize(
    "raised", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError(), RuntimeError("can't allocate memory: 9")]
)
def test_data_for_which_there_is_no_memory_are_one_line_and_not_the_runs_failure(tmp_path, monkeypatch, raised):
    def refuse(*_):
        raise raised

    spec, folder = SimpleNamespace(dataset=SimpleNamespace(name="digits")), RunFolder(tmp_path, "digits/smi/0a/seed0")
    datasets = worker._Datasets(tmp_path, None, torch.device("cpu"))
    monkeypatch.setattr(datasets, "_store", lambda spec: None)
    monkeypatch.setattr(worker, "load", refuse)
    assert folder.lock.acquire()
    with pytest.raises(UserError, match="No memory for the pictures of digits"):
        worker._carry_out(spec, datasets, folder, folder.lock.token, Settings(tmp_path, torch.device("cpu"), 1, 120))
    assert not list(folder.path.iterdir()), "neither a result nor a lock"


def test_a_run_that_lost_a_process_keeps_its_lock_as_that_of_a_dead_one(carry_out, tmp_path):
    with pytest.raises(distributed.BrokenUp):
        carry_out(RuntimeError("gloo/transport/tcp/pair.cc: Connection closed by peer"))
    (lock,) = tmp_path.rglob("lock")
    assert Lock(lock).owner() == os.getpid()


def test_a_run_whose_error_took_the_gpu_has_failed_and_ends_the_process(carry_out, tmp_path, monkeypatch):
    """In which every later run would fail as well."""
    monkeypatch.setattr(worker, "is_lost", lambda device: True)
    with pytest.raises(distributed.BrokenUp, match="digits/smi/0a/seed0 failed"):
        carry_out(RuntimeError("CUDA error: device-side assert triggered"))
    (result,) = tmp_path.rglob("result.json")
    assert json.loads(result.read_text())["status"] == "failed"
    assert not list(tmp_path.rglob("lock"))
