"""`report` as a user calls it: what it refuses, and that it never waits for torch."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from bench.cli import main

ROOT = Path(__file__).parents[3]


@pytest.fixture
def runs(tmp_path):
    """Two finished runs of two methods."""
    for method in ("smi", "barlow"):
        path = tmp_path / f"runs/digits/{method}/0123abcd/seed0"
        path.mkdir(parents=True)
        names = {"name": method, "short_name": method, "title": method, "config": {}}
        data = {"name": "digits", "key": "digits", "fingerprint": "f"}
        (path / "config.yaml").write_text(yaml.safe_dump({"dataset": data, "method": names, "epochs": 2, "seed": 0}))
        (path / "environment.json").write_text(json.dumps({"hardware": "none"}))
        result = {"status": "completed", "id": f"digits/{method}/0123abcd/seed0", "scores": {"linear": 0.5, "knn": 0.4}}
        (path / "result.json").write_text(json.dumps(result))
    return tmp_path / "runs"


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--format", "pdf"], "--format: there is no 'pdf'."),
        (["--format", "htm"], "--format: there is no 'htm'. Did you mean 'html'?"),
        (["--methods", "smy"], "No run has the method 'smy'. Did you mean 'smi'?"),
        (["--methods", "smi,smi"], "--methods names 'smi' twice."),
        (["--datasets", "digit"], "No run has the dataset 'digit'. Did you mean 'digits'?"),
        (["--metric", "liner"], "No run has the score 'liner'. Did you mean 'linear'?"),
        (["--reference", "barlo"], "No run of the reference 'barlo' was found. Did you mean 'barlow'?"),
        (["--columns", "linar"], "There is no column 'linar'. Did you mean 'linear'?"),
        (["--margin", "0"], "--margin 0: percentage points"),
        (["--margin", "much"], "invalid float value: 'much'"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_nothing_behind(runs, capsys, words, message):
    assert main(["report", str(runs), *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not (runs / "report").exists()


def test_options_reach_the_report_and_torch_is_not_imported(runs, tmp_path):
    words = ["report", str(runs), "--destination", str(tmp_path / "out"), "--format", "md,csv", "--metric", "knn"]
    program = "import sys\nfrom bench.cli import main\ncode = main(sys.argv[1:])\nassert 'torch' not in sys.modules\n"
    done = subprocess.run(
        [sys.executable, "-c", f"{program}sys.exit(code)", *words, "--margin", "1.5"],
        cwd=ROOT,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.rstrip().endswith(f"Report: {tmp_path / 'out' / 'report.md'}")
    assert "kNN accuracy" in done.stdout
    declared = json.loads((tmp_path / "out" / "declared.json").read_text())
    assert (declared["metric"], declared["margin"]) == ("knn", 0.015)
    assert not (tmp_path / "out" / "report.html").exists()
