"""`status`, once and with --watch, as a user sees it."""

import functools
import json
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bench.commands import status
from bench.standing import Standing
from bench.store import RunFolder

ROOT = Path(__file__).parents[3]
ENDED = Standing("d/a/h/seed0", "completed", 4, 4, outcome="linear 51.0 %")
RUNNING = Standing("d/b/h/seed0", "running", 1, 4, 2.5, 1234.0, 4000.0)


def test_the_table_counts_and_says_how_far_each_run_is():
    head, ended, running = status.table([ENDED, RUNNING])
    assert head == "2 runs: 1 running, 1 completed; 5 of 8 epochs"
    assert ended == "d/a/h/seed0  completed  linear 51.0 %"
    assert running == "d/b/h/seed0  running    epoch   1 of 4  loss 2.5           1,234 images/s  1 h 07 min left"


def test_jobs_stand_behind_what_has_not_ended():
    queued = Standing("d/c/h/seed0", "queued", epochs=4, job="job 12_0 (Priority)")
    lost = Standing("d/d/h/seed0", "unfinished", 3, 4, outcome="job 12_1 ended on node1: TIMEOUT")
    head, ended, waiting, gone = status.table([ENDED, queued, lost])
    assert head == "3 runs: 1 queued, 1 unfinished, 1 completed; 7 of 12 epochs"
    assert ended == "d/a/h/seed0  completed   linear 51.0 %"
    assert waiting == "d/c/h/seed0  queued      epoch   0 of 4  job 12_0 (Priority)"
    assert gone == "d/d/h/seed0  unfinished  job 12_1 ended on node1: TIMEOUT"


@pytest.mark.parametrize(
    ("seconds", "words"), [(4.4, "4 s"), (90, "2 min"), (3570, "1 h 00 min"), (3540, "59 min"), (7260, "2 h 01 min")]
)
def test_durations(seconds, words):
    assert status._duration(seconds) == words


def test_a_low_terminal_shows_what_runs_first():
    many = [Standing(f"d/a/h/seed{seed}", "completed", 4, 4) for seed in range(9)]
    lines = status._urgent_first([*many, RUNNING], height=4)
    assert len(lines) == 4
    assert lines[1].startswith(RUNNING.run_id)
    assert lines[3] == "... and 8 more"
    assert len(status._urgent_first([RUNNING], height=4)) == 2


@pytest.fixture
def run(tmp_path):
    """A run in its first epoch."""
    path = tmp_path / "digits/smi/0123abcd/seed0"
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(yaml.safe_dump({"epochs": 4, "batch_size": 8}))
    return RunFolder(tmp_path, "digits/smi/0123abcd/seed0")


def watch(output, **options):
    return subprocess.Popen(
        [sys.executable, "-m", "bench", "status", str(output), "--watch"],
        cwd=ROOT,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )


def test_watching_ends_at_once_when_all_has_ended(run, tmp_path):
    (run.path / "result.json").write_text(json.dumps({"status": "failed", "reason": "out of memory"}))
    process = watch(tmp_path, stdout=subprocess.PIPE)
    stdout, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (0, "")
    assert stdout == "digits/smi/0123abcd/seed0  failed  out of memory\n"


def test_control_c_ends_watching_without_a_traceback(run, tmp_path):
    # A shell's background jobs ignore Ctrl-C, and so would whatever these tests start there.
    obey = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    process = watch(tmp_path, stdout=subprocess.PIPE, preexec_fn=obey)
    assert process.stdout is not None
    assert process.stdout.readline() == "digits/smi/0123abcd/seed0  stopped  epoch   0 of 4\n"
    process.send_signal(signal.SIGINT)
    _, stderr = process.communicate(timeout=60)
    assert (process.returncode, stderr) == (0, "")


def test_a_terminal_is_drawn_anew(run, tmp_path):
    (run.path / "result.json").write_text(json.dumps({"status": "failed", "reason": "out of memory"}))
    ours, theirs = pty.openpty()
    process = watch(tmp_path, stdout=theirs)
    _, stderr = process.communicate(timeout=60)
    os.close(theirs)
    shown = os.read(ours, 10_000).decode()
    os.close(ours)
    assert (process.returncode, stderr) == (0, "")
    assert shown.startswith(status.HOME_AND_CLEAR + "1 run: 1 failed; 4 of 4 epochs")
