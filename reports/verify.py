"""Whether a report on the disk still says what its runs say: every number of its tables and answers recomputed."""

from __future__ import annotations

import csv
import difflib
import io
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html.parser import HTMLParser
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pandas as pd

from bench.errors import UserError
from bench.reports import text
from bench.reports.declared import DECLARED, Declared, analyse, from_json
from bench.reports.load import curves, load
from bench.reports.records import from_csv
from bench.reports.tables import Table

TOLERANCE = 1e-9
"""Relative difference of two numbers that counts as the rounding of another machine's arithmetic."""
FROM_FOLDERS = frozenset(
    ("seeds_error", "pictures_error", "both_low", "both_high", "mcnemar_p", "best_epoch_knn", "minutes_to_knn")
)
"""Columns of a table's CSV that take more of a run folder than results.csv holds."""


@dataclass(frozen=True)
class Verdict:
    """`drifts`: a line for each number or sentence that does not follow from the runs; `checked`: files looked at."""

    drifts: Sequence[str]
    checked: Sequence[str]


def verify(report: Path, outputs: Sequence[Path]) -> Verdict:
    """Recompute the report in the folder `report` from the run folders below `outputs`, or from its results.csv.

    With `outputs`, results.csv is first held against the run folders. Without them, what needs more than results.csv
    (FROM_FOLDERS and the sentences about it) is not checked. What was declared is read from declared.json, if there.
    Raises UserError where there is no report, or none of its runs.
    """
    stored = from_csv(report / "results.csv")
    record = report / DECLARED
    declared = from_json(record.read_text(encoding="utf-8")) if record.is_file() else Declared()
    runs, measured, drifts, checked = stored, pd.DataFrame(columns=["id", "epoch"]), [], []
    if outputs:
        runs = load(outputs)
        runs = runs[runs["id"].isin(set(stored["id"]))]  # a report may be of some of the runs
        if runs.empty:
            raise UserError(f"None of the runs of {report / 'results.csv'} is in the folders given.")
        measured, _ = curves(runs)
        drifts, checked = _runs_drifts(stored, runs), ["results.csv"]
    analysis = analyse(runs, measured, declared)
    whole = bool(outputs)
    pages: dict[str, list[str]] = {"report.md": [text.markdown(answer) for answer in analysis.answers]}
    for name, table in analysis.tables.items():
        pages["report.md"] += table.markdown().splitlines()
        pages[f"tables/{name}.md"] = table.markdown().splitlines()
        pages[f"tables/{name}.tex"] = table.latex().splitlines()
        path = report / "tables" / f"{name}.csv"
        if path.is_file():
            checked.append(f"tables/{name}.csv")
            drifts += [f"tables/{name}.csv: {line}" for line in records_drifts(path, table, whole)]
    for page, expected in pages.items():
        if (report / page).is_file():
            checked.append(page)
            found = (report / page).read_text(encoding="utf-8").splitlines()
            drifts += [f"{page}: {line}" for line in lines_drifts(expected, found, whole)]
    if (report / "report.html").is_file():
        checked.append("report.html")
        drifts += [f"report.html: {line}" for line in _html_drifts(report / "report.html", analysis.tables)]
    return Verdict(drifts, checked)


def _runs_drifts(stored: pd.DataFrame, runs: pd.DataFrame) -> list[str]:
    """results.csv against the run folders: rows that are missing, cells that differ."""
    drifts = []
    now = {row["id"]: row for row in runs.to_dict("records")}
    for before in stored.to_dict("records"):
        row = now.get(before["id"])
        if row is None:
            drifts.append(f"results.csv: {before['id']} is in no folder given")
            continue
        for name in dict.fromkeys([*before, *row]):
            if name != "folder" and not same(before.get(name), row.get(name)):
                drifts.append(f"results.csv: {before['id']}, {name}: {_changed(before.get(name), row.get(name))}")
    return drifts


