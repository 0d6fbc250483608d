"""How far runs are, read from files as a run writes them."""

import json

import pytest
import yaml

from bench.standing import Standing, Watcher, standing_of
from bench.store import RunFolder

HEADER = "epoch,step,loss,images_per_second\n"


@pytest.fixture
def folder(tmp_path):
    """A run that has written its configuration and two of four epochs: 10 steps of 8 images each."""
    path = tmp_path / "digits/smi/0123abcd/seed0"
    path.mkdir(parents=True)
    (path / "config.yaml").write_text(yaml.safe_dump({"epochs": 4, "batch_size": 8}))
    (path / "metrics.csv").write_text(HEADER + "1,10,2.5,20\n2,20,1.5,40\n")
    return RunFolder(tmp_path, "digits/smi/0123abcd/seed0")


def test_a_run_that_goes_on_has_a_rate_and_a_time_left(folder):
    assert folder.lock.acquire()
    try:
        standing = standing_of(folder)
    finally:
        folder.lock.release()
    assert (standing.state, standing.epoch, standing.epochs, standing.loss) == ("running", 2, 4, 1.5)
    assert standing.images_per_second == 40
    assert standing.seconds_left == 2 * 10 * 8 / 40  # two epochs of 80 images at 40 images/s


def test_without_a_lock_it_has_stopped_and_before_the_first_epoch_nothing_is_guessed(folder):
    assert standing_of(folder).state == "stopped"
    (folder.path / "metrics.csv").unlink()
    assert standing_of(folder) == Standing(folder.run_id, "stopped", 0, 4)


@pytest.mark.parametrize(
    ("result", "state", "outcome"),
    [
        ({"status": "completed", "collapsed": False}, "completed", "linear 51.0 %, kNN 40.0 % (9 s)"),
        ({"status": "completed", "collapsed": True}, "collapsed", "linear 51.0 %, kNN 40.0 % (9 s)"),
        ({"status": "diverged", "reason": "nan: at step 3"}, "diverged", "nan: at step 3"),
    ],
)
def test_a_run_that_has_ended_says_how(folder, result, state, outcome):
    rest = {"scores": {"linear": 0.51, "knn": 0.4}, "cost": {"seconds": 9}}
    (folder.path / "result.json").write_text(json.dumps({**rest, **result}))
    standing = standing_of(folder)
    assert (standing.state, standing.outcome, standing.ended) == (state, outcome, True)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("result.json", "{"),
        ("result.json", '{"status": "completed"}'),
        ("config.yaml", "epochs: many"),
        ("config.yaml", "- a list"),
        ("metrics.csv", "something,else\n1,2\n"),
        ("metrics.csv", HEADER + "1,10,much,20\n"),
        ("metrics.csv", HEADER + '"' + "1" * 200_000),
    ],
)
def test_a_damaged_file_is_named(folder, name, content):
    (folder.path / name).write_text(content)
    standing = standing_of(folder)
    assert standing.state == "damaged"
    assert name in standing.outcome


def test_a_watcher_sees_a_failed_run_begin_anew(folder, tmp_path):
    watcher = Watcher(tmp_path)
    (folder.path / "result.json").write_text(json.dumps({"status": "failed", "reason": "out of memory"}))
    assert [standing.state for standing in watcher.look()] == ["failed"]
    (folder.path / "result.json").unlink()
    assert [standing.state for standing in watcher.look()] == ["stopped"]


def test_a_watcher_sees_new_runs_and_reads_ended_ones_once(folder, tmp_path):
    watcher = Watcher(tmp_path)
    assert [standing.run_id for standing in watcher.look()] == [folder.run_id]
    result = {"status": "diverged", "reason": "the loss was not finite"}
    (folder.path / "result.json").write_text(json.dumps(result))
    assert watcher.look()[0].state == "diverged"
    (folder.path / "metrics.csv").write_text("damaged later")
    other = tmp_path / "digits/barlow/0123abcd/seed0"
    other.mkdir(parents=True)
    (other / "config.yaml").write_text(yaml.safe_dump({"epochs": 4, "batch_size": 8}))
    assert [(standing.run_id, standing.state) for standing in watcher.look()] == [
        ("digits/barlow/0123abcd/seed0", "stopped"),
        ("digits/smi/0123abcd/seed0", "diverged"),
    ]
