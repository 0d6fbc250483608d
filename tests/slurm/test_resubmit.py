"""`resubmit`: which runs it takes up again, with stand-ins for the scheduler and for sbatch."""

import json

import pytest

from bench.cli import main
from bench.commands import resubmit
from bench.slurm import queue, records, submit
from bench.slurm.records import Submission

FAILED, KILLED, CANCELLED = (f"digits/smi/0a/seed{seed}" for seed in range(3))


@pytest.fixture
def again(tmp_path, monkeypatch):
    """`again(words)`: the runs that `resubmit WORDS` submits, of a run that raised, one whose job was killed, and one
    whose job was cancelled."""
    runs = {run: {"epochs": 4} for run in (FAILED, KILLED, CANCELLED)}
    jobs = {"1_0": [FAILED], "1_1": [KILLED], "1_2": [CANCELLED]}
    records.write(tmp_path, Submission("20260101T000000-aaaaaa", "abc", {}, {}, jobs, "9", runs))
    (tmp_path / FAILED).mkdir(parents=True)
    (tmp_path / FAILED / "config.yaml").write_text("epochs: 4\nbatch_size: 8\n")
    reason = "OrderError: the order is CANCELLED"
    (tmp_path / FAILED / "result.json").write_text(json.dumps({"status": "failed", "reason": reason}))
    listed = "1_0|COMPLETED|node1|\n1_1|FAILED|node1|\n1_2|CANCELLED|node1|"
    monkeypatch.setattr(queue, "_output", lambda command: listed if command[0] == "squeue" else None)
    monkeypatch.setattr(submit, "check_cluster", lambda: None)
    submitted = []
    monkeypatch.setattr(
        resubmit, "_submit", lambda submission, runs, *_: submitted.extend(runs) or submit.Outcome(None, 0, [])
    )

    def give(*words):
        assert main(["resubmit", *words, "--output", str(tmp_path)]) == 0
        return submitted

    return give


def test_the_failed_are_those_that_failed_whatever_their_reason_says(again):
    assert again("--failed") == [FAILED, KILLED]


def test_without_failed_the_cancelled_are_submitted_too(again):
    assert again() == [FAILED, KILLED, CANCELLED]