def records_drifts(path: Path, table: Table, whole: bool) -> Iterator[str]:
    stored = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    expected = list(csv.DictReader(io.StringIO(table.csv())))
    for index, (before, row) in enumerate(zip_longest(stored, expected), start=1):
        if before is None or row is None:
            yield f"line {index + 1} {'is missing' if before is None else 'follows from no run'}"
            continue
        label = row.get("label") or next(iter(row.values()))
        for name in dict.fromkeys([*before, *row]):
            if (whole or name not in FROM_FOLDERS) and not same(before.get(name), row.get(name)):
                yield f"{label}, {name}: {_changed(before.get(name), row.get(name))}"


def lines_drifts(expected: Sequence[str], found: Sequence[str], whole: bool) -> Iterator[str]:
    """Lines that should be in a text and are not, beside the line that most resembles each.

    Unless `whole`, a line may go on: what was computed from the run folders stands behind the rest.
    """
    there = {line.removeprefix("- ").strip() for line in found}
    for line in dict.fromkeys(line.removeprefix("- ").strip() for line in expected):
        if line in there or (not whole and any(other.startswith(line) for other in there)):
            continue
        near = difflib.get_close_matches(line, there, n=1, cutoff=0.5)
        if not near:
            yield f"lacks the line: {line[:100]}"
            continue
        words = difflib.SequenceMatcher(None, near[0].split(), line.split(), autojunk=False)
        for kind, a, b, c, d in words.get_opcodes():
            if kind != "equal":
                before, now = " ".join(near[0].split()[a:b]), " ".join(line.split()[c:d])
                yield f"{line.strip('| ')[:40]}...: {_changed(before, now)}"


class _Cells(HTMLParser):
    """Text of every cell of every table with an id, by that id."""

    def __init__(self) -> None:
        super().__init__()
        self.tables: dict[str, list[str]] = {}
        self.table: str | None = None
        self.in_cell = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "table":
            self.table = dict(attrs).get("id")
            self.tables.setdefault(self.table or "", [])
        elif tag in ("td", "th") and self.table:
            self.in_cell = True
            self.tables[self.table].append("")

    def handle_endtag(self, tag: str) -> None:
        self.in_cell = self.in_cell and tag not in ("td", "th")
        self.table = None if tag == "table" else self.table

    def handle_data(self, data: str) -> None:
        if self.in_cell and self.table:
            self.tables[self.table][-1] += f" {data.strip()}"


def _html_drifts(path: Path, tables: Mapping[str, Table]) -> Iterator[str]:
    page, expected = _Cells(), _Cells()
    page.feed(path.read_text(encoding="utf-8"))
    for table in tables.values():
        expected.feed(table.to_html())
    for name, cells in expected.tables.items():
        if name not in page.tables:
            yield f"lacks the table {name}"
            continue
        for index, (before, now) in enumerate(zip_longest(page.tables[name], cells, fillvalue="nothing"), start=1):
            if before != now:
                yield f"{name}, cell {index}: {_changed(before.strip(), now.strip())}"


def same(a: Any, b: Any) -> bool:
    """Whether two cells say the same: numbers within TOLERANCE, absent and null alike, else the same words."""
    a, b = (None if value is None or value != value or value == "" else value for value in (a, b))
    if a is None or b is None:
        return a is b
    try:
        return math.isclose(float(a), float(b), rel_tol=TOLERANCE, abs_tol=1e-12)
    except (TypeError, ValueError):
        return _close_lists(str(a), str(b))


def _close_lists(a: str, b: str) -> bool:
    """For cells of several numbers with blanks between them, such as the raw values of a row."""
    if a == b:
        return True
    first, second = a.split(), b.split()
    return len(first) == len(second) > 1 and all(same(x, y) for x, y in zip(first, second, strict=True))


def _changed(before: Any, now: Any) -> str:
    return f"{_shown(before)} printed, {_shown(now)} recomputed"


def _shown(value: Any) -> str:
    return "nothing" if value is None or value != value or value == "" else f"'{value}'"
