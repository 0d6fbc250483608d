"""What squeue and sacct print, and what is made of it."""

import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.slurm import queue
from bench.slurm.queue import Job, Queue

SQUEUE = """13|PENDING||Dependency
12_1|RUNNING|node2|None
12_2|PENDING|(null)|Resources
12_0|COMPLETED|node1|None
"""
SACCT = """7_0|CANCELLED by 1000|node3
7_1|OUT_OF_MEMORY|node3
7_[2-9%4]|PENDING|None assigned
"""


def test_what_squeue_prints():
    assert queue.parse(SQUEUE) == {
        "13": Job("13", "PENDING", "", "Dependency"),
        "12_1": Job("12_1", "RUNNING", "node2"),
        "12_2": Job("12_2", "PENDING", "", "Resources"),
        "12_0": Job("12_0", "COMPLETED", "node1"),
    }


def test_what_sacct_prints():
    assert queue.parse(SACCT) == {"7_0": Job("7_0", "CANCELLED", "node3"), "7_1": Job("7_1", "OUT_OF_MEMORY", "node3")}


@given(st.text())
def test_no_text_breaks_the_parser(text):
    for name, job in queue.parse(text).items():
        assert name == job.id
        assert job.state


@pytest.mark.parametrize("state", ["PENDING", "RUNNING", "COMPLETING", "REQUEUED", "SUSPENDED", "REQUEUE_HOLD"])
def test_jobs_that_may_still_run(state):
    assert Job("1", state).live
    assert not any(Job("1", ended).live for ended in queue.ENDED)


@pytest.fixture
def programs(tmp_path, monkeypatch):
    """Stand-ins for SLURM's programs: `programs(squeue="echo ...")`; what is not named is not there."""
    monkeypatch.setenv("PATH", str(tmp_path))

    def write(**texts):
        for name, text in texts.items():
            path = tmp_path / name
            path.write_text(f"#!/bin/sh\n{text}\n")
            path.chmod(path.stat().st_mode | stat.S_IXUSR)

    return write


def test_the_accounting_is_asked_only_for_what_squeue_has_forgotten(programs, tmp_path):
    noted = tmp_path / "noted"
    programs(squeue="echo '12_1|RUNNING|node2|None'", sacct=f"echo \"$*\" >>{noted}; echo '7_0|TIMEOUT|node3'")
    known = Queue()
    assert known.look({"12_1"}) == {"12_1": Job("12_1", "RUNNING", "node2")}
    assert not noted.exists()
    assert known.look({"12_1", "7_0", "7_1"})["7_0"] == Job("7_0", "TIMEOUT", "node3")
    assert "--jobs=7" in noted.read_text()
    assert "7_1" not in known.look({"12_1", "7_0", "7_1"})


def test_an_accounting_that_is_off_is_asked_once(programs, tmp_path):
    noted = tmp_path / "noted"
    programs(squeue="true", sacct=f"echo asked >>{noted}; exit 1")
    known = Queue()
    assert known.look({"7_0"}) == {}
    assert known.look({"7_0"}) == {}
    assert noted.read_text() == "asked\n"


@pytest.mark.parametrize("state", ["RUNNING", "PENDING"])
def test_a_job_that_the_accounting_alone_calls_alive_is_gone(programs, monkeypatch, tmp_path, state):
    """What sacctmgr calls a runaway: the controller lost the job, and its record was never closed."""
    monkeypatch.setattr(queue, "LAG_SECONDS", 0.0)
    noted = tmp_path / "noted"
    programs(squeue=f"echo asked >>{noted}; echo '8|RUNNING|node1|None'", sacct=f"echo '7_0|{state}|node3'")
    known = Queue()
    assert known.look({"7_0", "8"}) == {"8": Job("8", "RUNNING", "node1")}
    assert known.look({"7_0"}) == {}
    assert noted.read_text().count("asked") == 3, "the second time squeue is not asked twice"


def test_a_job_that_squeue_lists_a_moment_later_is_alive(programs, monkeypatch, tmp_path):
    monkeypatch.setattr(queue, "LAG_SECONDS", 0.0)
    noted = tmp_path / "noted"
    squeue = f"test -e {noted} && echo '7_0|PENDING||Priority'; echo asked >>{noted}"
    programs(squeue=squeue, sacct="echo '7_0|PENDING|None assigned'")
    assert Queue().look({"7_0"}) == {"7_0": Job("7_0", "PENDING", "", "Priority")}


@pytest.mark.parametrize("squeue", [None, "exit 1", "exec /bin/sleep 60"])
def test_a_scheduler_that_does_not_answer_is_none(programs, monkeypatch, squeue):
    monkeypatch.setattr(queue, "TIMEOUT_SECONDS", 0.5)
    if squeue is not None:
        programs(squeue=squeue)
    assert Queue().look({"1"}) is None
