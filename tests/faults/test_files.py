"""Files that were cut short or changed, places that cannot be written, memory that runs out: said, never believed."""

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from bench.analysis.runs import finished
from bench.cli import main
from bench.errors import UserError
from bench.hardware import cores
from bench.reports.load import curves, load
from bench.reports.pictures import load_correct, problems

ROOT = Path(__file__).parents[2]

pytestmark = pytest.mark.slow


@pytest.fixture
def run_folder(spec_of, carry_out, tmp_path):
    """Of a finished run."""
    spec = spec_of(method="random")
    assert carry_out(spec, tmp_path / "o") == "completed"
    return tmp_path / "o" / spec.id


def cut_short(path):
    path.write_bytes(path.read_bytes()[:-20])


def change(path):
    content = bytearray(path.read_bytes())
    content[-20] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [cut_short, change])
def test_what_a_result_is_made_of_is_held_against_it(run_folder, tmp_path, damage):
    whole = load([tmp_path / "o"])
    assert curves(whole)[1] == []
    assert load_correct(run_folder, "linear") is not None
    assert finished([run_folder])[0].encoder(torch.device("cpu"))
    for name in ("metrics.csv", "predictions.npz", "encoder.safetensors"):
        damage(run_folder / name)
    measured, (problem,) = curves(load([tmp_path / "o"]))
    assert measured.empty
    assert "not the file with which the run ended" in problem
    assert load_correct(run_folder, "linear") is None
    (line,) = problems(load([tmp_path / "o"]))
    assert "predictions.npz cannot be read (it is not the file with which the run ended)" in line
    with pytest.raises(UserError, match="not the encoder with which the run ended"):
        finished([run_folder])[0].encoder(torch.device("cpu"))


def test_a_result_cut_short_is_no_result(run_folder, command, tmp_path, capsys):
    cut_short(run_folder / "result.json")
    assert list(load([tmp_path / "o"])["status"]) == ["unreadable"]
    words = command(tmp_path / "o", "precision=float32", methods="random")
    assert main(words[words.index("run") :]) == 2
    assert "result.json is damaged" in capsys.readouterr().err


def test_metrics_behind_the_checkpoint_are_cut_back_to_it(spec_of, carry_out, outcome, tmp_path):
    """What a killed process wrote after its last checkpoint is written again, not twice."""
    spec = spec_of()
    assert carry_out(spec, tmp_path / "whole") == "completed"
    folder = tmp_path / "broken" / spec.id
    folder.mkdir(parents=True)
    rows = (tmp_path / "whole" / spec.id / "metrics.csv").read_text()
    (folder / "metrics.csv").write_text(rows + "3,33,0.5")
    assert carry_out(spec, tmp_path / "broken") == "completed"
    assert outcome(tmp_path / "broken") == outcome(tmp_path / "whole")


def test_a_store_cut_short_is_one_line(call, data_root, tmp_path):
    path = data_root / ".bench" / "digits" / "train.images.npy"
    content = path.read_bytes()
    try:
        path.write_bytes(content[:-1])
        done = call(tmp_path / "o", methods="random")
    finally:
        path.write_bytes(content)
    assert done.returncode == 2
    assert "is damaged" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_output_folder_that_cannot_be_written_is_one_line(call, tmp_path):
    output = tmp_path / "o"
    output.mkdir()
    if os.geteuid() == 0:  # whom permissions do not stop
        if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", output], capture_output=True).returncode:
            pytest.skip("root here may neither mount nor be kept from writing")
        undo = ["umount", output]
    else:
        output.chmod(0o555)
        undo = ["chmod", "755", output]
    try:
        done = call(output, methods="random")
    finally:
        subprocess.run(undo, check=True)
    assert done.returncode == 2
    assert "choose another place" in done.stderr
    assert "Traceback" not in done.stderr


GREEDY = '''"""Greedy: asks for a terabyte per image of a batch."""
from dataclasses import dataclass
import torch
from bench.api import Method

@dataclass(frozen=True)
class Config:
    pass

class Greedy(Method):
    citation = "a test"
    Config = Config

    def loss(self, views, indices, labels):
        return self.encoder(views[0]).mean() + torch.zeros(len(views[0]), 2**38).mean(), {}
'''


