"""The command itself, as real processes on real data: killed and resumed, shared, diverging, failing, mistaken."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import yaml

ROOT = Path(__file__).parents[2]
TINY = ["backbone.width=4", "projector.hidden=16", "projector.output=16", "evaluate.curve_points=2", "batch_size=128"]

pytestmark = pytest.mark.slow


def command(output, *words, methods="smi", seeds="1", epochs="4"):
    base = ["run", "--dataset", "digits", "--data-root", str(output.parent / "data"), "--output", str(output)]
    return [
        *[sys.executable, "-m", "bench", *base],
        *["--methods", methods, "--seeds", seeds, "--epochs", epochs, *TINY, *words],
    ]


def call(*arguments, **options):
    return subprocess.run(command(*arguments, **options), cwd=ROOT, capture_output=True, text=True, timeout=300)


def run_folders(output):
    return {str(path.parent.relative_to(output)): path.parent for path in output.glob("*/*/*/seed*/config.yaml")}


def test_a_run_killed_again_and_again_ends_as_if_it_never_was(outcome, tmp_path):
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert call(whole, epochs="12").returncode == 0
    kills = sum(killed_behind_a_checkpoint(broken, epochs="12") for _ in range(3))
    assert kills > 0, "the run was never interrupted: the test shows nothing"
    assert call(broken, epochs="12").returncode == 0
    (expected,), (actual,) = run_folders(whole).values(), run_folders(broken).values()
    assert outcome(actual) == outcome(expected)
    assert not (actual / "checkpoint.pt").exists()


def killed_behind_a_checkpoint(output, *words, wait=0.0, within=300, **plan):
    """Start the command, kill it `wait` seconds after a run has come further; whether that hit an unfinished run."""
    before, deadline = checkpoints(output), time.monotonic() + within
    words = command(output, *words, "--checkpoint-seconds", "0", **plan)
    process = subprocess.Popen(words, cwd=ROOT, start_new_session=True, stdout=subprocess.DEVNULL)
    while process.poll() is None and not checkpoints(output) - before and time.monotonic() < deadline:
        time.sleep(0.05)
    time.sleep(wait)
    if process.poll() is not None:
        assert process.returncode == 0
        return False
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return bool(checkpoints(output) - before)


KILLS, WITHIN_SECONDS = 50, 2 * 3600


@pytest.mark.soak
def test_an_experiment_killed_at_fifty_random_moments_ends_as_if_it_never_was(outcome, tmp_path):
    """A kill counts when it hits an unfinished run that had come further since the kill before. Where a plan ends
    before there are enough, it is compared and begun anew."""
    plan = {"methods": "smi,barlow", "seeds": "2", "epochs": "60"}
    whole, deadline = tmp_path / "whole", time.monotonic() + WITHIN_SECONDS
    assert call(whole, "--jobs", "2", **plan).returncode == 0
    expected = {key: outcome(path) for key, path in run_folders(whole).items()}
    generator, kills, broken = np.random.default_rng(0), 0, [tmp_path / "broken0"]
    while kills < KILLS:
        assert time.monotonic() < deadline, f"only {kills} kills hit a run that was at work"
        kills += killed_behind_a_checkpoint(broken[-1], "--jobs", "2", wait=generator.uniform(0, 2), **plan)
        if len(finished(broken[-1])) == len(expected):
            broken.append(tmp_path / f"broken{len(broken)}")
    assert call(broken[-1], "--jobs", "2", **plan).returncode == 0
    for output in broken:
        assert {key: outcome(path) for key, path in run_folders(output).items()} == expected


def finished(output):
    return list(output.glob("*/*/*/seed*/result.json"))


def checkpoints(output):
    """Of unfinished runs, a run that has ended has none; each with when it was written."""
    found = set()
    for path in output.glob("*/*/*/seed*/checkpoint.pt"):
        with suppress(FileNotFoundError):  # replaced, or its run has just ended
            found.add((path, path.stat().st_mtime_ns))
    return found


def test_workers_end_when_the_command_is_killed(tmp_path):
    process = subprocess.Popen(command(tmp_path / "o", epochs="500"), cwd=ROOT, start_new_session=True)
    deadline = time.monotonic() + 60
    while not list((tmp_path / "o").glob("*/*/*/*/metrics.csv")) and time.monotonic() < deadline:
        time.sleep(0.2)
    os.kill(process.pid, signal.SIGKILL)  # the command alone, not its workers
    process.wait()
    deadline = time.monotonic() + 60  # a worker has ten seconds for a checkpoint
    (folder,) = run_folders(tmp_path / "o").values()
    owner = json.loads((folder / "lock").read_text())["pid"]
    while Path(f"/proc/{owner}").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not Path(f"/proc/{owner}").exists()


def test_finished_runs_are_not_repeated_and_more_seeds_add(tmp_path):
    output = tmp_path / "o"
    assert call(output, methods="smi,random").returncode == 0
    (smi,) = (path for key, path in run_folders(output).items() if key.startswith("digits/smi/"))
    w = yaml.safe_load((smi / "config.yaml").read_text())["method"]["config"]["w"]
    resolved = json.loads((smi / "result.json").read_text())["resolved"]
    assert resolved == {"lambda": w / 127}, "what followed from the run is recorded"
    before = {key: (path / "result.json").stat().st_mtime_ns for key, path in run_folders(output).items()}
    again = call(output, methods="smi,random", seeds="2")
    assert "unreadable" not in again.stdout
    assert again.returncode == 0
    after = {key: (path / "result.json").stat().st_mtime_ns for key, path in run_folders(output).items()}
    assert len(before) == 2
    assert len(after) == 4
    assert {key: after[key] for key in before} == before
    assert "| SMI (reconstructed)" in again.stdout
    fresh = call(output, "--fresh", methods="random")
    assert fresh.returncode == 0
    renewed = {key: (path / "result.json").stat().st_mtime_ns for key, path in run_folders(output).items()}
    assert {key for key in after if renewed[key] != after[key]} == {
        key for key in after if "random" in key and "seed0" in key
    }


def test_two_commands_with_one_plan_share_it(outcome, tmp_path):
    output = tmp_path / "o"
    both = [
        subprocess.Popen(command(output, "--jobs", "1", seeds="3"), cwd=ROOT, stdout=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    for process in both:
        printed = process.communicate(timeout=300)[0]
        assert process.returncode == 0
        assert "| SMI (reconstructed)" in printed
    alone = tmp_path / "alone"
    assert call(alone, "--jobs", "1", seeds="3").returncode == 0
    # each of two commands gives its worker all cores, as does one alone
    assert {k: outcome(v) for k, v in run_folders(output).items()} == {
        k: outcome(v) for k, v in run_folders(alone).items()
    }


def test_all_methods_start_from_one_encoder_and_see_the_same_images(tmp_path):
    import torch

    from bench.arms import Arm
    from bench.data import load
    from bench.datasets._store import open_store
    from bench.plan import Request, open_dataset, plan
    from bench.pretrain import Trainer

    request = Request([Arm(name) for name in ("smi", "barlow", "supervised")], ["digits"], [3], "quick", TINY, tmp_path)
    trainers = [
        Trainer(spec, load(open_store(open_dataset("digits"), tmp_path), torch.device("cpu")), torch.device("cpu"))
        for spec in plan(request, torch.device("cpu"))
    ]
    states = [trainer.method.encoder.state_dict() for trainer in trainers]
    assert all(torch.equal(states[0][key], state[key]) for state in states for key in states[0])
    views = []
    for trainer in trainers:
        ((_, own),) = trainer.batches.of_step(2 * trainer.steps_per_epoch)
        views.append(own)
    assert all(torch.equal(a, b) for other in views for a, b in zip(views[0], other, strict=True))


def test_a_non_finite_loss_ends_its_run_and_the_others_go_on(tmp_path):
    output = tmp_path / "o"
    done = call(output, "smi.optimizer.lr=1e30", methods="smi,random")
    assert done.returncode == 0
    results = {
        key.split("/")[1]: json.loads((path / "result.json").read_text()) for key, path in run_folders(output).items()
    }
    assert results["smi"]["status"] == "diverged"
    assert "step" in results["smi"]["reason"]
    assert results["random"]["status"] == "completed"
    assert "diverged" in done.stdout


BROKEN = '''"""Broken: raises in its third step."""
from dataclasses import dataclass
from bench.api import Method

@dataclass(frozen=True)
class Config:
    pass

class Broken(Method):
    citation = "a test"
    Config = Config
    steps = 0

    def loss(self, views, indices, labels):
        self.steps += 1
        if self.steps == 3:
            raise RuntimeError("this method is broken")
        return self.encoder(views[0]).mean(), {}
'''


def test_a_failing_run_is_recorded_with_its_traceback_and_takes_nothing_down(tmp_path):
    (tmp_path / "broken.py").write_text(BROKEN)
    output = tmp_path / "o"
    done = call(output, methods=f"file:{tmp_path / 'broken.py'},random")
    assert done.returncode == 1
    folders = {key.split("/")[1]: path for key, path in run_folders(output).items()}
    result = json.loads((folders["broken"] / "result.json").read_text())
    assert (result["status"], result["reason"]) == ("failed", "RuntimeError: this method is broken")
    assert "in loss" in (folders["broken"] / "error.log").read_text()
    assert json.loads((folders["random"] / "result.json").read_text())["status"] == "completed"
    (tmp_path / "broken.py").write_text(BROKEN.replace("== 3", "== -1"))
    assert call(output, methods=f"file:{tmp_path / 'broken.py'}").returncode == 0, "mended, it is another run"


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Of an uninterrupted run."""
    output = tmp_path_factory.mktemp("whole") / "o"
    assert call(output).returncode == 0
    return output


