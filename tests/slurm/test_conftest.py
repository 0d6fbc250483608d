"""That a missing SLURM is a failure where SLURM is required."""

import importlib.util
from pathlib import Path

import pytest


@pytest.mark.parametrize(("required", "raised"), [("1", pytest.fail.Exception), ("", pytest.skip.Exception)])
def test_a_missing_slurm_is_skipped_or_fails_as_the_environment_says(monkeypatch, tmp_path, required, raised):
    description = importlib.util.spec_from_file_location("slurm_conftest", Path(__file__).with_name("conftest.py"))
    conftest = importlib.util.module_from_spec(description)
    description.loader.exec_module(conftest)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("BENCH_SLURM_REQUIRED", required)
    with pytest.raises(raised, match="no SLURM here"):
        next(conftest._running(accounting=False))
