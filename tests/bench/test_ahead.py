"""Pictures that are decoded by other processes while a run goes on: the same pictures, the same results."""

import copy
import os
import signal
import subprocess
import sys
import time
import weakref
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench import ahead, interrupt
from bench.arms import Arm
from bench.data import load
from bench.datasets._store import prepare
from bench.datasets.folder import Folder
from bench.errors import UserError
from bench.plan import Request, plan
from bench.pretrain import Trainer

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
TINY = ["backbone.width=4", "projector.hidden=16", "projector.output=16", "evaluate.curve_points=2", "image_size=16"]


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Two classes of noise at two sizes, 40 pictures for training and 10 for the test."""
    root, generator = tmp_path_factory.mktemp("own") / "pictures", np.random.default_rng(0)
    for part, count in (("train", 20), ("test", 5)):
        for name, level in (("dark", 60), ("light", 200)):
            folder = root / part / name
            folder.mkdir(parents=True)
            for number in range(count):
                shape = (20, 24 + number % 3, 3)
                pixels = generator.normal(level, 40, shape).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    return root


@pytest.fixture
def parts(pictures, tmp_path):
    """The training pictures from a store with pixels, and streamed."""
    dataset = Folder(str(pictures))
    kept = prepare(dataset, tmp_path, tmp_path / "kept")
    streamed = prepare(dataset, tmp_path, tmp_path / "streamed", streamed=True)
    return load(kept, CPU).train, load(streamed, CPU).train


def test_batches_come_in_order_and_are_those_of_the_store(parts):
    kept, streamed = parts
    batches = torch.randperm(len(kept), generator=torch.Generator().manual_seed(1)).split(7)
    before = torch.get_rng_state()
    for rows, ours, theirs in zip(batches, streamed.stream(batches), kept.stream(batches), strict=True):
        assert torch.equal(ours, theirs)
        assert torch.equal(ours, streamed.canvases(rows))
    assert torch.equal(torch.get_rng_state(), before), "nothing is drawn from the generator that methods draw from"


def test_only_as_much_is_made_ready_as_is_needed_soon(parts):
    """An endless order of batches, as pretraining gives, is drawn from as far as the processes have work."""
    drawn = []

    def endless():
        while True:
            drawn.append(len(drawn))
            yield torch.arange(5)

    stream = parts[1].stream(endless())
    for _ in range(4):
        next(stream)
    assert len(drawn) <= 4 + 2 * torch.get_num_threads() + 1


def test_a_file_that_is_gone_is_one_line(pictures, tmp_path, make_copy):
    own = make_copy(pictures, tmp_path / "copy")
    train = load(prepare(Folder(str(own)), tmp_path, streamed=True), CPU).train
    for path in (own / "train/dark").iterdir():
        path.unlink()
    with pytest.raises(UserError, match=r"^\S+/train/dark/\d+\.png cannot be read: No such file or directory\.$"):
        list(train.stream(torch.arange(len(train)).split(8)))


# A pipe closes before the signal of its process's death comes: torch's iterator may hear of it while it is deleted.
@pytest.mark.filterwarnings("ignore:Exception ignored in.*DataLoader:pytest.PytestUnraisableExceptionWarning")
def test_a_killed_process_ends_the_stream_and_does_not_hang_it(parts):
    stream = parts[1].stream(torch.arange(5) for _ in range(1000))
    next(stream)
    for process in children(os.getpid()):
        os.kill(process, signal.SIGKILL)
    with pytest.raises(RuntimeError, match="a process that decodes pictures is gone"):
        list(stream)


def test_a_process_that_ends_because_all_were_asked_to_is_no_failure(parts, monkeypatch):
    """SLURM sends TERM to every process; who is in an evaluation then finds its batches gone after a while."""
    monkeypatch.setattr(ahead, "GRACE_SECONDS", 0.2)
    monkeypatch.setattr(interrupt, "_requested", True)
    stream = parts[1].stream(torch.arange(5) for _ in range(10**9))
    next(stream)
    for process in children(os.getpid()):
        os.kill(process, signal.SIGTERM)
    with pytest.raises(interrupt.Interrupted):
        for _ in stream:
            pass


def test_processes_that_got_term_go_at_once_when_they_are_let_go(parts):
    before = set(children(os.getpid()))
    stream = parts[1].stream(torch.arange(5) for _ in range(1000))
    next(stream)
    for process in set(children(os.getpid())) - before:
        os.kill(process, signal.SIGTERM)
    since = time.monotonic()
    stream.close()
    assert time.monotonic() - since < ahead.GRACE_SECONDS / 2
    assert set(children(os.getpid())) <= before


@pytest.mark.filterwarnings("ignore:This DataLoader will create")
def test_large_batches_have_fewer_processes(parts, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    before = set(children(os.getpid()))
    stream = parts[1].stream(torch.arange(5) for _ in range(1000))
    next(stream)
    assert len(set(children(os.getpid())) - before) == 4
    stream.close()
    one = 5 * np.prod(parts[1].split.images.shape[1:])
    monkeypatch.setattr(ahead, "MOST_BYTES", int(2 * ahead.EACH * one))
    stream = parts[1].stream(torch.arange(5) for _ in range(1000))
    next(stream)
    assert len(set(children(os.getpid())) - before) == 2


@pytest.fixture
def make_copy():
    import shutil

    return shutil.copytree


def children(parent):
    """Process ids of the direct children."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        if int(fields[1]) == parent and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found


