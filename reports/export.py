"""All runs as one tidy file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from bench.errors import UserError
from bench.files import write_atomically
from bench.reports.load import curves, load

NAMES = ["id", "dataset", "method", "digest", "seed", "status"]


def write(outputs: Sequence[Path], path: Path, per_epoch: bool) -> tuple[int, list[str]]:
    """Write the runs below `outputs` to `path` (.csv or .parquet); returns the number of rows and what was unreadable.

    A row per run has every column of `bench.reports.load.load`; a row per epoch every column of metrics.csv behind
    the run's names. The file appears whole or not at all. Raises UserError where there is no run or no such folder.
    """
    runs = load(outputs)
    problems: list[str] = []
    if runs.empty:
        raise UserError(f"There are no runs in {', '.join(map(str, outputs))}.")
    if per_epoch:
        measured, problems = curves(runs)
        runs = runs[NAMES].merge(measured, on="id", how="inner")
    if path.suffix == ".parquet":
        # Parquet wants one type per column; configurations mix them, and what is absent stays absent.
        mixed = [column for column in runs.columns if runs[column].dtype == object]
        runs = runs.assign(**{column: _as_text(runs[column]) for column in mixed})
        write_atomically(path, lambda temporary: runs.to_parquet(temporary, index=False, engine="pyarrow"))
    else:
        write_atomically(path, lambda temporary: runs.to_csv(temporary, index=False))
    return len(runs), problems


def _as_text(column: pd.Series[Any]) -> pd.Series[Any]:
    """As it is where all values have one type, else all as text."""
    kinds = {type(value) for value in column.dropna()}
    return column if len(kinds) < 2 else column.map(str, na_action="ignore")
