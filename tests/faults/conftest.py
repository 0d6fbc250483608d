"""A small run on digits: its specification, in this process and as a command, and what must not depend on faults."""

import functools
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench.arms import Arm
from bench.data import load
from bench.datasets._store import open_store, prepare
from bench.hardware import prepare_process
from bench.plan import Request, open_dataset, plan
from bench.run import Settings, execute
from bench.store import RunFolder

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
TINY = ["backbone.width=4", "projector.hidden=16", "projector.output=16", "evaluate.curve_points=1", "batch_size=128"]


@pytest.fixture(scope="session")
def data_root(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    prepare(open_dataset("digits"), root)
    return root


@pytest.fixture
def spec_of(data_root):
    """A run of `method` for two epochs, or as other words say."""

    def make(*words, method="smi", processes=1):
        words = [*TINY, "epochs=2", "precision=float32", *words]
        request = Request([Arm(method)], ["digits"], [0], "quick", words, data_root, recipe="none", processes=processes)
        return plan(request, CPU)[0]

    return make


@pytest.fixture
def carry_out(data_root, monkeypatch):
    """Carry a run out in this process, under its lock; its status. A command gives it the `threads` of all cores."""

    def run(spec, output, checkpoint_seconds=1e9, threads=1):
        prepare_process(CPU, threads)
        folder = RunFolder(output, spec.id)
        assert folder.lock.acquire()
        try:
            data = load(open_store(open_dataset("digits"), data_root), CPU)
            return execute(spec, data, folder, Settings(output, CPU, threads, checkpoint_seconds))
        finally:
            folder.lock.release()

    yield run
    torch.use_deterministic_algorithms(False)
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def command(data_root):
    """The words of a `run` on digits, with one thread for each process."""

    def words(output, *more, methods="smi", seeds="1", epochs="2"):
        base = ["run", "--dataset", "digits", "--data-root", str(data_root), "--output", str(output)]
        plan_words = ["--methods", methods, "--seeds", seeds, "--epochs", epochs, "--recipe", "none", "--device", "cpu"]
        return [sys.executable, "-m", "bench", *base, *plan_words, *TINY, *more]

    return words


@pytest.fixture(scope="session")
def call(command):
    """Give that command and wait for its end."""

    def run(output, *more, **options):
        return subprocess.run(
            command(output, *more, **options), cwd=ROOT, capture_output=True, text=True, timeout=600, env=environment()
        )

    return run


@pytest.fixture
def start(command):
    """Give that command in a session of its own; whatever is left of it is killed at the end of the test."""
    started = []

    def run(output, *more, **options):
        words = command(output, *more, **options)
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
        # Under a shell's background job, a command would ignore Ctrl-C as its parent does.
        obey = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
        process = subprocess.Popen(words, cwd=ROOT, start_new_session=True, env=environment(), preexec_fn=obey, **pipes)
        started.append(process)
        return started[-1]

    yield run
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, 9)
            process.wait()


def environment():
    return {**os.environ, "OMP_NUM_THREADS": "1"}
