"""On a real GPU: a command from the plan to the scores, and a run that goes on from its checkpoint."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from bench import checkpoint
from bench.arms import parse
from bench.data import load
from bench.datasets._store import prepare
from bench.plan import Request, open_dataset, plan
from bench.pretrain import Trainer
from bench.store import RunFolder

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
ROOT = Path(__file__).parents[2]
TINY = ["backbone.width=4", "projector.hidden=16", "projector.output=16", "batch_size=128", "epochs=2"]


def test_a_command_trains_evaluates_and_records_on_the_gpu(tmp_path):
    places = ["--output", str(tmp_path / "results"), "--data-root", str(tmp_path / "data")]
    what = ["--methods", "smi,barlow", "--dataset", "digits", "--preset", "quick", "--seeds", "2", "--jobs", "2"]
    command = [sys.executable, "-m", "bench", "run", *what, *places, "--recipe", "none", *TINY]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    runs = [path.parent for path in (tmp_path / "results").rglob("result.json")]
    assert len(runs) == 4
    for run in runs:
        result = json.loads((run / "result.json").read_text())
        assert result["status"] == "completed"
        assert 0 < result["scores"]["linear"] <= 1
        recorded = json.loads((run / "environment.json").read_text())
        assert (recorded["device"], recorded["hardware"]) == ("cuda", torch.cuda.get_device_name())


@pytest.mark.parametrize("method", ["barlow", "byol", "moco", "swav"])
def test_a_run_goes_on_from_a_checkpoint_of_the_gpu(method, tmp_path):
    """To the rounding: sums on a GPU have no fixed order."""
    device = torch.device("cuda")
    request = Request([parse(method)], ["digits"], [0], "quick", [*TINY, "precision=float32"], tmp_path, recipe="none")
    data = load(prepare(open_dataset("digits"), tmp_path), device)
    (spec,) = plan(request, device)
    first, second = Trainer(spec, data, device), Trainer(spec, data, device)
    first.measure_step(3)
    folder = RunFolder(tmp_path, spec.id)
    folder.lock.acquire()
    checkpoint.save(folder, {"trainer": first.state()})
    state, problems = checkpoint.load(folder)
    folder.lock.release()
    assert not problems
    second.restore(state["trainer"])
    for trainer in (first, second):
        trainer.measure_step(2)
    for expected, found in zip(first.method.parameters(), second.method.parameters(), strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-2, atol=1e-4)
