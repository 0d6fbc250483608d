"""`--tensorboard`: what TensorBoard's own reader finds in run folders; real runs of a few seconds."""

import csv
import errno
import json
import subprocess
import sys
import time
import tomllib
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import tensorboard, worker
from bench.cli import main
from bench.errors import UserError
from bench.store import RunFolder

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
TINY = ["backbone.width=4", "projector.hidden=16", "projector.output=16", "evaluate.curve_points=2", "batch_size=128"]
EPOCHS = 4


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def words(data_root):
    """Of a run of `smi` on digits into an output folder."""

    def of(output, *more):
        plan = ["--methods", "smi", "--dataset", "digits", "--seeds", "1", "--epochs", str(EPOCHS), "--device", "cpu"]
        return ["run", *plan, "--data-root", str(data_root), "--output", str(output), *TINY, *more]

    return of


@pytest.fixture(scope="module")
def run(words):
    """Carry it out in this process; the exit code."""

    def carry_out(output, *more):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("bench.hardware.cores", lambda: 1)  # threads that wait for a busy core take minutes
            try:
                return main(words(output, "--executor", "inline", *more))
            finally:
                torch.use_deterministic_algorithms(False)

    return carry_out


@pytest.fixture(scope="module")
def watched(run, tmp_path_factory):
    """Output folder of a run with events, not to be changed."""
    pytest.importorskip("tensorboard")
    output = tmp_path_factory.mktemp("watched")
    assert run(output, "--tensorboard") == 0
    return output


@pytest.fixture
def missing(monkeypatch):
    """As if the package were not installed."""
    for name in [name for name in sys.modules if name.startswith("torch.utils.tensorboard")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)


def run_folder(output):
    (config,) = output.glob("*/*/*/seed*/config.yaml")
    return config.parent


def metrics(output):
    with open(run_folder(output) / "metrics.csv", newline="") as handle:
        return list(csv.DictReader(handle))


