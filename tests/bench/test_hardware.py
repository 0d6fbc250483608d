"""Peak memory: of the run at hand, not of what ran in the same process before."""

import os
import subprocess
import sys

import pytest

from bench.group import KEEP_MEMORY

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