def test_out_of_memory_says_so_and_suggests_a_batch_size(command, tmp_path):
    (tmp_path / "greedy.py").write_text(GREEDY)

    def limited():
        resource.setrlimit(resource.RLIMIT_AS, (2**38, 2**38))  # whatever the machine would promise

    done = subprocess.run(
        command(tmp_path / "o", methods=f"file:{tmp_path / 'greedy.py'},random"),
        cwd=ROOT,
        preexec_fn=limited,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert done.returncode == 1, done.stderr
    results = {path.parts[-4]: json.loads(path.read_text()) for path in tmp_path.glob("o/*/*/*/*/result.json")}
    assert results["greedy"]["reason"] == "out of memory at batch_size=128; try batch_size=64"
    assert results["random"]["status"] == "completed"


COUNTED = '''"""Counted: adds a line with its first weight, which tells seeds apart, to a log when training begins."""
from dataclasses import dataclass
from pathlib import Path
from bench.api import Method

@dataclass(frozen=True)
class Config:
    pass

class Counted(Method):
    citation = "a test"
    Config = Config
    begun = False

    def loss(self, views, indices, labels):
        if not self.begun:
            with open(Path(__file__).with_name("log"), "a") as log:
                log.write(f"{next(self.encoder.parameters()).flatten()[0]}\\n")
        self.begun = True
        za, zb = (self.encoder(view).float() for view in views)
        return (za - zb).square().mean(), {}
'''


def test_eight_processes_with_one_plan_share_it(command, spec_of, carry_out, outcome, tmp_path):
    """Each run is carried out once, by one of them, as it is by a process alone; all print the table."""
    (tmp_path / "counted.py").write_text(COUNTED)
    output, method = tmp_path / "o", f"file:{tmp_path / 'counted.py'}"
    options = ["--jobs", "1", "--executor", "inline", "precision=float32"]
    words = command(output, *options, methods=method, seeds="4", epochs="1")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    started = [
        subprocess.Popen(words, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        for _ in range(8)
    ]
    for process in started:
        printed, complaints = process.communicate(timeout=900)
        assert process.returncode == 0, complaints
        assert "| Counted" in printed
    begun = (tmp_path / "log").read_text().split()
    assert len(begun) == len(set(begun)) == 4
    spec = spec_of("epochs=1", method=method)
    assert carry_out(spec, tmp_path / "alone", threads=cores()) == "completed"
    assert outcome(output / spec.id) == outcome(tmp_path / "alone")
    runs = load([output])
    assert list(runs["status"]) == ["completed"] * 4
    assert runs["problem"].isna().all()
    assert curves(runs)[1] == []
    left = {path.name for path in output.rglob("*") if path.is_file()}
    expected = {"config.yaml", "environment.json", "metrics.csv", "encoder.safetensors", "predictions.npz"}
    assert {name for name in left if name.startswith(".") or name.endswith((".pt", ".partial"))} == set()
    assert expected | {"result.json"} <= left


@pytest.fixture(scope="module")
def uninterrupted(call, outcome, tmp_path_factory):
    output = tmp_path_factory.mktemp("whole") / "o"
    assert call(output, "--jobs", "1", epochs="10").returncode == 0
    return outcome(output)


@pytest.mark.parametrize("executor", ["local", "inline"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_command_that_is_asked_to_end_leaves_a_checkpoint(
    start, call, outcome, uninterrupted, tmp_path, executor, number
):
    broken, options = tmp_path / "broken", ["--jobs", "1", "--executor", executor]
    process = start(broken, *options, epochs="10")
    deadline = time.monotonic() + 300
    while not list(broken.glob("*/*/*/*/metrics.csv")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(number)
    _, complaints = process.communicate(timeout=120)
    assert process.returncode == 130, complaints
    assert "goes on where it stopped" in complaints
    (checkpoint,) = broken.glob("*/*/*/*/checkpoint.pt")  # none was due: the default is two minutes
    assert not (checkpoint.parent / "lock").exists()
    assert call(broken, *options, epochs="10").returncode == 0
    assert outcome(broken) == uninterrupted


def test_torchrun_carries_a_run_out_in_its_processes(command, tmp_path):
    torchrun = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
    words = command(tmp_path / "o", "--executor", "inline", methods="barlow", epochs="1")[1:]
    done = subprocess.run([*torchrun, *words], cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("| Barlow Twins") == 1
    (config,) = tmp_path.glob("o/*/*/*/*/config.yaml")
    assert "world_size: 2" in config.read_text()
