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
import json, os, signal, sys
from pathlib import Path
from bench.store import RunFolder
output = Path(json.loads(sys.stdin.readline())["output"])
for run in ({GREEDY!r}, {OTHER!r}):
    folder = RunFolder(output, run)
    if folder.result() is None and folder.lock.acquire():
        with open(output / "tried", "a") as handle:
            handle.write(run + " ")
        tries, deaths = ((output / name).read_text().split() for name in ("tried", "deaths"))
        if run == {GREEDY!r} and tries.count(run) <= int(deaths[0]):
            os.kill(os.getpid(), signal.SIGKILL)
        folder.write_result({{"status": "diverged", "reason": "so it was"}})
        folder.lock.release()
"""


@pytest.fixture
def carry_out(tmp_path, monkeypatch):
    """Both runs, of which the first kills its worker so many times; their results."""
    popen = group.subprocess.Popen
    monkeypatch.setattr(
        group.subprocess, "Popen", lambda words, **options: popen([sys.executable, "-c", WORKER], **options)
    )

    def run(deaths):
        (tmp_path / "deaths").write_text(str(deaths))
        protocol = SimpleNamespace(epochs=1, batch_size=128)
        specs = [SimpleNamespace(id=run, protocol=protocol, world_size=1, canonical=dict) for run in (GREEDY, OTHER)]
        local.run(specs, local.Execution(tmp_path, tmp_path, None, "cpu", 1, 1, 120.0, False), fresh=False)
        return {run: json.loads((tmp_path / run / "result.json").read_text()) for run in (GREEDY, OTHER)}

    return run


def test_a_run_that_kills_its_worker_twice_has_failed_and_the_others_go_on(carry_out, tmp_path, capsys):
    results = carry_out(deaths=9)
    reason = "killed by signal 9, probably for want of memory; try batch_size=64"
    assert (results[GREEDY]["status"], results[GREEDY]["reason"]) == ("failed", reason)
    assert results[OTHER]["status"] == "diverged"
    assert (tmp_path / "tried").read_text().split() == [GREEDY, GREEDY, OTHER]
    assert "killed by signal 9" in (tmp_path / GREEDY / "error.log").read_text()
    assert "tried once more" in capsys.readouterr().out
    assert not list(Path(tmp_path / GREEDY).glob("*lock*"))


def test_a_worker_killed_once_is_replaced(carry_out):
    results = carry_out(deaths=1)
    assert [results[run]["reason"] for run in (GREEDY, OTHER)] == ["so it was", "so it was"]


def test_workers_that_are_killed_at_no_run_end_the_plan(carry_out, monkeypatch):
    monkeypatch.setattr(sys.modules[__name__], "WORKER", "import os; os.kill(os.getpid(), 9)")
    with pytest.raises(UserError, match="killed by signal 9"):
        carry_out(deaths=0)
