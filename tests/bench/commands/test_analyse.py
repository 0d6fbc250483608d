"""`analyse` from the command line: what it refuses, before anything is computed."""

import pytest
import yaml

from bench.cli import main


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["geometri", "runs"], "There is no analysis 'geometri'. Did you mean 'geometry'?"),
        (["geometry", "runs", "--annotations", "here"], "annotations is of the analysis localisation, not of geometry"),
        (["dynamics", "--images", "10"], "images is of the analysis geometry | localisation, not"),
        (["semi", "runs", "--seed", "1"], "seed is of the analysis geometry | localisation | dynamics, not"),
        (["transfer", "runs"], "Transfer needs targets"),
        (["semi", "runs", "--fine", "digits"], "fine is of the analysis transfer, not of semi"),
        (["geometry", "runs", "--images", "3"], "images must be at least 4, not 3"),
        (["geometry", "nowhere"], "There is no output folder"),
        (["geometry", "."], "There are no runs in ."),
    ],
)
def test_mistakes_are_one_line(words, message, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs").mkdir()
    assert main(["analyse", *words]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_an_unknown_reference_is_refused_before_anything_is_measured(tmp_path, capsys):
    folder = tmp_path / "runs/digits/barlow/0123abcd/seed0"
    folder.mkdir(parents=True)
    dataset = {"name": "digits", "key": "digits", "fingerprint": "0" * 64}
    method = {"name": "barlow", "short_name": "barlow", "title": "Barlow Twins", "version": 1, "config": {}}
    (folder / "config.yaml").write_text(yaml.safe_dump({"dataset": dataset, "method": method, "seed": 0}))
    assert main(["analyse", "geometry", str(tmp_path / "runs"), "--reference", "barlwo"]) == 2
    assert "Did you mean 'barlow'?" in capsys.readouterr().err
