"""Peak memory: of the run at hand, not of what ran in the same process before. What a process does for its device."""

import os
import subprocess
import sys

import pytest
import torch

from bench.group import KEEP_MEMORY
from bench.hardware import is_lost, prepare_process

AFTER_A_LARGER_RUN = """
import torch
from bench.hardware import peak_memory_mib, reset_peak_memory

cpu = torch.device("cpu")
reset_peak_memory(cpu)
before = peak_memory_mib(cpu)
large = [torch.ones(2**20) for _ in range(128)]
during = peak_memory_mib(cpu)
kept = torch.ones(2**20)  # lies behind them in the heap
del large
reset_peak_memory(cpu)
print(during - before, peak_memory_mib(cpu) - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the peak cannot be reset")
def test_a_run_does_not_inherit_the_memory_of_an_earlier_one():
    done = subprocess.run(
        [sys.executable, "-c", AFTER_A_LARGER_RUN],
        env={**os.environ, **KEEP_MEMORY},
        check=True,
        capture_output=True,
        text=True,
    )
    during, after = map(float, done.stdout.split())
    assert during > 500
    assert after < 50


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
