"""Every mistake a user can make is one line on stderr and exit code 2; nothing half-written stays."""

import json
import urllib.error

import pytest
import torch
from safetensors.torch import save_file

from bench import backbones
from bench.cli import main

DIGITS = ["run", "--dataset", "digits", "--methods", "smi"]


@pytest.fixture
def call(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def run(*words):
        code = main([str(word) for word in words])
        captured = capsys.readouterr()
        return code, captured.out, captured.err

    return run


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["rnu"], "Did you mean 'run'?"),
        (["run"], "--methods, --dataset"),
        ([*DIGITS, "--epoch5"], "Did you mean '--epochs'?"),
        ([*DIGITS, "epochs"], "neither an option nor a key=value"),
        (["run", "--dataset", "digits", "--methods", "smy"], "Unknown method 'smy'. Did you mean 'smi'?"),
        (["run", "--dataset", "digits", "--methods", "smi,smi"], "names 'smi' twice"),
        (["run", "--dataset", "digits", "--methods", "smi,"], "empty name"),
        (["run", "--dataset", "digits", "--methods", "file:nothing.py"], "there is no Python file"),
        (["run", "--dataset", "digit", "--methods", "smi"], "Unknown dataset 'digit'. Did you mean 'digits'?"),
        (["run", "--dataset", "digits:8", "--methods", "smi"], "digits takes no argument"),
        (["run", "--dataset", "imagewoof:170", "--methods", "smi"], "Did you mean '160'?"),
        (["run", "--dataset", "folder:nowhere", "--methods", "smi"], "nowhere"),
        ([*DIGITS, "--preset", "quik"], "Did you mean 'quick'?"),
        ([*DIGITS, "--seeds", "0"], "at least one and at most"),
        ([*DIGITS, "--seeds", "1,1"], "different"),
        ([*DIGITS, "--seeds", "-1,2"], "--seeds"),
        ([*DIGITS, "--seeds", "three"], "give a number of seeds (5) or a list (0,3,7;"),
        ([*DIGITS, "--epochs", "0"], "epochs must be at least 1"),
        ([*DIGITS, "--epochs", "few"], "epochs must be a whole number, not 'few'"),
        ([*DIGITS, "--batch-size", "1"], "batch_size must be at least 2"),
        ([*DIGITS, "--batch-size", "4096"], "fewer than batch_size=4096: set batch_size=1024 or less"),
        ([*DIGITS, "--backbone", "resnet19"], "backbone.name must be one of"),
        ([*DIGITS, "--jobs", "0"], "--jobs 0"),
        ([*DIGITS, "--processes", "0"], "--processes 0"),
        ([*DIGITS, "--processes", "3", "--batch-size", "128"], "cannot be divided by 3 processes into equal shares"),
        ([*DIGITS, "--processes", "8", "--batch-size", "8"], "at least two images"),
        ([*DIGITS, "--processes", "2", "--executor", "inline"], "torchrun --nproc-per-node 2"),
        ([*DIGITS, "--jobs", "2", "--executor", "inline"], "leave --jobs out"),
        ([*DIGITS, "--reference", "barlow"], "not one of --methods"),
        ([*DIGITS, "--device", "cpux"], "--device cpux"),
        ([*DIGITS, "optimizer.lr=fast"], "optimizer.lr must be a number, not 'fast'"),
        ([*DIGITS, "optimizer.lrr=0.1"], "Did you mean 'optimizer.lr'?"),
        ([*DIGITS, "optimizer=0.1"], "set one of them, e.g. optimizer.clip=..."),
        ([*DIGITS, "augment=null"], "augment has settings of its own"),
        ([*DIGITS, "epochs='${nowhere}'"], "nowhere"),
        ([*DIGITS, "budget.largest_image=abc"], "budget.largest_image must be a whole number"),
        ([*DIGITS, "--preset", "standard", "budget.images=10"], "leave one of them out"),
        ([*DIGITS, "seeds.init=0", "seeds.order=0", "seeds.views=0", "seeds.probe=0"], "give --seeds 1"),
        ([*DIGITS, "--checkpoint-seconds", "nan"], "--checkpoint-seconds"),
        ([*DIGITS, "smi.level=feature", "smi.centre=none"], "centre has no effect"),
        ([*DIGITS, "smi.transform=identity", "smi.epsilon=0.1"], "epsilon has no effect"),
        (["evaluate", "--encoder", "a.pth", "--dataset", "digits", "--width", "0"], "--width must be at least 1"),
        (["evaluate", "--encoder", "a.pth", "--dataset", "digits", "--save", "."], "--save . is a folder"),
        (["--bogus"], "Unknown option '--bogus'"),
        (["run", "--dataset", "digits", "--methods", "SMI"], "Did you mean 'smi'?"),
        ([*DIGITS, "byol.optimizer.lr=0.1"], "'byol' is not one of --methods"),
        ([*DIGITS, "--preset", ""], "--preset is empty"),
        ([*DIGITS, "--output", ""], "--output: is empty"),
        (["report", "runs", "--margin", "1000"], "--margin 1000: percentage points"),
        (["report", "runs", "--knn-target", "nan"], "--knn-target nan: percent"),
        (["study", "main", "--report-only", "--dry-run"], "--dry-run writes nothing"),
        (["study", "main", "--tune", "--executor", "slurm"], "--tune is done on this machine"),
        (["study", "main", "--report-only", "--executor", "slurm"], "--report-only is done on this machine"),
        ([*DIGITS, "augment.flip=2"], "augment.flip must be at least 0 and at most 1"),
        ([*DIGITS, "augment.blur=[0.5]"], "augment.blur"),
        ([*DIGITS, "accumulate=200"], "fewer than two images"),
        ([*DIGITS, "smi.w=-1"], "smi.w must be at least 0"),
        ([*DIGITS, "smi.form=max"], "smi.form must be one of match, maxmin, fisher"),
        ([*DIGITS, "smi.form=maxmin", "smi.transform=identity"], "transform=identity"),
        ([*DIGITS, "barlow.lambda_=1"], "'barlow' is not one of --methods"),
        (["report", "nowhere"], "nowhere"),
        (["status", "nowhere"], "There are no runs under nowhere"),
        (["list", "method"], "invalid choice"),
        (
            ["evaluate", "--encoder", "none.pth", "--dataset", "digits", "--backbone", "slim"],
            "There is no file none.pth",
        ),
        (["evaluate", "--encoder", "none.pth", "--dataset", "digits"], "Say with --backbone"),
        (["evaluate", "--encoder", "torchvision:resnet18", "--dataset", "digits", "--width", "4"], "its own architect"),
        (["evaluate", "--encoder", "torchvision:resnet19", "--dataset", "digits"], "Did you mean 'resnet18'?"),
        (["doctor", "epochs=3"], "settings belong to `run`"),
    ],
)
def test_a_mistake_is_one_line_and_exit_code_2(call, tmp_path, words, message):
    code, out, err = call(*words)
    assert code == 2, out
    assert message in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "runs").exists()


