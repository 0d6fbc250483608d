"""When one process writes a checkpoint and when it stops."""

import pytest

from bench import interrupt, pace
from bench.pace import Pace


@pytest.fixture
def clock(monkeypatch):
    now = [0.0]
    monkeypatch.setattr(pace.time, "perf_counter", lambda: now[0])
    interrupt.clear()
    yield now
    interrupt.clear()


def test_a_checkpoint_is_due_when_its_time_has_come_and_again_after_it_was_written(clock):
    ours = Pace(120)
    clock[0] = 119.0
    assert ours.after_step() == (False, False)
    clock[0] = 120.0
    assert ours.after_step() == (True, False)
    ours.saved()
    assert ours.after_step() == (False, False)
    clock[0] = 240.0
    assert ours.after_step() == (True, False)


def test_a_request_is_seen_after_the_very_step_until_it_is_cleared(clock):
    ours = Pace(120)
    assert ours.after_step() == (False, False)
    interrupt.request()
    assert ours.after_step() == (False, True)
    interrupt.clear()
    assert ours.after_step() == (False, False)
