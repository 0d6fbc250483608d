"""A plan on this machine when its workers are killed; the workers are scripts, for speed."""

import json
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import group, local
from bench.errors import UserError

GREEDY, OTHER = "digits/greedy/0a/seed0", "digits/other/0b/seed0"
WORKER = f"""
import json, os, signal, sys, time
from pathlib import Path
from bench.files import write_text
from bench.group import BROKEN_UP
from bench.store import RunFolder
output = Path(json.loads(sys.stdin.readline())["output"])
word = output / "word"  # of process 0 to process 1, where there are two: by which signal to die
if os.environ.get("RANK") == "1":
    while not word.exists():
        time.sleep(0.01)
    number = int(word.read_text())
    word.unlink()
    os.kill(os.getpid(), number)
    sys.exit()
for run in ({GREEDY!r}, {OTHER!r}):
    folder = RunFolder(output, run)
    if folder.result() is None and folder.lock.acquire():
        with open(output / "tried", "a") as handle:
            handle.write(run + " ")
        tries, deaths = ((output / name).read_text().split() for name in ("tried", "deaths"))
        if run == {GREEDY!r} and tries.count(run) <= int(deaths[0]):
            if "RANK" in os.environ:
                write_text(word, "9")
                os._exit(BROKEN_UP)
            os.kill(os.getpid(), signal.SIGKILL)
        folder.write_result({{"status": "diverged", "reason": "so it was"}})
        folder.lock.release()
if "RANK" in os.environ:
    write_text(word, "0")
"""


@pytest.fixture
def carry_out(tmp_path, monkeypatch):
    """Both runs, of which the first kills its worker, the second of two, so many times; their results."""
    popen = group.subprocess.Popen
    monkeypatch.setattr(
        group.subprocess, "Popen", lambda words, **options: popen([sys.executable, "-c", WORKER], **options)
    )

    def run(deaths, processes=1):
        (tmp_path / "deaths").write_text(str(deaths))
        protocol = SimpleNamespace(epochs=1, batch_size=128, accumulate=1)
        runs = {"protocol": protocol, "world_size": processes, "canonical": dict}
        specs = [SimpleNamespace(id=run, **runs) for run in (GREEDY, OTHER)]
        local.run(specs, local.Execution(tmp_path, tmp_path, None, "cpu", 1, 1, 120.0, False), fresh=False)
        return {run: json.loads((tmp_path / run / "result.json").read_text()) for run in (GREEDY, OTHER)}

    return run


@pytest.mark.parametrize("processes", [1, 2])
def test_a_run_that_kills_its_worker_twice_has_failed_and_the_others_go_on(carry_out, tmp_path, capsys, processes):
    results = carry_out(deaths=9, processes=processes)
    reason = "killed by signal 9, probably for want of memory; try batch_size=64"
    assert (results[GREEDY]["status"], results[GREEDY]["reason"]) == ("failed", reason)
    assert results[OTHER]["status"] == "diverged"
    assert (tmp_path / "tried").read_text().split() == [GREEDY, GREEDY, OTHER]
    assert "killed by signal 9" in (tmp_path / GREEDY / "error.log").read_text()
    assert "tried once more" in capsys.readouterr().out
    assert not list(Path(tmp_path / GREEDY).glob("*lock*"))


GARBAGE = [b"\xff\xfe\0", b"something,else\n1,2\n", b"epoch\nmany\n", b"epoch,step\n\n1", b'epoch\n"\0']


@pytest.mark.parametrize("content", GARBAGE)
def test_metrics_of_an_unfinished_run_that_are_none_stop_nothing(tmp_path, content):
    (tmp_path / OTHER).mkdir(parents=True)
    (tmp_path / OTHER / "metrics.csv").write_bytes(content)
    spec = SimpleNamespace(id=OTHER, protocol=SimpleNamespace(epochs=1))
    with local.Reporter([spec], tmp_path) as reporter:
        reporter.look()
    assert reporter.ended == 0


@pytest.mark.parametrize("content", ['{"status": "completed"}', '{"status": "failed"}', '{"status": ["x"]}'])
def test_a_result_that_lacks_what_it_must_say_is_a_line(tmp_path, capsys, content):
    (tmp_path / OTHER).mkdir(parents=True)
    (tmp_path / OTHER / "result.json").write_text(content)
    with local.Reporter([SimpleNamespace(id=OTHER, protocol=SimpleNamespace(epochs=1))], tmp_path) as reporter:
        reporter.look()
    assert f"{OTHER}  damaged: result.json is not a result" in capsys.readouterr().out


def test_a_worker_killed_once_is_replaced(carry_out):
    results = carry_out(deaths=1)
    assert [results[run]["reason"] for run in (GREEDY, OTHER)] == ["so it was", "so it was"]


def test_a_run_that_another_command_begins_anew_behind_the_workers_is_one_line(carry_out, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "WORKER", "")  # they saw a result that was gone a moment later
    with pytest.raises(UserError, match="Another command began a run of this plan anew"):
        carry_out(deaths=0)


def test_workers_that_are_killed_at_no_run_end_the_plan(carry_out, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "WORKER", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(UserError, match="killed by signal 9"):
        carry_out(deaths=0)


def test_one_gpu_by_number_is_none_for_several_processes(tmp_path):
    spec = SimpleNamespace(id=OTHER, world_size=2, canonical=dict, protocol=SimpleNamespace(epochs=1))
    with pytest.raises(UserError, match="--device cuda:1 is one GPU: --processes 2 needs --device cuda"):
        local.run([spec], local.Execution(tmp_path, tmp_path, None, "cuda:1", 1, 1, 120.0, False), fresh=False)