def points(output, **options):
    """Tag -> its (step, value) in the order of TensorBoard."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(run_folder(output) / "tensorboard"), size_guidance={"scalars": 0}, **options).Reload()
    return {tag: [(event.step, event.value) for event in events.Scalars(tag)] for tag in events.Tags()["scalars"]}


def assert_points_are_metrics(output):
    rows, found = metrics(output), points(output)
    assert len(rows) == EPOCHS
    assert set(found) == set(rows[0]) - {"step"}
    for tag, values in found.items():
        expected = [(int(row["step"]), float(row[tag])) for row in rows if row[tag]]
        assert [step for step, _ in values] == [step for step, _ in expected], tag
        np.testing.assert_allclose([value for _, value in values], [value for _, value in expected], rtol=1e-6)


def result(output):
    """What must not depend on the switch."""
    folder = run_folder(output)
    found = json.loads((folder / "result.json").read_text())
    times = {"images_per_second", "memory_mib"}
    rows = [{key: value for key, value in row.items() if key not in times} for row in metrics(output)]
    digests = {name: digest for name, digest in found["files"].items() if name != "metrics.csv"}
    return folder.relative_to(output), found["scores"], found["geometry"], list(found["files"]), digests, rows


def test_events_are_the_numbers_of_metrics(watched):
    assert_points_are_metrics(watched)
    found = points(watched)
    assert {"loss", "learning_rate", "knn_validation", "geometry.effective_rank"} <= set(found)
    assert len(found["knn_validation"]) == 2, "only the epochs of the learning curve have one"


def test_results_are_the_same_without_events_and_without_the_package(watched, run, missing, tmp_path):
    assert run(tmp_path) == 0
    assert not (run_folder(tmp_path) / "tensorboard").exists()
    assert result(tmp_path) == result(watched)


def test_other_commands_do_not_mind_the_folder(watched, capsys):
    report = str(watched / "report")
    assert main(["report", str(watched), "--destination", report]) == 0
    assert main(["verify", report, str(watched)]) == 0
    assert main(["status", str(watched)]) == 0
    assert "1 run" in capsys.readouterr().out


@pytest.fixture
def disk_full_in_epoch_3(monkeypatch):
    """Of its checkpoints, every one from its end on: a row is written by then, and the newest checkpoint is older."""
    from bench import checkpoint

    save = checkpoint.save

    def save_or_fail(folder, state):
        if len(state["trainer"]["progress"]["rows"]) == 3:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(folder, state)

    monkeypatch.setattr(checkpoint, "save", save_or_fail)
    return monkeypatch.undo


def test_a_resumed_run_has_every_step_once(watched, run, disk_full_in_epoch_3, tmp_path):
    assert run(tmp_path, "--tensorboard", "--checkpoint-seconds", "0") == 2
    assert len(points(tmp_path)["loss"]) == 3
    disk_full_in_epoch_3()
    time.sleep(1)  # event files are read in the order of the seconds in their names
    assert run(tmp_path, "--tensorboard") == 0
    third = int(metrics(tmp_path)[2]["step"])
    written = points(tmp_path, purge_orphaned_data=False)["loss"]
    assert [step for step, _ in written].count(third) == 2, "nothing had to be taken back: the test shows nothing"
    assert_points_are_metrics(tmp_path)
    assert result(tmp_path) == result(watched)


def test_events_asked_for_later_begin_with_the_first_epoch(watched, run, disk_full_in_epoch_3, tmp_path):
    assert run(tmp_path, "--checkpoint-seconds", "0") == 2
    disk_full_in_epoch_3()
    assert run(tmp_path, "--tensorboard") == 0
    assert_points_are_metrics(tmp_path)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("epoch", [2, EPOCHS], ids=["first of an epoch", "last of all"])
def test_a_disk_too_full_for_one_number_ends_the_command_as_for_other_files(
    watched, run, tmp_path, monkeypatch, capsys, epoch
):
    from tensorboard.summary.writer.record_writer import RecordWriter

    write, numbers = RecordWriter.write, [step for values in points(watched).values() for step, _ in values]
    left = 3 + (len(numbers) - 1 if epoch == EPOCHS else numbers.count(min(numbers)))  # three records begin a file

    def write_or_fail(self, data):
        nonlocal left
        left -= 1
        if left < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        write(self, data)

    monkeypatch.setattr(RecordWriter, "write", write_or_fail)
    assert run(tmp_path, "--tensorboard") == 2
    assert len(metrics(tmp_path)) == epoch
    assert "bench: No space left under" in capsys.readouterr().err.splitlines()[-1]
    assert not (run_folder(tmp_path) / "result.json").exists()


def test_a_fresh_run_forgets_earlier_events(tmp_path):
    folder = RunFolder(tmp_path, "digits/smi/0/seed0")
    folder.events.mkdir(parents=True)
    (folder.events / "events.out.tfevents.0").touch()
    folder.reset(fresh=False)
    assert folder.events.exists()
    folder.reset(fresh=True)
    assert not folder.events.exists()


def test_without_the_package_the_command_refuses_before_anything_runs(run, missing, tmp_path, capsys):
    assert run(tmp_path / "o", "--tensorboard") == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    (line,) = printed.err.splitlines()
    assert line.startswith("bench: --tensorboard needs the package tensorboard")
    assert line.endswith(f"python -m pip install '{tensorboard.REQUIREMENT}'")
    assert not (tmp_path / "o").exists()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["optional-dependencies"]["tensorboard"] == [tensorboard.REQUIREMENT]


def test_a_job_without_the_package_refuses_instead_of_recording_a_failure(missing, tmp_path):
    with pytest.raises(UserError, match="needs the package tensorboard"):
        worker.work_through({"output": str(tmp_path), "device": "cpu", "runs": [], "tensorboard": True})


def test_of_several_processes_one_writes(words, tmp_path):
    pytest.importorskip("tensorboard")
    command = [sys.executable, "-m", "bench", *words(tmp_path, "--processes", "2", "--jobs", "1", "--tensorboard")]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert len(list((run_folder(tmp_path) / "tensorboard").iterdir())) == 1
    assert_points_are_metrics(tmp_path)