def words(pictures, output, data_root, epochs, *more):
    base = ["run", "--dataset", f"folder:{pictures}", "--data-root", str(data_root), "--output", str(output)]
    plan = ["--methods", "smi", "--seeds", "1", "--epochs", str(epochs), "--batch-size", "8", "--device", "cpu"]
    return [sys.executable, "-m", "bench", *base, *plan, "--jobs", "1", *TINY, *more]


@pytest.mark.slow
def test_a_run_is_the_same_run_however_its_pictures_come_and_whatever_interrupts_it(pictures, outcome, tmp_path):
    """Asked to stop by a signal to all of its processes, as a terminal or SLURM sends it; then killed with SIGKILL."""
    kept, streamed = tmp_path / "kept", tmp_path / "streamed"
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    options = {"cwd": ROOT, "env": environment, "capture_output": True, "text": True, "timeout": 300}
    done = subprocess.run(words(pictures, kept, tmp_path / "a", 30), **options)
    assert done.returncode == 0, done.stderr
    prepare(Folder(str(pictures)), tmp_path / "b", streamed=True)
    for number in (signal.SIGTERM, signal.SIGKILL):
        before = progress_of(streamed)
        process = subprocess.Popen(
            words(pictures, streamed, tmp_path / "b", 30, "--checkpoint-seconds", "0"),
            cwd=ROOT,
            env=environment,
            start_new_session=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        deadline = time.monotonic() + 120
        while progress_of(streamed) < before + 3 and time.monotonic() < deadline:
            time.sleep(0.05)
        os.killpg(process.pid, number)
        since = time.monotonic()
        errors = process.communicate(timeout=60)[1]
        assert time.monotonic() - since < ahead.GRACE_SECONDS, "it has its step to end, and nothing to wait for"
        assert "Traceback" not in errors, errors
        wait_for_the_end_of(process.pid)
    assert 3 <= progress_of(streamed) < 30, "the run was not interrupted: the test shows nothing"
    done = subprocess.run(words(pictures, streamed, tmp_path / "b", 30), **options)
    assert done.returncode == 0, done.stderr
    assert outcome(streamed) == outcome(kept)


def progress_of(output):
    """Epochs of the one run that metrics.csv has."""
    paths = list(output.glob("*/*/*/seed*/metrics.csv"))
    return len(paths[0].read_text().splitlines()) - 1 if paths else 0


def wait_for_the_end_of(session):
    """Of every process of a session: those that decode must not outlive the run."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        alive = []
        for path in Path("/proc").glob("[0-9]*/stat"):
            try:
                fields = path.read_text().rpartition(")")[2].split()
            except (FileNotFoundError, ProcessLookupError):
                continue
            if int(fields[3]) == session and fields[0] != "Z":
                alive.append(path.parent.name)
        if not alive:
            return
        time.sleep(0.1)
    raise AssertionError(f"still there: {alive}")


def test_a_trainer_that_is_dropped_is_gone_with_its_processes(trainer_of):
    before = set(children(os.getpid()))
    trainer = trainer_of(streamed=True)
    trainer.measure_step(2)
    assert set(children(os.getpid())) - before
    gone = weakref.ref(trainer)
    del trainer
    assert gone() is None, "nothing that the trainer holds holds the trainer"
    assert set(children(os.getpid())) <= before


def test_evaluation_that_is_interrupted_goes_on_behind_the_last_step(trainer_of, tmp_path, monkeypatch):
    """Training is not repeated: its end is in the checkpoint."""
    from bench import observe, run
    from bench.store import RunFolder

    trainer = trainer_of(streamed=False)
    folder, settings = RunFolder(tmp_path / "o", trainer.spec.id), run.Settings(tmp_path / "o", CPU, 1, 1e9)
    assert folder.lock.acquire()

    def interrupted(*_):
        raise interrupt.Interrupted

    with monkeypatch.context() as patched:
        patched.setattr(observe, "evaluate", interrupted)
        with pytest.raises(interrupt.Interrupted):
            run.execute(trainer.spec, trainer.data, folder, settings)
    assert folder.result() is None
    monkeypatch.setattr(run.Trainer, "_step", interrupted)
    assert run.execute(trainer.spec, trainer.data, folder, settings) == "completed"
    folder.lock.release()


def test_steps_are_the_same_to_the_bit_from_the_middle_of_an_epoch_on(trainer_of):
    """Also where a batch goes through in parts."""
    losses = {}
    for streamed in (False, True):
        trainer, again = trainer_of(streamed), trainer_of(streamed)
        trainer.measure_step(4)
        again.restore(copy.deepcopy(trainer.state()))
        for each in (trainer, again):
            each.measure_step(3)
        losses[streamed] = [float(each.progress.sums["loss"]) for each in (trainer, again)]
    assert losses[False] == losses[True]
    assert losses[False][0] == losses[False][1]


@pytest.fixture
def trainer_of(pictures, tmp_path):
    """Function that gives a trainer on streamed or kept pictures, its batches in two parts."""

    def make(streamed):
        root = tmp_path / str(streamed)
        store = prepare(Folder(str(pictures)), root, streamed=streamed)
        words = [*TINY, "epochs=3", "batch_size=12", "accumulate=2", "precision=float32"]
        request = Request([Arm("barlow")], [f"folder:{pictures}"], [0], "quick", words, root, recipe="none")
        return Trainer(plan(request, CPU)[0], load(store, CPU), CPU)

    return make
