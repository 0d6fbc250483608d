"""Tables of a study's analyses made again from what was measured of each run: means, spreads, differences, p."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from bench.reports import analysis
from bench.reports.analysis import Quantity, compared, measures_of
from bench.reports.study import Record
from bench.reports.verify_records import records_drifts


def checked_tables(report: Path, study: Record) -> list[Path]:
    """The tables below analysis/ that hold one quantity of one row of runs a line."""
    tables = (
        path for place in study.analyses for path in sorted((report / "analysis" / place / "tables").glob("*.csv"))
    )
    return [path for path in tables if "quantity" in path.read_text(encoding="utf-8").partition("\n")[0].split(",")]


def drifts(path: Path, study: Record, runs: pd.DataFrame) -> Iterator[str]:
    """A line for each number of one of `checked_tables` that does not follow from the measures beside it."""
    stored = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    frames = measures_of(path.parents[1])
    if not frames or not stored:
        yield "has no measures beside it"
        return
    values = pd.concat(frames, axis=1).reset_index()
    reference = study.reference.partition(":")[0] if study.reference else None
    quantities = {row["quantity"]: Quantity(row["quantity"], 3, "") for row in stored}
    for comparison in compared(runs[runs["id"].isin(values["id"])], values, reference):
        if comparison.title == stored[0]["dataset"]:
            yield from records_drifts(path, analysis.table(comparison, quantities, "", []), whole=True)
            return
    yield f"{stored[0]['dataset']} is no dataset of these runs"
