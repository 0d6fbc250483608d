"""Settings of every test: no time limits on examples, one thread, so that two cores of a busy machine are enough."""

import os
import time

import pytest
import torch
from hypothesis import settings

from bench import lock as lock_module
from bench.lock import Lock

settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
torch.set_num_threads(1)


@pytest.fixture
def left_behind(monkeypatch):
    """`left_behind(path, age)`: the lock of a process of another host that has gone, `age` seconds after its last
    heartbeat, or without any."""

    def leave(path, age, beat=True):
        owner = Lock(path)
        with monkeypatch.context() as patch:
            patch.setattr(lock_module, "_machine", lambda: "another host")
            assert owner.acquire()
        owner._stop.set()
        owner._thread.join()
        heartbeat = owner._heartbeat(owner.token)
        if not beat:
            heartbeat.unlink()
        for each in (heartbeat, path) if beat else (path,):
            os.utime(each, (time.time() - age,) * 2)

    return leave
