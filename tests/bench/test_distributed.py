"""What processes of one run tell each other, and how they notice that one is gone: with three gloo processes."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from bench import distributed
from bench.errors import UserError
from bench.group import JOINING, _joining, _meeting_point

ROOT = Path(__file__).parents[2]
PROCESSES = 3
SCRIPT = """
import json, os, sys, time, torch
from bench import distributed, interrupt
from bench.pace import Pace

torch.set_num_threads(1)
assert distributed.from_environment(torch.device("cpu")) == torch.device("cpu")
rank = distributed.rank()
mine = {"rank": rank, "text": "ä", "none": None, "rows": [1.5, (2, True)], "tensor": torch.full((2,), rank)}
shared = distributed.share(mine)
shared["tensor"] = shared["tensor"].tolist()
gathered = distributed.gather(torch.tensor([rank, 10 * rank])).tolist()

pace, stops = Pace(1e9), None
for step in range(2000):
    if rank == 1 and step == 20:
        interrupt.request()
    time.sleep(0.001 * (1 + rank))  # of different speed
    due, stop = pace.after_step()
    assert not due
    if stop:
        stops = step
        break
print(json.dumps({"shared": shared, "gathered": gathered, "size": distributed.size(), "stops": stops}), flush=True)
if sys.argv[1] == "lose" and rank == 1:
    os._exit(0)  # as if killed
try:
    distributed.share(rank)
except RuntimeError as error:
    os._exit(5 if distributed.is_lost_peer(error) else 6)
distributed.leave()
distributed.leave()
assert distributed.size() == 1 and distributed.leads()
"""


@pytest.fixture
def start(tmp_path):
    """Exit codes and printed lines of three processes."""
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)

    def run(word):
        store = _meeting_point()
        started = [
            subprocess.Popen(
                [sys.executable, script, word],
                env={**os.environ, **_joining(rank, PROCESSES, store.port), "PYTHONPATH": str(ROOT)},
                stdout=subprocess.PIPE,
                text=True,
            )
            for rank in range(PROCESSES)
        ]
        printed = [process.communicate(timeout=300)[0] for process in started]
        return [process.returncode for process in started], [json.loads(text) for text in printed]

    return run


@pytest.mark.slow
def test_they_share_gather_and_stop_at_one_step(start):
    codes, results = start("keep")
    assert codes == [0] * PROCESSES
    for result in results:
        assert result["shared"] == {"rank": 0, "text": "ä", "none": None, "rows": [1.5, [2, True]], "tensor": [0, 0]}
        assert result["gathered"] == [[0, 0], [1, 10], [2, 20]]
        assert result["size"] == PROCESSES
        assert result["stops"] == results[0]["stops"] >= 20


@pytest.mark.slow
def test_one_that_is_gone_is_noticed_at_once(start):
    begun = time.monotonic()
    assert start("lose")[0] == [5, 0, 5]
    assert time.monotonic() - begun < distributed.TIMEOUT.total_seconds() / 10


def test_alone_everything_is_ones_own(monkeypatch):
    for name in JOINING:
        monkeypatch.delenv(name, raising=False)
    device = torch.device("cpu")
    assert distributed.from_environment(device) is device
    value = {"anything": object()}
    assert distributed.share(value) is value
    assert distributed.gather(torch.tensor([3.0])).tolist() == [[3.0]]
    assert (distributed.size(), distributed.rank(), distributed.leads()) == (1, 0, True)


def test_an_environment_that_says_half_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("MASTER_ADDR", raising=False)
    with pytest.raises(UserError, match="MASTER_ADDR"):
        distributed.from_environment(torch.device("cpu"))


@pytest.mark.parametrize("message", ["CUDA out of memory", "size mismatch", "expected a matrix"])
def test_ordinary_errors_are_not_lost_processes(message):
    assert not distributed.is_lost_peer(RuntimeError(message))
    assert not distributed.is_lost_peer(ValueError("gloo/"))


@pytest.mark.parametrize("others", [1, 2])
def test_two_processes_on_one_gpu_are_refused_before_nccl_is(monkeypatch, others):
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="GPU-1"))
    monkeypatch.setattr(distributed, "size", lambda: 2)
    monkeypatch.setattr(distributed, "gather", lambda own: torch.stack([own, own * others]))
    if others == 1:
        with pytest.raises(UserError, match="have the same GPU"):
            distributed._check_own_gpus(torch.device("cuda", 0))
    else:
        distributed._check_own_gpus(torch.device("cuda", 0))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_process_without_a_gpu_says_so(monkeypatch):
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(UserError, match="finds no GPU"):
        distributed._own_gpu()