def test_an_output_that_cannot_be_written_is_one_line(call, tmp_path):
    (tmp_path / "file").write_text("in the way")
    code, _, err = call(*DIGITS, "--epochs", 1, "--output", tmp_path / "file" / "runs")
    assert code == 2
    assert "choose another place" in err


def test_a_missing_dataset_says_where_to_put_it(call, tmp_path, monkeypatch):
    def refuse(*_, **__):
        raise urllib.error.URLError("no network in this test")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    monkeypatch.setattr("bench.datasets._download.PAUSE_SECONDS", 0)
    code, _, err = call("run", "--dataset", "imagewoof", "--methods", "smi", "--data-root", tmp_path / "data")
    assert code == 2
    assert "imagewoof2-160.tgz" in err
    assert str(tmp_path / "data") in err


def test_a_dry_run_prints_the_plan_and_runs_nothing(call, tmp_path):
    code, out, _ = call(*DIGITS, "--dry-run", "--seeds", "0,4", "--epochs", 2, "backbone.width=4")
    assert code == 0
    assert "seed0  about" in out
    assert "seed4  about" in out
    assert "Left: about" in out
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize("container", ["safetensors", "plain", "checkpoint"])
def test_an_encoder_trained_elsewhere_is_scored(call, tmp_path, container):
    state = backbones.build("slim", 4, 16, seed=1).state_dict()
    path = tmp_path / ("encoder.safetensors" if container == "safetensors" else "encoder.pth")
    if container == "safetensors":
        save_file(state, path)
    elif container == "plain":
        torch.save({**state, "fc.weight": torch.zeros(10, 16), "fc.bias": torch.zeros(10)}, path)
    else:
        torch.save({"state_dict": {f"module.backbone.{key}": value for key, value in state.items()}}, path)
    words = ["evaluate", "--encoder", path, "--dataset", "digits", "--backbone", "slim", "--width", 4]
    code, out, err = call(*words, "--save", tmp_path / "scores.json")
    assert code == 0, err
    assert "linear" in out
    scores = json.loads((tmp_path / "scores.json").read_text())["scores"]
    assert 0.3 < scores["linear"] < 1