def test_memory_is_that_of_steps_before_any_evaluation(whole):
    (folder,) = run_folders(whole).values()
    with open(folder / "metrics.csv", newline="", encoding="utf-8") as rows:
        memory = [float(row["memory_mib"]) for row in csv.DictReader(rows)]
    assert len(set(memory)) > 1, "evaluation took nothing: the test shows nothing"
    assert json.loads((folder / "result.json").read_text())["cost"]["peak_memory_mib"] == memory[0] < memory[-1]


def test_a_damaged_checkpoint_is_set_aside_and_the_run_starts_anew(outcome, whole, tmp_path):
    broken = tmp_path / "broken"
    (key,) = run_folders(whole)
    (broken / key).mkdir(parents=True)
    (broken / key / "checkpoint.pt").write_bytes(b"PK\x03\x04 not a checkpoint")
    assert call(broken).returncode == 0
    assert (broken / key / "checkpoint.damaged").exists()
    assert outcome(broken / key) == outcome(whole / key)


def test_a_full_disk_is_one_line_and_nothing_is_lost(outcome, whole, tmp_path):
    """There is room for two checkpoints, not for the third before the first is gone."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small file system needs root")
    small, words = tmp_path / "small", ["--data-root", str(whole.parent / "data"), "--checkpoint-seconds", "0"]
    small.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=300k", "tmpfs", small], capture_output=True).returncode:
        pytest.skip("this system mounts no tmpfs")
    try:
        done = call(small / "o", *words)
        assert done.returncode == 2
        assert "No space left" in done.stderr
        assert "Traceback" not in done.stderr
        assert not list(small.rglob("result.json"))
        assert not list(small.rglob("*.partial"))
        (folder,) = run_folders(small / "o").values()
        assert {path.name for path in folder.glob("checkpoint*")} == {"checkpoint.pt", "checkpoint.previous.pt"}
        subprocess.run(["mount", "-o", "remount,size=50m", small], check=True)
        assert call(small / "o", *words).returncode == 0
        (expected,) = run_folders(whole).values()
        assert outcome(folder) == outcome(expected)
    finally:
        subprocess.run(["umount", small], check=True)


NOISY = '''"""Noisy: draws from torch's global generator, and its statistics break in mid-training when told to."""
from dataclasses import dataclass
import torch
from bench.api import Method

