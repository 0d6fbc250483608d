"""`claims` as a user types it: what would leave claims untested is refused."""

import shutil
from pathlib import Path

import pytest
import yaml

from bench.cli import main

RESULTS = Path(__file__).parents[3] / "results/digits-tuned"
CLAIM = {
    **{"name": "N", "words": "W", "source": "S", "hypothesis": "H", "elsewhere": "E", "test": "superiority"},
    **{"study": "ablation", "arm": "smi", "against": ["spectral"], "metric": "scores.linear", "datasets": ["digits"]},
    "seeds": 5,
}


@pytest.fixture
def results(tmp_path):
    shutil.copytree(RESULTS / "studies/ablation", tmp_path / "studies/ablation")
    return tmp_path


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"study": "ablatoin"}, "Did you mean 'ablation'?"),
        ({"arm": "smii"}, "unknown method 'smii'. Did you mean 'smi'?"),
        ({"against": ["spectrall"]}, "Did you mean 'spectral'?"),
    ],
)
def test_a_name_that_there_is_not_is_refused(results, changed, message, capsys):
    for values, code in ((CLAIM, 0), ({**CLAIM, **changed}, 2)):
        (results / "claims.yaml").write_text(yaml.safe_dump([values]))
        assert main(["claims", str(results), "--claims", str(results / "claims.yaml")]) == code
    assert message in capsys.readouterr().err


def test_an_unknown_dataset_writes_nothing(results, capsys):
    assert main(["claims", str(results), "--dataset", "digts"]) == 2
    assert "Did you mean 'digits'?" in capsys.readouterr().err
    assert not (results / "claims.md").exists()
    assert main(["claims", str(results), "--dataset", "digits"]) == 0
    (results / "claims.html").unlink()
    assert main(["verify", str(results)]) == 0
    assert "claims.csv, claims.md checked against the studies.\nNot there: claims.html." in capsys.readouterr().out


def test_home_is_home_behind_an_equals_sign(results, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(results)
    assert main(["claims", str(results), "--destination=~/verdicts"]) == 0
    assert (tmp_path / "verdicts/claims.md").is_file()
