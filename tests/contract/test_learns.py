"""Every method and variant learns at its defaults: the quick preset on digits, two seeds, between floor and ceiling."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
SHARE = 0.25
"""Of the way from the untrained encoder's accuracy to that of one trained on the labels, which every run must go."""
REFERENCES = ["random", "supervised"]


@pytest.fixture(scope="module")
def results(tmp_path_factory, request):
    """Arm -> result.json of each seed, from one command with the arms of the tests that were chosen."""
    chosen = {item.callspec.params["arm"] for item in request.session.items if item.path == request.path}
    folder = tmp_path_factory.mktemp("learns")
    options = ["--dataset", "digits", "--seeds", "2", "--preset", "quick", "--recipe", "none", "--device", "cpu"]
    methods = ",".join(sorted({*REFERENCES, *chosen}))
    command = [sys.executable, "-m", "bench", "run", "--methods", methods, *options]
    data = ["--data-root", str(folder / "data"), "--output", str(folder / "runs")]
    subprocess.run([*command, *data], cwd=ROOT, check=True)
    found = {}
    for path in sorted(folder.glob("runs/digits/*/*/seed*/result.json")):
        arm = yaml.safe_load((path.parent / "config.yaml").read_text())["method"]["name"]
        found.setdefault(arm, []).append(json.loads(path.read_text()))
    return found


@pytest.mark.soak
def test_learns_at_its_defaults(arm, results):
    if arm in REFERENCES:
        pytest.skip("a reference")
    scores, floor, ceiling = ([one["scores"]["linear"] for one in results[name]] for name in (arm, *REFERENCES))
    assert len(scores) == len(floor) == len(ceiling) == 2
    assert min(scores) > max(floor) + SHARE * (max(ceiling) - max(floor))
    assert not any(result["collapsed"] for result in results[arm])
