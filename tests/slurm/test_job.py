"""What runs inside a job, with stand-ins for the cluster around it."""

import json
import os
import signal
import socket
import subprocess
import threading
import time

import pytest

from bench import interrupt, worker
from bench.commands import _options
from bench.errors import UserError
from bench.group import JOINING
from bench.slurm import job
from bench.store import RunFolder


@pytest.mark.parametrize("reference", ["smi", None])
def test_a_reference_without_a_run_leaves_a_report_without_it(tmp_path, monkeypatch, capsys, reference):
    written = []

    def write(outputs, destination, declared):
        if declared.reference is not None:
            raise UserError(f"No run of the reference '{declared.reference}' was found.")
        written.append(destination)

    monkeypatch.setattr(_options, "print_report", write)
    job.write_report(json.dumps({"output": str(tmp_path), "reference": reference}))
    assert written == [tmp_path / "report"]
    assert ("without that comparison" in capsys.readouterr().out) == (reference is not None)


def test_a_report_that_cannot_be_written_is_one_line(tmp_path, capsys):
    with pytest.raises(SystemExit) as ended:
        job.write_report(json.dumps({"output": str(tmp_path / "nothing"), "reference": None}))
    assert ended.value.code == 2
    assert capsys.readouterr().out.count("\n") == 1


def test_a_launcher_around_the_submitting_shell_is_not_inherited(monkeypatch):
    """RANK and its kind, which sbatch copies into the job, would have a run of one process wait for others."""
    seen = []
    monkeypatch.setattr(worker, "work_through", lambda request: seen.append(sorted(set(JOINING) & set(os.environ))))
    for name in JOINING:
        monkeypatch.setenv(name, "8")
    job._work({"runs": {}, "request": {}, "processes": 1})
    assert seen == [[]]


RUN = "digits/smi/0a/seed0"


@pytest.fixture
def ends_well(tmp_path, monkeypatch):
    """`ends_well(process, processes)`: one of so many processes of a job whose runs are left to others."""
    monkeypatch.setattr(job, "_work", lambda task: None)
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGUSR2)}

    def carry_out(process, processes):
        monkeypatch.setenv("SLURM_PROCID", str(process))
        task = {"runs": {RUN: {}}, "request": {"output": str(tmp_path)}, "processes": processes, "code": "x"}
        job.carry_out(json.dumps({**task, "notice": 60, "requeue": 0}))

    yield carry_out
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize(("process", "processes", "says"), [(0, 2, True), (1, 2, False), (1, 1, True)])
def test_of_a_run_in_several_processes_the_first_says_what_came_of_it(ends_well, capsys, process, processes, says):
    """The others end before it has evaluated the run, which has no result by then. Of packed runs each says it."""
    ends_well(process, processes)
    assert (f"{RUN}  unfinished" in capsys.readouterr().out) == says


@pytest.mark.parametrize(
    ("nodes", "known", "expected"),
    [("1", False, "127.0.0.1"), ("1", True, "127.0.0.1"), ("2", True, "node1"), ("2", False, "10.0.0.7")],
)
def test_a_node_whose_name_the_system_does_not_know_is_found_by_its_address(monkeypatch, nodes, known, expected):
    def look_up(*_):
        if not known:
            raise socket.gaierror("Name or service not known")

    monkeypatch.setattr(job.socket, "getaddrinfo", look_up)
    monkeypatch.setenv("SLURM_JOB_NUM_NODES", nodes)
    monkeypatch.setenv("SLURM_LAUNCH_NODE_IPADDR", "10.0.0.7")
    assert job._meeting_point("node1") == expected


class Ended(BaseException):
    """Of the process, by os._exit."""


@pytest.fixture
def notice(tmp_path, monkeypatch):
    """`notice(seconds, failures)`: of a job whose first `failures` calls of scontrol fail, and those calls."""
    monkeypatch.setenv("SLURM_JOB_ID", "7")
    monkeypatch.setattr(job, "RETRY_SECONDS", 0.01)
    calls = []

    def end(code):
        raise Ended(code)

    def make(seconds, failures=0):
        def scontrol(words, **_):
            calls.append(words)
            if len(calls) <= failures:
                raise subprocess.CalledProcessError(1, words)

        monkeypatch.setattr(job.subprocess, "run", scontrol)
        monkeypatch.setattr(job.os, "_exit", end)
        task = {"runs": {RUN: {}}, "request": {"output": str(tmp_path)}, "notice": seconds, "requeue": 100}
        return job._Notice(task), calls

    yield make
    interrupt.clear()


def test_a_transient_failure_to_queue_the_job_again_is_tried_again(notice, capsys):
    own, calls = notice(60, failures=2)
    own._end_is_near()
    with pytest.raises(SystemExit) as ended:
        own.leave()
    assert ended.value.code == 0
    assert calls == [["scontrol", "requeue", "7"]] * 3
    assert "the state is saved, the job is queued again" in capsys.readouterr().out


def test_when_the_notice_is_over_it_is_not_tried_any_more(notice, capsys):
    own, calls = notice(60, failures=10**9)
    own._until = time.monotonic() + 0.05
    with pytest.raises(Ended):
        own._requeue("x")
    assert 1 <= len(calls) < 10
    assert "`python -m bench resubmit` goes on" in capsys.readouterr().out


def test_a_run_that_is_at_no_step_does_not_keep_the_job_from_being_queued_again(notice, capsys, monkeypatch):
    """The last moment comes before the run has stopped: nobody says that its state was saved."""
    own, calls = notice(0.2)
    own._end_is_near()
    deadline = time.monotonic() + 30
    while not calls and time.monotonic() < deadline:
        time.sleep(0.01)
    assert calls == [["scontrol", "requeue", "7"]]
    with pytest.raises(SystemExit):
        own.leave()  # it stops after all
    assert len(calls) == 1, "and is not queued twice"
    printed = capsys.readouterr().out
    assert "no time to save all of the state" in printed
    assert "the state is saved" not in printed


def test_who_saved_first_waits_for_the_others_of_the_job(notice, tmp_path):
    own, _ = notice(60)
    sibling = RunFolder(tmp_path, RUN)
    assert sibling.lock.acquire()
    waiting = threading.Thread(target=own._wait_for_siblings)
    waiting.start()
    waiting.join(timeout=3 * job.POLL_SECONDS)
    assert waiting.is_alive()
    sibling.lock.release()
    waiting.join(timeout=30)
    assert not waiting.is_alive()
