"""Settings of every test: no time limits on examples, one core each, so that two of a busy machine are enough."""

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
CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
if CORES and WORKER:
    # A core for each pytest worker and for what its tests start: two threads of each of four small runs on two cores
    # wait for one another, which took twice as long.
    os.sched_setaffinity(0, {CORES[int(WORKER.removeprefix("gw")) % len(CORES)]})

TIMES = {"images_per_second", "memory_mib"}


@pytest.fixture(scope="session")
def every_core():
    """For tests whose processes must see the whole machine, as a cluster's do, and for those behind them."""
    if CORES:
        os.sched_setaffinity(0, CORES)


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
