"""Every method learns at its defaults: the quick preset on digits, two seeds, against the untrained encoder."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from bench import discover

ROOT = Path(__file__).parents[2]
MARGIN = 0.01
"""Accuracy above the untrained encoder: twice the standard deviation of one run of most methods."""
INSTALLED = [name for name in discover.names("methods") if not discover.describe("methods", name).missing]


@pytest.fixture(scope="module")
def results(tmp_path_factory):
    """Method -> result.json of each seed, from one command."""
    folder = tmp_path_factory.mktemp("learns")
    options = ["--dataset", "digits", "--seeds", "2", "--preset", "quick", "--recipe", "none", "--device", "cpu"]
    command = [sys.executable, "-m", "bench", "run", "--methods", ",".join(INSTALLED), *options]
    data = ["--data-root", str(folder / "data"), "--output", str(folder / "runs")]
    subprocess.run([*command, *data], cwd=ROOT, check=True)

    def of(name):
        paths = sorted((folder / "runs" / "digits" / name.replace("/", "-")).glob("*/seed*/result.json"))
        return [json.loads(path.read_text()) for path in paths]

    return {name: of(name) for name in INSTALLED}


@pytest.mark.soak
@pytest.mark.parametrize("name", [name for name in INSTALLED if name != "random"])
def test_learns_at_its_defaults(name, results):
    scores = [result["scores"]["linear"] for result in results[name]]
    floor = [result["scores"]["linear"] for result in results["random"]]
    assert len(scores) == len(floor) == 2
    assert min(scores) > max(floor) + MARGIN
    assert not any(result["collapsed"] for result in results[name])
