"""Peak memory: of the run at hand, not of what ran in the same process before. What a process does for its device."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import hardware
from bench.hardware import is_lost, peak_memory_mib, prepare_process, reset_peak_memory

AFTER_A_LARGER_RUN = """
import torch
from bench.hardware import peak_memory_mib, prepare_process, reset_peak_memory

cpu = torch.device("cpu")
prepare_process(cpu, 1)
reset_peak_memory(cpu)
before = peak_memory_mib(cpu)
large = [torch.ones(2**20) for _ in range(128)]
during = peak_memory_mib(cpu)
kept = torch.ones(2**20)  # lies behind them in the heap
del large
reset_peak_memory(cpu)
print(during - before, peak_memory_mib(cpu) - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak cannot be reset")
def test_a_run_does_not_inherit_the_memory_of_an_earlier_one():
    done = subprocess.run([sys.executable, "-c", AFTER_A_LARGER_RUN], check=True, capture_output=True, text=True)
    during, after = map(float, done.stdout.split())
    assert during > 500
    assert after < 50


def resident(kind):
    """KiB of this process, from /proc."""
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return int(status[kind].split()[0])


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere they cannot be told apart")
def test_pictures_that_are_memory_mapped_are_not_counted(tmp_path):
    """Where they lie on a disk: the pages of a file on a tmpfs are memory."""
    np.save(tmp_path / "pictures.npy", np.ones(200 * 2**20, dtype=np.uint8))
    of_files = resident("RssFile")
    reset_peak_memory(torch.device("cpu"))
    before = peak_memory_mib(torch.device("cpu"))
    pictures = np.load(tmp_path / "pictures.npy", mmap_mode="r")
    assert int(pictures.sum()) == 200 * 2**20  # touches all
    if resident("RssFile") - of_files < 190 * 2**10:
        pytest.skip("the system counts this folder's pages as no file's")
    assert abs(peak_memory_mib(torch.device("cpu")) - before) < 20


PAGE_FAULTS = """
import resource, sys, torch
from bench.hardware import prepare_process

if sys.argv[1] == "prepared":
    prepare_process(torch.device("cpu"), 1)
for step in range(20):
    if step == 10:  # the heap has found its form
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    parts = [torch.zeros(2**23) for _ in range(4)]
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="a setting of glibc")
def test_a_step_finds_the_memory_of_the_one_before():
    def page_faults(*words):
        words = [sys.executable, "-c", PAGE_FAULTS, *words]
        return int(subprocess.run(words, check=True, capture_output=True, text=True).stdout)

    assert page_faults("prepared") < page_faults("plain") / 20


def test_a_gpu_without_a_number_is_the_current_one(monkeypatch):
    """As `--device auto` and `cuda` name it. torch's set_device refuses one, on any machine."""
    for owner, switch in ((torch.backends.cudnn, "allow_tf32"), (torch.backends.cudnn, "benchmark")):
        monkeypatch.setattr(owner, switch, getattr(owner, switch))  # as they were, afterwards
    prepare_process(torch.device("cuda"), torch.get_num_threads())
    assert torch.backends.cudnn.benchmark


def test_a_gpu_that_an_error_took_away_is_known(monkeypatch):
    def synchronize(device):
        raise RuntimeError("CUDA error: device-side assert triggered")

    assert not is_lost(torch.device("cpu"))
    monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
    assert not is_lost(torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "synchronize", synchronize)
    assert is_lost(torch.device("cuda"))


@pytest.fixture
def checkout(tmp_path, monkeypatch):
    """A repository with a copy of bench/hardware.py in it, which is the one that is asked, whatever the user's git."""
    for name in [name for name in os.environ if name.startswith("GIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setattr(hardware, "__file__", str(tmp_path / "bench/hardware.py"))
    for folder in hardware.CODE:
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "hardware.py").write_text("1\n")
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "methods", "bench")
    git(tmp_path, "commit", "--quiet", "-m", "one")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "-m", "two")
    return tmp_path


def git(folder, *words):
    who = ["-c", "user.name=A", "-c", "user.email=a@b"]
    return subprocess.run(["git", *who, *words], cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


def test_a_new_method_is_a_change_of_the_code_and_a_new_result_is_none(checkout):
    commit = git(checkout, "rev-parse", "HEAD")
    (checkout / "results").mkdir()
    (checkout / "results/report.md").write_text("1")
    assert hardware._git() == (commit, False)
    (checkout / "methods/mine.py").write_text("1")
    assert hardware._git() == (commit, True)


def test_a_repository_around_an_installation_is_not_its_source(checkout, monkeypatch):
    installed = checkout / ".venv/lib/bench/hardware.py"
    installed.parent.mkdir(parents=True)
    installed.touch()
    monkeypatch.setattr(hardware, "__file__", str(installed))
    assert hardware._git() == (None, False)
