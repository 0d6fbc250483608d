"""`bench cost` as a user sees it: on digits, small."""

import argparse
import gzip
import json
import os
import re
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from bench import hardware
from bench.cli import main
from bench.commands import cost as command
from bench.cost import growth, harness, objective, peers, predictions, processes, step, stream, turns, views
from bench.cost.clock import Times
from bench.estimate import Estimate

WORDS = ["backbone.width=4", "projector.hidden=8", "projector.output=8", "batch_size=32", "epochs=1"]


@pytest.fixture
def hasty(monkeypatch):
    for module in (growth, objective, step, stream, turns, views):
        monkeypatch.setattr(module, "SECONDS", 0.01)
    monkeypatch.setattr(step, "MATRIX", 32)


def cost(tmp_path, *words):
    return main(["cost", "--data-root", str(tmp_path / "data"), "--output", str(tmp_path / "cost"), *words])


@pytest.mark.slow
def test_everything_but_other_libraries_in_one_command(tmp_path, hasty, capsys):
    what = "step,turns,rest,views,objective,growth"
    grid = ["--batch-sizes", "8,16", "--widths", "4,8"]
    assert cost(tmp_path, "--what", what, "--methods", "barlow,byol,random", "--trace", *grid, *WORDS) == 0
    page = (tmp_path / "cost/cost.md").read_text()
    assert page in capsys.readouterr().out
    for title in ("## Step", "## Steps of all", "## Beside the steps", "## Views", "## Objectives", "## Growth"):
        assert title in page
    kept = json.loads((tmp_path / "cost/cost.json").read_text())
    assert {row["what"] for row in kept["rows"]} == set(what.split(","))
    stages = {row["stage"] for row in kept["rows"] if row["what"] == "step"}
    assert stages == {"step", "floor", "gather", "views", "encoder", "method", "optimiser", "matmul"}
    floors = {row["method"]: row["gflop"] for row in kept["rows"] if row["what"] == "step" and row["stage"] == "floor"}
    assert floors["byol"] > 1.2 * floors["barlow"]  # a step cannot do without its target's forward pass
    turns = {(row["method"], row["stage"]): row["ratio"] for row in kept["rows"] if row["what"] == "turns"}
    assert list(turns) == [(method, stage) for method in ("barlow", "byol") for stage in ("step", "objective")]
    assert turns["barlow", "step"] == 1
    assert 0 < turns["byol", "objective"] < 1
    memory = {row["method"]: row["memory_mib"] for row in kept["rows"] if row.get("stage") == "step" and "width" in row}
    assert memory["byol"] > memory["barlow"] > 0  # it runs a target network too
    whole = {row["method"]: row["total_mib"] for row in kept["rows"] if row.get("stage") == "step" and "width" in row}
    staying = {method: whole[method] - memory[method] for method in whole}
    assert staying["byol"] > 1.3 * staying["barlow"] > 0  # and keeps it
    assert "tensors (MiB)" in page
    assert f"torchvision {kept['environment']['packages']['torchvision']}" in page
    assert {path.name for path in (tmp_path / "cost/figures").glob("*.png")} == {
        "step.png",
        "objective-ms.png",
        "objective-mib.png",
        "growth.png",
        "growth-curves.png",
    }
    assert json.loads(gzip.decompress((tmp_path / "cost/trace.json.gz").read_bytes()))["traceEvents"]


def test_other_libraries_are_met_in_both_precisions_whatever_the_users_words_say(tmp_path, monkeypatch):
    met = {}

    def measure(specs, data, raw, device):
        met.update({name: spec.protocol.precision for name, spec in specs.items()})
        yield from ()

    monkeypatch.setattr(peers, "measure", measure)
    monkeypatch.setattr(hardware, "resolve_precision", lambda name, device: "bfloat16" if name == "auto" else name)
    cost(tmp_path, "--what", "peers", "--dataset", "digits", "precision=float32", *WORDS)
    assert met == {"float32": "float32", "bfloat16": "bfloat16"}


