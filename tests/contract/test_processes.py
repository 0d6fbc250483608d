"""Two processes of half a batch train exactly as one process of the whole batch, for every method and its variants."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

pytestmark = pytest.mark.slow

SCRIPT, ROOT = Path(__file__).parent / "trajectory.py", Path(__file__).parents[2]
QUEUED = "swav:augment.local_views=1:queue_start=0"
"""Assigned over batch and queue from the second step on; at its defaults the queue waits longer than these steps."""
FLOAT32_ALONE = {"solo/barlow": "solo-learn's function makes a BatchNorm1d in float32"}


@pytest.fixture(scope="module")
def trajectories(tmp_path_factory, arms):
    """Of one process, and of each of two."""
    folder = tmp_path_factory.mktemp("processes")

    def start(rank, processes):
        result = folder / f"{processes}-{rank}.pt"
        arguments = [str(rank), str(processes), str(folder / "rendezvous"), str(result), *arms, QUEUED]
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
        return subprocess.Popen([sys.executable, str(SCRIPT), *arguments], env=environment), result

    started = [start(0, 1), start(0, 2), start(1, 2)]
    assert [process.wait(timeout=300) for process, _ in started] == [0, 0, 0]
    return [torch.load(result, weights_only=True) for _, result in started]


def test_two_processes_are_one(arm, trajectories):
    assert_equal(arm, trajectories)


def test_two_processes_assign_one_queue_with_a_local_view(trajectories):
    assert_equal(QUEUED, trajectories)
    assert [float(results[QUEUED]["state"]["queue_in_use"]) for results in trajectories] == [1, 1, 1]


def assert_equal(arm, trajectories):
    one, first, second = (results[arm] for results in trajectories)
    rounding = 1e-5 if arm in FLOAT32_ALONE else 1e-9
    for whole, a, b in zip(one["losses"], first["losses"], second["losses"], strict=True):
        assert torch.isclose(whole, (a + b) / 2, rtol=rounding)
    for whole, a, b in zip(one["gradients"], first["gradients"], second["gradients"], strict=True):
        halves = torch.cat([a, b]) / 2
        assert torch.allclose(whole, halves, rtol=100 * rounding, atol=rounding * float(whole.abs().max()))
    for key, value in one["state"].items():
        for other in (first, second):
            assert torch.allclose(value, other["state"][key], rtol=100 * rounding, atol=rounding / 1000), key
