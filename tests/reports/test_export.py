"""One tidy file of all runs."""

from pathlib import Path

import pandas as pd
import pytest

from bench.cli import main
from bench.reports.load import load


def test_a_row_per_run(experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["export", str(experiment), "--to", str(tmp_path / "runs.csv")]) == 0
    assert "26 rows" in capsys.readouterr().out
    found, runs = pd.read_csv(tmp_path / "runs.csv"), load([experiment])
    assert found["id"].tolist() == runs["id"].tolist()
    assert found["scores.linear"].tolist() == pytest.approx(runs["scores.linear"].tolist(), nan_ok=True)
    assert set(runs.columns) == set(found.columns)


def test_a_row_per_epoch(experiment: Path, tmp_path: Path) -> None:
    assert main(["export", str(experiment), "--curves", "--to", str(tmp_path / "curves.csv")]) == 0
    found = pd.read_csv(tmp_path / "curves.csv")
    assert len(found) == 25 * 10 + 3  # the diverged run has three epochs
    smi = found[(found["method"] == "smi") & (found["seed"] == 2) & (found["status"] == "completed")]
    assert smi["epoch"].tolist() == list(range(10))


def test_parquet(experiment: Path, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    assert main(["export", str(experiment), "--to", str(tmp_path / "runs.parquet")]) == 0
    found = pd.read_parquet(tmp_path / "runs.parquet")
    assert found["scores.linear"].tolist() == pytest.approx(load([experiment])["scores.linear"].tolist(), nan_ok=True)


def test_parquet_without_pyarrow_is_one_line(
    experiment: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bench.commands.export.find_spec", lambda name: None)
    assert main(["export", str(experiment), "--to", str(tmp_path / "runs.parquet")]) == 2
    assert "Parquet needs pyarrow" in capsys.readouterr().err
    assert not (tmp_path / "runs.parquet").exists()


@pytest.mark.parametrize(("words", "line"), [(["--to", "x.xlsx"], "must end in"), ([], "no runs in")])
def test_mistakes_are_one_line(
    tmp_path: Path, words: list[str], line: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(["export", str(tmp_path), *words]) == 2
    assert line in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
