"""Groups of workers on one machine: what each is given, and how their end is told apart."""

import sys

import pytest

from bench import group
from bench.group import BROKEN_UP, GRACE_SECONDS, JOINING, MISTAKE, STOPPED, Group


@pytest.fixture
def make(tmp_path, monkeypatch):
    """A group whose workers run a script instead; ended after the test."""
    made = []
    popen = group.subprocess.Popen

    def of(script, processes=1, number=0, gpus=()):
        monkeypatch.setattr(
            group.subprocess, "Popen", lambda words, **options: popen([sys.executable, "-c", script], **options)
        )
        request = {"output": str(tmp_path), "threads": 3}
        made.append(Group(request, number, processes, list(gpus), started_after=0))
        return made[-1]

    yield of
    for each in made:
        each.kill()


def finish(each):
    for worker in each._workers:
        worker.process.wait(timeout=60)
    assert not each.running()
    return each


TELL = "import os; print(*(os.environ.get(name) for name in ({names})), flush=True)"


def told(each, *names):
    return [worker.log.read_text().split() for worker in finish(each)._workers]


def test_gpus_go_round_over_all_workers_of_all_groups(make):
    script = TELL.format(names="'CUDA_VISIBLE_DEVICES', 'OMP_NUM_THREADS'")
    given = [told(make(script, processes=2, number=number, gpus=["4", "5", "GPU-x"])) for number in range(2)]
    assert given == [[["4", "3"], ["5", "3"]], [["GPU-x", "3"], ["4", "3"]]]


def test_workers_of_one_run_are_numbered_and_find_each_other(make):
    names = ", ".join(map(repr, JOINING))
    first, second = told(make(TELL.format(names=names), processes=2))
    assert first[:3] == ["0", "2", "0"]
    assert second[:3] == ["1", "2", "1"]
    assert first[3:] == second[3:] == ["127.0.0.1", first[4], "True"]


def test_a_launcher_around_the_command_is_not_inherited(make, monkeypatch):
    monkeypatch.setenv("RANK", "3")
    monkeypatch.setenv("WORLD_SIZE", "8")
    assert told(make(TELL.format(names="'RANK', 'WORLD_SIZE'"))) == [["None", "None"]]


CODES = "import os, sys; sys.exit([{codes}][int(os.environ['RANK'])])"


@pytest.mark.parametrize(
    ("codes", "cause"),
    [
        ([0, 0], 0),
        ([BROKEN_UP, BROKEN_UP], BROKEN_UP),
        ([BROKEN_UP, MISTAKE], MISTAKE),
        ([1, BROKEN_UP], 1),
        ([STOPPED, STOPPED], STOPPED),
    ],
)
def test_the_cause_is_the_worker_that_made_the_others_end(make, codes, cause):
    each = finish(make(CODES.format(codes=str(codes)[1:-1]), processes=2))
    assert each.code() == cause


def test_who_waits_for_a_dead_worker_is_killed_in_the_end(make, monkeypatch):
    script = "import os, time\nif os.environ['RANK'] == '1': os._exit(7)\ntime.sleep(600)"
    monkeypatch.setattr(group, "GRACE_SECONDS", 0.5)
    each = make(script, processes=2)
    each._workers[1].process.wait(timeout=60)
    deadline = group.time.monotonic() + 60
    while each.running() and group.time.monotonic() < deadline:
        group.time.sleep(0.05)
    assert each.code() == 7
    assert "exit code 7" in each.explain()


def test_stopping_lets_workers_end_by_themselves_and_kills_those_that_do_not(make, monkeypatch):
    gentle = (
        "import signal, sys, time\n"
        f"signal.signal(signal.SIGTERM, lambda *_: sys.exit({STOPPED}))\n"
        "print('ready', flush=True)\ntime.sleep(600)"
    )
    stubborn = gentle.replace(f"lambda *_: sys.exit({STOPPED})", "signal.SIG_IGN")
    groups = [make(gentle), make(stubborn, number=1)]
    deadline = group.time.monotonic() + 60
    while not all(each._workers[0].log.read_text() for each in groups) and group.time.monotonic() < deadline:
        group.time.sleep(0.05)
    monkeypatch.setattr(group, "GRACE_SECONDS", 1)
    group.stop(groups)
    assert [each._workers[0].process.returncode for each in groups] == [STOPPED, -9]
    assert not groups[0]._workers[0].log.exists()
    assert GRACE_SECONDS >= 5, "time enough for a step and a checkpoint"