def test_weights_that_do_not_fit_are_named(call, tmp_path):
    save_file(backbones.build("slim", 4, 16, seed=1).state_dict(), tmp_path / "encoder.safetensors")
    words = ["evaluate", "--encoder", tmp_path / "encoder.safetensors", "--dataset", "digits"]
    assert "'conv1.weight' is (4, 3, 3, 3), not (8, 3, 3, 3)" in call(*words, "--backbone", "slim", "--width", 8)[2]
    assert "does not fit resnet18: it lacks 'layer1.1.bn1.bias'" in call(*words, "--backbone", "resnet18")[2]


class Bomb:
    def __reduce__(self):
        return (exec, ("raise SystemExit('the bomb went off')",))


def test_pickled_objects_are_refused_not_run(call, tmp_path):
    torch.save({"state_dict": Bomb()}, tmp_path / "bomb.pth")
    code, _, err = call("evaluate", "--encoder", tmp_path / "bomb.pth", "--dataset", "digits", "--backbone", "slim")
    assert code == 2
    assert "not a file of weights alone" in err


def test_the_doctor_finds_this_environment_fit(call):
    code, out, _ = call("doctor")
    assert code == 0
    assert "Ready." in out


PLUGIN = """
from dataclasses import dataclass
from bench.api import Method
class Broken(Method):
    citation = "a " + "test"
    {config}
    def loss(self, views, indices, labels):
        return views[0].mean(), {{}}
"""


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = (", "cannot be imported: SyntaxError"),
        ("x = 1", "exactly one public subclass"),
        (PLUGIN.format(config=""), "needs a dataclass Config"),
        (PLUGIN.format(config="Config = int"), "needs a dataclass Config"),
        (
            PLUGIN.format(config="Config = dataclass(type('Config', (), {'__annotations__': {'w': float}}))"),
            "'w' needs",
        ),
    ],
)
def test_a_method_file_that_is_no_method_is_one_line(call, tmp_path, text, message):
    (tmp_path / "broken.py").write_text(text)
    code, _, err = call("run", "--dataset", "digits", "--methods", "file:broken.py")
    assert code == 2
    assert message in err
    assert len(err.strip().splitlines()) == 1


def test_classes_too_small_for_a_validation_part_are_refused(call, tmp_path):
    from PIL import Image

    for part in ("train", "test"):
        for name in ("cat", "dog"):
            (tmp_path / "pictures" / part / name).mkdir(parents=True)
            Image.new("RGB", (32, 32), (name == "cat" and "red") or "blue").save(
                tmp_path / f"pictures/{part}/{name}/1.png"
            )
    code, _, err = call("run", "--dataset", f"folder:{tmp_path / 'pictures'}", "--methods", "smi", "--batch-size", 2)
    assert code == 2
    assert "no class with two labelled training images" in err