@pytest.fixture
def folder(tmp_path):
    """Dataset of 48 small pictures in files, as folder:PATH."""
    generator = np.random.default_rng(0)
    for split, count in (("train", 32), ("test", 16)):
        for index in range(count):
            path = tmp_path / f"pictures/{split}/{'ab'[index % 2]}/{index}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(generator.integers(256, size=(16, 20, 3), dtype=np.uint8)).save(path)
    return f"folder:{tmp_path / 'pictures'}"


def test_streamed_pictures_are_those_of_the_store(tmp_path, hasty, monkeypatch, folder):
    def turns_once(contenders, *_, **__):
        for contender in contenders.values():
            contender(1)
        return {name: Times((1.0,), (1.0,)) for name in contenders}

    compared = []
    streamed_of = stream._streamed

    def compare(data, *arguments):
        streamed = streamed_of(data, *arguments)
        rows = torch.tensor([7, 0, 3])
        compared.append(torch.equal(streamed.train.canvases(rows), data.train.canvases(rows)))
        return streamed

    monkeypatch.setattr(stream, "take_turns", turns_once)
    monkeypatch.setattr(stream, "_streamed", compare)
    words = ["--what", "stream", "--dataset", folder, "--methods", "barlow", *WORDS, "batch_size=8"]
    assert cost(tmp_path, *words) == 0
    assert compared == [True]
    rows = json.loads((tmp_path / "cost/cost.json").read_text())["rows"]
    assert [row["name"] for row in rows] == ["stored", "decoded", "ahead", "steps, stored", "steps, ahead"]
    trained = 28  # 2 of 16 of either class are for validation
    assert [row["pictures_per_second"] for row in rows] == [*[trained] * 3, *[8 * stream.BATCHES] * 2]
    assert "## Pictures decoded in every epoch" in (tmp_path / "cost/cost.md").read_text()


def test_a_dataset_without_files_has_none_to_stream(tmp_path, hasty, capsys):
    assert cost(tmp_path, "--what", "stream", "--dataset", "digits", "--methods", "barlow", *WORDS) == 0
    assert "stream: not measured, since digits has no files" in capsys.readouterr().out


def test_whole_runs_are_carried_out_only_where_they_are_asked_for():
    parser = argparse.ArgumentParser()
    command.add_arguments(parser)
    asked = parser.parse_args([]).what.split(",")
    assert set(command.WHAT) - set(asked) == {"processes", "predictions"}


@pytest.mark.slow
def test_processes_share_a_run(tmp_path, monkeypatch):
    monkeypatch.setattr(processes, "cores", lambda: 2)
    monkeypatch.setattr(processes, "ROUNDS", 1)
    assert cost(tmp_path, "--what", "processes", "--methods", "barlow,smi", *WORDS) == 0
    rows = json.loads((tmp_path / "cost/cost.json").read_text())["rows"]
    assert [(row["method"], row["processes"], row["threads"]) for row in rows] == [("barlow", 1, 2), ("barlow", 2, 1)]
    assert all(row["images_per_second"] > 0 and row["memory_mib"] > 0 for row in rows)
    page = (tmp_path / "cost/cost.md").read_text()
    ratio = rows[1]["images_per_second"] / rows[0]["images_per_second"]
    assert re.search(rf"^\| 2 \| 1 \| .* \| {ratio:.2f} \|", page, re.MULTILINE)


@pytest.mark.slow
def test_predictions_stand_beside_what_the_runs_took(tmp_path, monkeypatch, capsys):
    expected = Estimate(pretraining=3.0, features=1.0, memory_mib=100.0)
    monkeypatch.setattr(predictions.Measured, "estimate", lambda self, trainer: expected)
    words = ["--what", "predictions", "--dataset", "digits", "--methods", "barlow,simsiam,random", *WORDS]
    assert cost(tmp_path, *words, "optimizer.lr=1e30") == 0
    said = capsys.readouterr().out
    assert all(re.search(rf"not compared for digits/{name}\S+, which \w+: \w", said) for name in ("barlow", "simsiam"))
    assert cost(tmp_path, *words) == 0
    rows = json.loads((tmp_path / "cost/cost.json").read_text())["rows"]
    assert [row["method"] for row in rows] == ["barlow", "simsiam"]
    for row in rows:
        assert row["predicted_seconds"] == 4.0
        assert 0 < row["pretraining"] < row["seconds"]
        assert row["ratio"] == 4.0 / row["seconds"]
        assert row["memory_ratio"] == 100.0 / row["memory_mib"]
    page = (tmp_path / "cost/cost.md").read_text()
    shown = next(line for line in page.splitlines() if line.startswith("| barlow |")).split(" | ")
    assert shown[1:6:2] == ["4", "3", "100"]  # seconds, pretraining and memory as predicted
    assert float(shown[2]) == pytest.approx(rows[0]["seconds"], rel=0.01)
    assert float(shown[4]) == pytest.approx(rows[0]["pretraining"], rel=0.01)
    for name in ("ratio", "memory_ratio"):
        assert f"median {statistics.median(row[name] for row in rows):.2f}" in page


