"""One run in two processes, which find each other through gloo: as one process, and as if never interrupted."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

ROOT, SCRIPT = Path(__file__).parents[2], Path(__file__).parent / "training.py"
SGD = ["optimizer.name=sgd", "optimizer.momentum=0.9", "optimizer.lr=0.01", "batch_size=64", "epochs=1"]

pytestmark = pytest.mark.slow


@pytest.fixture
def train(spec_of, data_root, tmp_path):
    """What each of `processes` saw and came to."""

    def run(processes, *words, stop_at=-1, method="smi"):
        spec = spec_of(*SGD, *words, method=method, processes=processes)
        folder = tmp_path / f"{processes}{len(list(tmp_path.iterdir()))}"
        folder.mkdir()
        results = [folder / f"{rank}.pt" for rank in range(processes)]
        started = []
        for rank, result in enumerate(results):
            last = str(stop_at if rank == processes - 1 else -1)
            text = json.dumps(spec.canonical())
            arguments = [rank, processes, folder / "meet", result, data_root, text, last]
            environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
            started.append(subprocess.Popen([sys.executable, SCRIPT, *map(str, arguments)], env=environment))
        assert [process.wait(timeout=500) for process in started] == [0] * processes
        return [torch.load(result, weights_only=True) for result in results]

    return run


@pytest.mark.parametrize("words", [["smi.gather=true"], ["smi.gather=true", "accumulate=2"]])
def test_two_processes_see_the_pictures_and_views_of_one_and_learn_the_same(train, words):
    """Not to the last digits: a difference of 1e-7 in the first weights turns some ReLU over within the 20 steps, and
    moves single weights by up to 1e-3. A gradient that is wrong by a part of it shows in how far all have moved."""
    (start,), (one,), two = train(1, *words, "optimizer.lr=0"), train(1, *words), train(2, *words)
    assert len(one["seen"]) == len(two[0]["seen"]) == len(two[1]["seen"]) > 10
    for whole, *parts in zip(one["seen"], *(each["seen"] for each in two), strict=True):
        assert torch.equal(whole[0], torch.cat([indices for indices, _ in parts]))
        for view, *shares in zip(whole[1], *(views for _, views in parts), strict=True):
            assert torch.equal(view, torch.cat(shares))
    for name, value in two[0]["state"].items():
        assert torch.equal(value, two[1]["state"][name]), f"{name} differs between the processes"
        moved = (one["state"][name] - start["state"][name]).norm()
        assert (value - one["state"][name]).norm() <= 0.02 * moved, name
    assert two[0]["rows"] == two[1]["rows"]
    (row,), (other,) = one["rows"], two[0]["rows"]
    assert other["loss"] == pytest.approx(row["loss"], rel=1e-3)


@pytest.mark.parametrize("words", [["smi.gather=true"], ["smi.gather=true", "accumulate=2"]])
def test_the_first_steps_are_those_of_one_process_to_the_last_digits(train, words):
    words = [*words, "data.fraction=0.2", "optimizer.warmup_fraction=0"]
    (start,), (one,), two = train(1, *words, "optimizer.lr=0"), train(1, *words), train(2, *words)
    assert 2 < one["step"] == two[0]["step"] < 6
    for name, value in two[0]["state"].items():
        expected = one["state"][name]
        assert torch.allclose(value, expected, rtol=1e-3, atol=1e-5), name
        if name.endswith("weight"):
            assert (expected - start["state"][name]).abs().max() > 1e-4, name


def test_the_weights_do_change(train):
    """Else the comparison above would show nothing."""
    (start,), (end,) = train(1, "optimizer.lr=0"), train(1)
    moved = [
        (end["state"][name] - value).abs().max() for name, value in start["state"].items() if name.endswith("weight")
    ]
    assert min(moved) > 1e-4


def test_one_process_asked_to_stop_stops_both_at_one_step(train):
    first, second = train(2, stop_at=3)
    assert 4 <= first["step"] == second["step"] < 25


@pytest.mark.soak
def test_a_run_in_two_processes_gives_the_table_and_killed_again_and_again_the_same(call, start, outcome, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    options = {"methods": "moco", "epochs": "10"}
    done = call(whole, "--processes", "2", "--jobs", "1", **options)
    assert done.returncode == 0, done.stderr
    assert "| MoCo" in done.stdout
    kills = 0
    for attempt in range(40):
        process = start(broken, "--processes", "2", "--jobs", "1", "--checkpoint-seconds", "0", **options)
        begun = begins_a_run(broken, process)
        time.sleep(1 + attempt / 2)
        if process.poll() is not None:
            break
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        kills += begun
    assert process.returncode == 0
    assert kills > 0, "the run was never interrupted: the test shows nothing"
    assert outcome(broken) == outcome(whole)
    assert not list(whole.glob("*.log"))


def begins_a_run(output, process):
    """Wait for a checkpoint to appear or to be renewed; False when the command ended first."""
    before = checkpoints(output)
    while process.poll() is None:
        if checkpoints(output) - before:
            return True
        time.sleep(0.05)
    return False


def checkpoints(output):
    return {(path, path.stat().st_mtime_ns) for path in output.glob("*/*/*/seed*/checkpoint.pt")}


BROKEN = '''"""Broken: raises in the third step of process 1 alone, or dies there."""
import os
from dataclasses import dataclass
from bench.api import Method
from bench.methods._gather import gather, world_size

@dataclass(frozen=True)
class Config:
    dies: bool = False

class Broken(Method):
    citation = "a test"
    Config = Config
    steps = 0

    def loss(self, views, indices, labels):
        self.steps += 1
        if self.steps == 3 and os.environ.get("RANK") == "1":
            if self.config.dies:
                os._exit(7)
            raise RuntimeError("this method is broken")
        return gather(self.encoder(views[0])).mean(), {}
'''


def test_an_error_in_one_process_is_recorded_and_the_other_runs_go_on(call, tmp_path):
    (tmp_path / "broken.py").write_text(BROKEN)
    output = tmp_path / "o"
    done = call(output, "--processes", "2", "--jobs", "1", methods=f"file:{tmp_path / 'broken.py'},random", epochs="1")
    assert done.returncode == 1, done.stderr
    results = {path.parts[-4]: path for path in output.glob("*/*/*/*/result.json")}
    broken = json.loads(results["broken"].read_text())
    assert (broken["status"], broken["reason"]) == ("failed", "RuntimeError: this method is broken")
    assert "in loss" in (results["broken"].parent / "error.log").read_text()
    assert json.loads(results["random"].read_text())["status"] == "completed"
    assert not list(output.glob("*/*/*/*/lock"))


def test_a_process_that_dies_ends_the_others_with_one_line(call, tmp_path):
    (tmp_path / "broken.py").write_text(BROKEN)
    output = tmp_path / "o"
    begun = time.monotonic()
    done = call(output, "--processes", "2", "broken.dies=true", methods=f"file:{tmp_path / 'broken.py'}", epochs="1")
    assert done.returncode == 2
    assert "exit code 7" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(output.glob("*/*/*/*/result.json")), "nobody knows what the run would have come to"
    assert time.monotonic() - begun < 300, "the others waited for the dead one"
