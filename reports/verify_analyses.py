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


def tables_of(report: Path, study: Record) -> tuple[list[Path], list[Path]]:
    """The tables below analysis/ that are of runs, a line for each row and quantity, and the others."""
    folders = (report / "analysis" / place / "tables" for place in study.analyses)
    of_runs: list[Path] = []
    others: list[Path] = []
    for path in (path for folder in folders for path in sorted(folder.glob("*.csv"))):
        head = path.read_text(encoding="utf-8").partition("\n")[0]
        (of_runs if "quantity" in head.split(",") else others).append(path)
    return of_runs, others


def missing(report: Path, study: Record) -> list[str]:
    """Declared analyses without a section: not written yet, or lost."""
    return [place for place in study.analyses if not (report / "analysis" / place / "section.md").is_file()]


def drifts(path: Path, study: Record, runs: pd.DataFrame) -> Iterator[str]:
    """A line for each number of a table of runs (`tables_of`) that does not follow from the measures beside it."""
    stored = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    frames = measures_of(path.parents[1])
    if not frames or not stored:
        yield "has no measures beside it" if stored else "is empty"
        return
    values = pd.concat(frames, axis=1).reset_index()
    reference = study.reference.partition(":")[0] if study.reference else None
    quantities = {row["quantity"]: Quantity(row["quantity"], 3, "") for row in stored}
    for comparison in compared(runs[runs["id"].isin(values["id"])], values, reference):
        if comparison.title == stored[0]["dataset"]:
            yield from records_drifts(path, analysis.table(comparison, quantities, "", []), whole=True)
            return
    yield f"{stored[0]['dataset']} is no dataset of these runs"
