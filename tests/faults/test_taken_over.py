"""A process that stood still so long that its run was taken over, and that then goes on as if nothing had been."""

import json
import os
import signal
import time

import pytest

from bench.hardware import cores
from bench.lock import STALE_SECONDS

FROZEN = '''"""Frozen: stops its whole process in mid-training, once."""
import os
import signal
from dataclasses import dataclass
from pathlib import Path
from bench.api import Method

@dataclass(frozen=True)
class Config:
    pass

class Frozen(Method):
    citation = "a test"
    Config = Config
    steps = 0

    def loss(self, views, indices, labels):
        self.steps += 1
        mark = Path(__file__).with_name("stopped")
        if self.steps == 15 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGSTOP)
        za, zb = (self.encoder(view).float() for view in views)
        return (za - zb).square().mean(), {}
'''


@pytest.mark.slow
def test_a_process_whose_run_was_taken_over_writes_nothing_more_and_ends(
    start, call, spec_of, carry_out, outcome, tmp_path
):
    (tmp_path / "frozen.py").write_text(FROZEN)
    output, method = tmp_path / "o", f"file:{tmp_path / 'frozen.py'}"
    options = ["--executor", "inline", "--checkpoint-seconds", "0", "precision=float32"]
    first = start(output, *options, methods=method)
    assert os.WIFSTOPPED(os.waitpid(first.pid, os.WUNTRACED)[1])
    (lock,) = output.glob("*/*/*/*/lock")
    as_of_a_silent_host(lock)
    assert (lock.parent / "checkpoint.pt").exists(), "the second has nothing to go on from"
    second = call(output, *options, methods=method)
    assert second.returncode == 0, second.stderr
    ended = content(lock.parent)
    first.send_signal(signal.SIGCONT)
    printed, complaints = first.communicate(timeout=120)
    assert first.returncode == 0, complaints
    assert "| Frozen" in printed
    assert content(lock.parent) == ended
    spec = spec_of(method=method)
    assert carry_out(spec, tmp_path / "alone", threads=cores()) == "completed"
    assert outcome(lock.parent) == outcome(tmp_path / "alone")


def as_of_a_silent_host(lock):
    """Of the same owner, who now is on another machine, and whose heartbeat has stood too long."""
    owner = json.loads(lock.read_text())
    lock.write_text(json.dumps({**owner, "machine": "another host"}))
    for path in (lock, lock.with_name(f".lock.{owner['token']}.beat")):
        os.utime(path, (time.time() - STALE_SECONDS - 5,) * 2)


def content(folder):
    return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in folder.rglob("*") if path.is_file()}
