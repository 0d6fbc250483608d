"""Tuning: equal numbers of trials, ranges from the methods' files, validation data alone, a recipe at the end."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from hypothesis import given
from hypothesis import strategies as st

from bench import discover
from bench.api import Search
from bench.arms import parse
from bench.cli import main
from bench.errors import UserError
from bench.plan import Request, plan
from bench.store import RunFolder
from bench.tuning import TUNING_SEED, best_of, plan_trials, points, search_space, share_of, trained_steps, value_at

ROOT = Path(__file__).parents[2]
CPU = torch.device("cpu")
SEARCHES = [Search(0.05, 1.0), Search(1, 100, "linear"), Search(0.8, 0.996, "momentum")]


@pytest.fixture(scope="module")
def data_root(tmp_path_factory):
    return tmp_path_factory.mktemp("data")


def request_for(data_root, *names, words=()):
    arms = [parse(name) for name in names]
    return Request(arms, ["digits"], [0], "quick", list(words), data_root, recipe="none")


def space_of(data_root, name, *words):
    request = request_for(data_root, name, words=words)
    spec = plan(request, CPU)[0]
    return search_space(request.methods[0], spec, words, trained_steps(spec, request))


def test_a_momentum_is_searched_as_far_as_a_trial_can_use_it(data_root):
    full = space_of(data_root, "byol")["momentum"]
    assert full.high == pytest.approx(1 - 20 / (69 * 4))  # 1,168 pictures in batches of 256
    assert "momentum" not in space_of(data_root, "byol", "epochs=20")


@given(st.sampled_from(SEARCHES), st.floats(0, 1))
def test_a_share_of_a_range_is_a_value_in_it_and_back(search, share):
    value = value_at(search, share)
    assert search.low * 0.99 <= value <= search.high * 1.01
    assert share_of(search, value) == pytest.approx(share, abs=0.01)


def test_ranges_come_from_the_methods_file_and_the_presets_rate(data_root):
    space = space_of(data_root, "smi")
    assert set(space) == {"optimizer.lr", "w"}
    assert (space["optimizer.lr"].low, space["optimizer.lr"].high) == pytest.approx((1e-4, 1e-2))


def test_what_is_set_already_is_not_searched(data_root):
    assert set(space_of(data_root, "smi:w=3")) == {"optimizer.lr"}
    assert set(space_of(data_root, "smi", "smi.w=3", "optimizer.lr=0.1")) == set()


def test_learning_rates_of_the_users_own_replace_the_presets_range(data_root):
    request = request_for(data_root, "smi")
    trials = plan_trials(request, 8, CPU, rates=(0.01, 1.0))
    rates = [trial.settings["optimizer.lr"] for trial in trials[1:]]
    assert 0.01 <= min(rates) < 0.1 < max(rates) <= 1.0
    assert trials[0].settings == {}


def test_an_arm_of_which_nothing_is_left_to_search_is_refused(data_root):
    """Its trials were one and the same run, under the label of many."""
    with pytest.raises(UserError, match="simsiam: all that its tuning would search is set already"):
        plan_trials(request_for(data_root, "barlow", "simsiam", words=["optimizer.lr=0.01"]), 3, CPU)


@pytest.mark.parametrize("text", ["1", "1,0.1", "0,1", "a,b", "1,2,3", "1,inf"])
def test_rates_that_are_no_range_are_refused_in_one_line(text, capsys):
    assert main(["tune", "--methods", "smi", "--dataset", "digits", "--rates", text]) == 2
    assert f"--rates {text}: two learning rates" in capsys.readouterr().err


@pytest.mark.parametrize("name", discover.names("methods"))
def test_both_ends_of_every_methods_ranges_can_be_planned(name, data_root):
    if discover.describe("methods", name).missing:
        pytest.skip("needs a package that is not installed")
    space = space_of(data_root, name)
    ends = [[f"{key}={value_at(search, end)!r}" for key, search in space.items()] for end in (0.0, 1.0)]
    request = request_for(data_root, *(":".join([name, *words]) for words in ends))
    assert len({spec.id for spec in plan(request, CPU)}) == 2


def test_the_first_trial_is_the_default_and_the_rest_are_the_same_every_time():
    space = dict(zip("abc", SEARCHES, strict=True))
    drawn = points(space, 16)
    assert drawn[0] == {}
    assert drawn == points(space, 16)
    assert drawn[:4] == points(space, 4)
    shares = [[share_of(space[name], trial[name]) for trial in drawn[1:]] for name in space]
    assert all(min(column) < 0.2 and max(column) > 0.8 for column in shares)


def test_every_arm_has_as_many_trials_and_none_sees_the_test_split(data_root):
    request = request_for(data_root, "smi", "smi:transform=identity", "barlow")
    trials = plan_trials(request, 5, CPU)
    assert [trial.arm.name for trial in trials[:3]] == [arm.name for arm in request.methods]
    assert [sum(trial.arm == arm for trial in trials) for arm in request.methods] == [5, 5, 5]
    assert {trial.spec.seed for trial in trials} == {TUNING_SEED}
    assert not any(trial.spec.protocol.evaluate.test for trial in trials)
    assert len({trial.spec.id for trial in trials}) == 15


def outcomes(data_root, tmp_path, scores, collapsed=()):
    request = request_for(data_root, "barlow")
    trials = plan_trials(request, len(scores), CPU)
    folders = [RunFolder(tmp_path, trial.spec.id) for trial in trials]
    for number, (folder, pair) in enumerate(zip(folders, scores, strict=True)):
        result = {"status": "diverged", "reason": "", "id": ""}
        if pair is not None:
            names = ("linear_validation", "knn_validation")
            values = {"scores": dict(zip(names, pair, strict=True)), "collapsed": number in collapsed}
            result = {**result, "status": "completed", **values}
        folder.path.mkdir(parents=True)
        (folder.path / "result.json").write_text(json.dumps(result))
    return trials, best_of(trials, folders, request)


@pytest.mark.parametrize(
    ("scores", "winner"),
    [
        ([(0.5, 0.9), (0.6, 0.1), (0.55, 0.2)], 1),
        ([(0.6, 0.1), (0.6, 0.3), (0.6, 0.2)], 1),
        ([(0.6, 0.3), (0.6, 0.3), None], 0),
        ([None, (0.1, 0.1), (0.2, 0.0)], 2),
    ],
)
def test_the_best_on_validation_wins_knn_decides_and_the_first_of_equals_stays(data_root, tmp_path, scores, winner):
    trials, best = outcomes(data_root, tmp_path, scores)
    assert best.settings == trials[winner].settings
    assert best.score == scores[winner][0]
    assert best.default_score == (scores[0][0] if scores[0] else None)
    assert best.completed == sum(pair is not None for pair in scores)
    assert set(best.at_edge) <= set(best.settings)


def test_a_collapsed_trial_wins_only_where_all_collapsed(data_root, tmp_path):
    scores = [(0.2, 0.1), (0.4, 0.1), (0.3, 0.1)]
    trials, best = outcomes(data_root, tmp_path / "some", scores, collapsed=(1,))
    assert best.settings == trials[2].settings
    assert (best.completed, best.collapsed) == (2, 1)
    trials, best = outcomes(data_root, tmp_path / "all", scores, collapsed=(0, 1, 2))
    assert best.settings == trials[1].settings


def test_without_a_completed_trial_nothing_is_recommended(data_root, tmp_path):
    assert outcomes(data_root, tmp_path, [None, None])[1] is None


@pytest.mark.parametrize("word", ["budget.length=2", "budget.images=900", "epochs=3"])
def test_seconds_of_a_trial_and_another_length_are_refused(word, capsys):
    words = ["tune", "--methods", "smi", "--dataset", "digits", "--trial-seconds", "9", word]
    assert main(words) == 2
    assert f"--trial-seconds sets the epochs: leave {word.partition('=')[0]} out." in capsys.readouterr().err


@pytest.mark.parametrize("word", ["smi.budget.length=2", "smi.epochs=3"])
def test_trials_of_one_method_are_as_long_as_those_of_the_others(word, capsys):
    assert main(["tune", "--methods", "smi,barlow", "--dataset", "digits", "--dry-run", word]) == 2
    assert f"'{word}': trials of one method would be of another length" in capsys.readouterr().err


def test_what_is_not_trained_is_not_tuned(capsys):
    assert main(["tune", "--methods", "smi,random", "--dataset", "digits", "--dry-run"]) == 2
    assert "random is not trained" in capsys.readouterr().err


def test_a_dry_run_prints_the_trials_and_runs_none(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ["--epochs", "1", "backbone.width=4", "projector.hidden=16", "projector.output=16", "image_size=8"]
    assert main(["tune", "--methods", "smi", "--dataset", "digits", "--trials", "3", "--dry-run", *small]) == 0
    out = capsys.readouterr().out
    assert out.count("seed10000  about ") == 3
    assert "Left: about" in out
    assert not (tmp_path / "tuning").exists()


@pytest.mark.slow
def test_tune_writes_a_recipe_goes_on_where_it_stopped_and_run_uses_it(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ["backbone.width=4", "projector.hidden=16", "projector.output=16", "image_size=8"]
    words = ["--methods", "smi,smi:transform=identity", "--dataset", "digits", *small]
    tune = ["tune", *words, "--trials", "2", "--trial-seconds", "2"]
    assert main(tune) == 0
    first = capsys.readouterr().out
    assert "2 trials each" in first
    recipe = yaml.safe_load((tmp_path / "tuning" / "digits-quick.yaml").read_text())
    assert recipe["label"] == "tuned (2 trials)"
    assert set(recipe["methods"]) == {"smi", "smi:transform=identity"}
    rows = list(csv.DictReader((tmp_path / "tuning" / "digits-quick.csv").open()))
    assert len(rows) == 4
    for row in rows:
        folder = tmp_path / "tuning" / row["run"]
        assert set(json.loads((folder / "result.json").read_text())["scores"]) == {
            "linear_validation",
            "knn_validation",
        }
        assert not (folder / "predictions.npz").exists()
    written = {path: path.stat().st_mtime_ns for path in tmp_path.glob("tuning/digits/*/*/*/result.json")}
    assert main(tune) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("tuning/digits/*/*/*/result.json")} == written
    assert main([*tune, "--save", "elsewhere/mine.yaml"]) == 0
    assert {path: path.stat().st_mtime_ns for path in tmp_path.glob("tuning/digits/*/*/*/result.json")} == written
    assert yaml.safe_load((tmp_path / "elsewhere/mine.yaml").read_text()) == recipe
    assert (tmp_path / "elsewhere/mine.csv").is_file()
    with_another = [*tune[:2], "smi,barlow", *tune[3:]]
    assert main(with_another) == 2
    assert "recipe of another tuning" in capsys.readouterr().err
    for arm, settings in {"smi": {"w": 5.0}, "smi:transform=identity": {"optimizer.lr": 0.0123}}.items():
        recipe["methods"][arm] = settings
    (tmp_path / "mine.yaml").write_text(yaml.safe_dump(recipe))
    assert main(["run", *words, "--seeds", "1", "--epochs", "1", "--recipe", "mine.yaml"]) == 0
    configs = [yaml.safe_load(path.read_text()) for path in tmp_path.glob("runs/digits/smi/*/seed0/config.yaml")]
    found = {
        config["method"]["config"]["transform"]: (config["method"]["config"]["w"], config["optimizer"]["lr"])
        for config in configs
    }
    assert found == {"gaussian": (5.0, 1e-3), "identity": (10.0, 0.0123)}
    # The settings of the network are those with which it was tuned: nothing was changed.
    assert {config["recipe"] for config in configs} == {"tuned (2 trials)"}


@pytest.mark.slow
def test_tuning_that_was_killed_ends_with_the_recipe_of_one_that_was_not(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    small = ["backbone.width=4", "projector.hidden=16", "projector.output=16", "image_size=8", "--epochs", "4"]
    words = ["--methods", "smi,barlow", "--dataset", "digits", *small, "--trials", "3"]
    tune = ["tune", *words, "--jobs", "2", "--output"]
    assert main([*tune, "whole"]) == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "bench", *tune, "broken"],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        start_new_session=True,
        stdout=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("broken/digits/*/*/*/result.json")) and time.monotonic() < deadline:
        time.sleep(0.02)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert 0 < len(list(tmp_path.glob("broken/digits/*/*/*/result.json"))) < 6, "it was not killed in the middle"
    assert not (tmp_path / "broken/digits-quick.yaml").exists()
    assert main([*tune, "broken"]) == 0
    for name in ("digits-quick.yaml", "digits-quick.csv"):
        assert (tmp_path / "broken" / name).read_bytes() == (tmp_path / "whole" / name).read_bytes()