@pytest.mark.slow
def test_the_harness_itself(tmp_path, hasty, monkeypatch):
    monkeypatch.setattr(harness, "PLANNED", 400)
    monkeypatch.setattr(harness, "REPORTED", 6)
    monkeypatch.setattr(harness, "RUNS", ("--methods", "smi,random", "--dataset", "digits", "--seeds", "1", *WORDS))
    assert cost(tmp_path, "--what", "harness") == 0
    page = (tmp_path / "cost/cost.md").read_text()
    stages = ("--help", "planning 40 runs", "planning 400 runs", "report of 6 runs")
    assert all(f"| {stage} |" in page for stage in stages)
    assert "peak MiB" in page


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--what", "steps"], "Did you mean 'step'"),
        (["--what", "objective", "--widths", "4,x"], "--widths 4,x"),
        (["--threads", "0"], "--threads 0"),
        (["--what", "objective", "--methods", "barlo"], "Did you mean 'barlow'"),
    ],
)
def test_mistakes_are_one_line(tmp_path, capsys, words, complaint):
    assert cost(tmp_path, *words) == 2
    error = capsys.readouterr().err
    assert complaint in error
    assert error.count("\n") == 1


STUDY = """
title: small
question: what does it cost
commands: ["cost --what objective --methods smi --batch-sizes 8 --widths 4 --output {folder}"]
"""


@pytest.mark.slow
def test_the_script_for_a_gpu_measures_everything_and_goes_on(tmp_path):
    """As it stands, on a CPU, small. One item fails; called again, that one and no other is run."""
    script = Path(step.__file__).with_name("gpu.sh")
    (tmp_path / "small.yaml").write_text(STUDY)
    output = tmp_path / "gpu cost"
    environment = {**os.environ, "DEVICE": "cpu", "SIZE": "16", "EPOCHS": "1", "DATA_ROOT": str(tmp_path / "my data")}
    environment |= {"STUDY": str(tmp_path / "small.yaml"), "PYTHON": sys.executable, "TARGET": "10"}
    words = [*WORDS[:-1], "backbone.name=slim"]

    def call(large):
        command = ["sh", str(script), str(output), "digits", large, *words]
        return subprocess.run(command, env=environment, capture_output=True, text=True, cwd=script.parents[2])

    first = call("digit")
    assert first.returncode == 1
    assert "Did you mean 'digits'" in first.stderr
    assert {path.name for path in (output / "done").iterdir()} == {"steps", "peers", "study", "runs", "target", "views"}
    again = call("digits")
    assert again.returncode == 0, again.stderr[-2000:]
    assert [line for line in again.stdout.splitlines() if line.startswith("gpu.sh: cost")] == [
        f"gpu.sh: cost --dataset digits --what step,peers --methods smi,barlow --output {output}/large image_size=16 "
        + " ".join(words)
    ]
    for folder, what in (("small", {"step", "peers", "views", "rest", "turns"}), ("large", {"step", "peers"})):
        rows = json.loads((output / folder / "cost.json").read_text())["rows"]
        assert {row["what"] for row in rows} == what
    assert (output / "small/trace.json.gz").exists()
    assert (output / "studies/small/cost.json").exists()
    assert "to kNN" in (output / "runs/report/report.md").read_text()
