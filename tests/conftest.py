"""Settings of every test: no time limits on examples, one thread, so that two cores of a busy machine are enough."""

import csv
import json
import os
import time

import numpy as np
import pytest
import torch
from hypothesis import settings

from bench import lock as lock_module
from bench.lock import Lock

settings.register_profile("suite", deadline=None)
settings.load_profile("suite")
torch.set_num_threads(1)

TIMES = {"images_per_second", "memory_mib"}


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


@pytest.fixture(scope="session")
def outcome():
    """Of a run folder or of the only run of an output folder: everything but times, memory and incidents."""

    def of(folder):
        if not (folder / "result.json").exists():
            (folder,) = {path.parent for path in folder.glob("*/*/*/seed*/result.json")}
        result = json.loads((folder / "result.json").read_text())
        with open(folder / "metrics.csv", newline="") as handle:
            rows = [{key: value for key, value in row.items() if key not in TIMES} for row in csv.DictReader(handle)]
        predictions = dict(np.load(folder / "predictions.npz"))
        return {
            "scores": result["scores"],
            "geometry": result["geometry"],
            "rows": rows,
            "encoder": (folder / "encoder.safetensors").read_bytes(),
            "predictions": {name: value.tobytes() for name, value in predictions.items()},
        }

    return of
