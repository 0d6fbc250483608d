"""`--wait`: how long it waits, and which report it prints; with stand-ins for the scheduler and for time."""

import json
import os

import pytest

from bench.commands import _submitting, status
from bench.slurm import queue, records, watch
from bench.slurm.records import Submission

RUNS = ["digits/smi/0a/seed0", "digits/smi/0a/seed1"]


def submitted(name, jobs, report):
    runs = {run: {"epochs": 4} for group in jobs.values() for run in group}
    return Submission(name, "abc", {}, {"reference": "smi"}, jobs, report, runs)


@pytest.fixture
def output(tmp_path):
    """Both runs have ended; those of two submissions, as after `resubmit`."""
    for run in RUNS:
        (tmp_path / run).mkdir(parents=True)
        (tmp_path / run / "config.yaml").write_text("epochs: 4\nbatch_size: 8\n")
        (tmp_path / run / "result.json").write_text(json.dumps({"status": "diverged", "reason": "x"}))
    records.write(tmp_path, submitted("20260101T000000-aaaaaa", {"1": RUNS[:1]}, "7"))
    records.write(tmp_path, submitted("20260102T000000-bbbbbb", {"2": RUNS[1:]}, "8"))
    return tmp_path


@pytest.fixture
def scheduler(monkeypatch):
    """`scheduler(answers)`: what squeue says, one answer after the other, None for none, and then the last for ever.
    Gives the seconds that were slept."""
    monkeypatch.setattr(status, "SETTLE_SECONDS", 0.0)

    def say(*answers):
        left, slept = list(answers), []

        def answer(command):
            return None if command[0] != "squeue" else left.pop(0) if len(left) > 1 else left[0]

        monkeypatch.setattr(queue, "_output", answer)
        monkeypatch.setattr("time.sleep", slept.append)
        return slept

    return say


def write_report(output, age):
    """A report that is `age` seconds older than everything else."""
    path = output / "report" / "report.md"
    path.parent.mkdir(exist_ok=True)
    path.write_text("# Report")
    others = [*output.glob("*/*/*/*/result.json"), *output.glob(".slurm/*/submission.json")]
    newest = max(other.stat().st_mtime for other in others)
    os.utime(path, (newest - age,) * 2)


@pytest.mark.parametrize("age", [-5, 5, None])
def test_only_a_report_that_is_newer_than_the_submission_is_printed(output, scheduler, capsys, age):
    """An older one is another plan's: the report's job of this one failed, or was refused."""
    for path in output.glob("*/*/*/*/result.json"):
        os.utime(path, (1e9, 1e9))
    scheduler("")
    if age is not None:
        write_report(output, age)
    _submitting.wait(output, RUNS)
    printed = capsys.readouterr().out
    assert ("# Report" in printed) == (age == -5)
    line = f"No job has written a report of these runs; `python -m bench report {output} --reference smi` does.\n"
    assert (line in printed) == (age != -5)


def test_a_report_from_before_the_last_result_is_not_printed(output, scheduler, capsys):
    for path in output.glob(".slurm/*/submission.json"):
        os.utime(path, (1e9, 1e9))
    write_report(output, age=5)
    scheduler("")
    _submitting.wait(output, RUNS)
    assert "# Report" not in capsys.readouterr().out


@pytest.mark.parametrize("job", ["7", "8"])
def test_every_report_that_a_resubmission_queued_is_waited_for(output, scheduler, job):
    slept = scheduler(f"{job}|PENDING||Dependency", f"{job}|RUNNING|node1|", f"{job}|COMPLETED|node1|")
    _submitting.wait(output, RUNS)
    assert slept == [watch.QUERY_SECONDS] * 2


def test_a_scheduler_that_does_not_answer_once_has_not_said_that_the_report_is_there(output, scheduler):
    slept = scheduler("8|RUNNING|node1|", None, None, "8|COMPLETED|node1|")
    _submitting.wait(output, RUNS)
    assert slept == [watch.QUERY_SECONDS] * 3
    assert watch.QUERY_SECONDS == 10, "as docs/slurm.md says"