@dataclass(frozen=True)
class Config:
    breaks: bool = False

class Noisy(Method):
    citation = "a test"
    Config = Config

    def loss(self, views, indices, labels):
        if self.config.breaks:
            self.encoder.bn1.running_mean.fill_(float("nan"))
        za, zb = (self.encoder(view).float() for view in views)
        return (torch.nn.functional.dropout(za) - zb).square().mean(), {}
'''


def test_a_methods_own_randomness_follows_the_seed_and_not_the_process(outcome, tmp_path):
    (tmp_path / "noisy.py").write_text(NOISY)
    alone, after = tmp_path / "alone", tmp_path / "after"
    assert call(alone, methods=f"file:{tmp_path / 'noisy.py'}").returncode == 0
    assert call(after, "--jobs", "1", methods=f"smi,file:{tmp_path / 'noisy.py'}").returncode == 0
    (expected,) = run_folders(alone).values()
    actual = next(path for key, path in run_folders(after).items() if "noisy" in key)
    assert outcome(actual) == outcome(expected)


def test_statistics_that_break_end_their_run_as_diverged_and_nothing_else(tmp_path):
    (tmp_path / "noisy.py").write_text(NOISY)
    output = tmp_path / "o"
    done = call(output, "noisy.breaks=true", "--jobs", "1", methods=f"file:{tmp_path / 'noisy.py'},random")
    assert done.returncode == 0, done.stderr
    results = {key.split("/")[1]: path / "result.json" for key, path in run_folders(output).items()}
    statuses = {name: json.loads(path.read_text())["status"] for name, path in results.items()}
    assert statuses == {"noisy": "diverged", "random": "completed"}


def test_stored_predictions_and_labels_give_the_scores_back(tmp_path):
    """Statistics over test pictures are made from these alone."""
    assert call(tmp_path / "o", methods="random").returncode == 0
    (folder,) = run_folders(tmp_path / "o").values()
    scores = json.loads((folder / "result.json").read_text())["scores"]
    stored = np.load(folder / "predictions.npz")
    for name in ("linear", "knn"):
        assert np.mean(stored[name] == stored["labels"]) == pytest.approx(scores[name])
