"""Checkpoints that are damaged, foreign or hostile: the one before counts, and no result changes."""

import hashlib
import io
import json
import os

import pytest
import torch

from bench import checkpoint, interrupt, run
from bench.interrupt import Interrupted
from bench.lock import LockLost
from bench.store import RunFolder


@pytest.fixture
def folder(tmp_path):
    folder = RunFolder(tmp_path, "digits/smi/01234567/seed0")
    assert folder.lock.acquire()
    yield folder
    folder.lock.release()


def save_two(folder):
    checkpoint.save(folder, {"step": 1})
    checkpoint.save(folder, {"step": 2})


def test_the_newest_two_are_kept(folder):
    assert checkpoint.load(folder) == (None, [])
    for step in range(4):
        checkpoint.save(folder, {"step": step, "weights": torch.full((3,), step)})
    assert sorted(path.name for path in folder.path.glob("check*")) == ["checkpoint.previous.pt", "checkpoint.pt"]
    state, problems = checkpoint.load(folder)
    assert (state["step"], state["weights"].tolist(), problems) == (3, [3, 3, 3], [])
    folder.checkpoint.unlink()  # as after a crash between the two renames
    assert checkpoint.load(folder)[0]["step"] == 2
    checkpoint.remove(folder)
    assert checkpoint.load(folder) == (None, [])


@pytest.mark.parametrize("damage", ["cut short", "one bit", "empty", "another file"])
def test_a_damaged_one_is_set_aside_and_the_one_before_counts(folder, damage):
    save_two(folder)
    content = folder.checkpoint.read_bytes()
    flipped = bytearray(content)
    flipped[len(content) // 2] ^= 1
    damaged = {
        "cut short": content[:-7],
        "one bit": bytes(flipped),
        "empty": b"",
        "another file": b"PK\x03\x04" + bytes(100),
    }
    folder.checkpoint.write_bytes(damaged[damage])
    state, problems = checkpoint.load(folder)
    assert state["step"] == 1
    assert "its digest does not fit" in problems[0]
    assert (folder.path / "checkpoint.damaged").read_bytes() == damaged[damage]
    folder.previous_checkpoint.write_bytes(b"")
    state, problems = checkpoint.load(folder)
    assert state is None
    assert "checkpoint.previous.pt was not usable" in problems[0]


def test_one_of_another_run_is_refused(folder, tmp_path):
    other = RunFolder(tmp_path, "digits/smi/76543210/seed0")
    assert other.lock.acquire()
    checkpoint.save(folder, {"step": 1})
    folder.checkpoint.rename(other.checkpoint)
    state, problems = checkpoint.load(other)
    other.lock.release()
    assert state is None
    assert "belongs to another run" in problems[0]


class Bomb:
    def __init__(self, victim):
        self.victim = victim

    def __reduce__(self):
        return os.mkdir, (str(self.victim),)


def test_one_that_would_run_code_is_refused_although_its_digest_fits(folder, tmp_path):
    buffer = io.BytesIO()
    torch.save({"run": folder.run_id, "step": Bomb(tmp_path / "exploded")}, buffer)
    folder.checkpoint.write_bytes(buffer.getvalue() + hashlib.sha256(buffer.getvalue()).digest())
    state, problems = checkpoint.load(folder)
    assert state is None
    assert "Weights only load failed" in problems[0]
    assert not (tmp_path / "exploded").exists()
    torch.load(io.BytesIO(buffer.getvalue()), weights_only=False)
    assert (tmp_path / "exploded").exists(), "the bomb is a dud: the test shows nothing"


TOUCHES = {
    "saves": lambda folder: checkpoint.save(folder, {"step": 3}),
    "sets a damaged one aside": checkpoint.load,
    "removes them": checkpoint.remove,
    "forgets its metrics": lambda folder: folder.write_metrics([]),
    "writes its metrics": lambda folder: folder.write_metrics([{"epoch": 1}]),
}


@pytest.mark.parametrize("touch", TOUCHES.values(), ids=TOUCHES)
def test_an_owner_that_lost_its_lock_touches_nothing(folder, touch):
    save_two(folder)
    folder.write_metrics([{"epoch": 2}])
    folder.checkpoint.write_bytes(b"damaged")
    (folder.path / "lock").write_text(json.dumps({"token": "another"}))

    def content():
        return {path.name: path.read_bytes() for path in folder.path.iterdir() if not path.name.endswith(".beat")}

    before = content()
    with pytest.raises(LockLost):
        touch(folder)
    assert content() == before


@pytest.fixture
def stop_in_step(monkeypatch):
    """Ask the run of this process to stop once it has done so many more steps."""
    from bench.pretrain import Trainer

    step = Trainer._step

    def after(count):
        def counted(trainer):
            nonlocal count
            step(trainer)
            count -= 1
            if count == 0:
                interrupt.request()

        interrupt.clear()
        monkeypatch.setattr(Trainer, "_step", counted)

    yield after
    interrupt.clear()


@pytest.mark.slow
@pytest.mark.parametrize("method", ["smi", "moco", "swav", "dino", "minc"])
def test_a_run_stopped_at_every_third_step_ends_as_if_it_never_was(
    method, spec_of, carry_out, stop_in_step, outcome, tmp_path
):
    spec = spec_of(method=method)
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert carry_out(spec, whole) == "completed"
    stops = 0
    while stops < 50:  # rather than for ever, should a run not go on from where it stopped
        stop_in_step(3)
        try:
            assert carry_out(spec, broken) == "completed"
            break
        except Interrupted:
            stops += 1
    assert 4 < stops < 50
    assert outcome(broken) == outcome(whole)
    assert incidents_of(broken, spec) == []


def incidents_of(output, spec):
    return json.loads((output / spec.id / "result.json").read_text())["incidents"]


@pytest.mark.slow
def test_a_run_that_goes_on_with_other_code_or_threads_says_so(spec_of, carry_out, stop_in_step, tmp_path, monkeypatch):
    spec, known = spec_of(), run.environment
    stop_in_step(3)
    with pytest.raises(Interrupted):
        carry_out(spec, tmp_path)
    interrupt.clear()
    moved = {"git_commit": "0" * 40, "threads": 7}
    monkeypatch.setattr(run, "environment", lambda *here: known(*here) | moved)
    assert carry_out(spec, tmp_path) == "completed"
    commit, threads = incidents_of(tmp_path, spec)
    assert commit.endswith(f"became {'0' * 40} at step 3")
    assert threads == "threads 1 became 7 at step 3"


@pytest.mark.slow
def test_a_run_whose_newest_checkpoint_is_cut_short_goes_on_from_the_one_before_and_says_so(
    spec_of, carry_out, stop_in_step, outcome, tmp_path
):
    spec = spec_of()
    whole, broken = tmp_path / "whole", tmp_path / "broken"
    assert carry_out(spec, whole) == "completed"
    for steps in (5, 4):
        stop_in_step(steps)
        with pytest.raises(Interrupted):
            carry_out(spec, broken)
    newest = broken / spec.id / "checkpoint.pt"
    os.truncate(newest, newest.stat().st_size // 2)
    interrupt.clear()
    stop_in_step(4)  # once more, so that what happened must outlive another interruption
    with pytest.raises(Interrupted):
        carry_out(spec, broken)
    interrupt.clear()
    assert carry_out(spec, broken) == "completed"
    assert outcome(broken) == outcome(whole)
    (incident,) = incidents_of(broken, spec)
    assert "checkpoint.pt was not usable" in incident
    assert "went on from step 5" in incident
