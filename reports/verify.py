"""Whether a report on the disk still says what its runs say: its pages and tables made again and compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.errors import UserError
from bench.reports import html, markdown, pictures
from bench.reports.content import Content, content
from bench.reports.declared import DECLARED, Analysis, Declared, analyse, read, table_files
from bench.reports.elsewhere import with_elsewhere
from bench.reports.load import curves, load
from bench.reports.page import strangers
from bench.reports.records import from_csv
from bench.reports.study import runs_of
from bench.reports.verify_analyses import drifts as analysis_drifts
from bench.reports.verify_analyses import missing, tables_of
from bench.reports.verify_records import records_drifts, same
from bench.reports.verify_text import (
    FIGURES,
    changed,
    html_lines,
    latex_lines,
    markdown_lines,
    text_drifts,
    without_folders,
)

NEEDS_FOLDERS = (
    "what rests on files in the run folders: errors over test pictures, McNemar's test, the files themselves"
)


@dataclass(frozen=True)
class Verdict:
    """`drifts`: a line for each number or sentence that does not follow from the runs or is missing; `checked`: files
    looked at; `unchecked`: what of the report was not, in words.
    """

    drifts: Sequence[str]
    checked: Sequence[str]
    unchecked: Sequence[str]


def verify(report: Path, outputs: Sequence[Path]) -> Verdict:
    """Recompute the report in the folder `report` from the run folders below `outputs`, or from its results.csv.

    All that pages and tables say is made again and compared both ways, to the word; figures and the look of the page
    are not. With `outputs`, results.csv is first held against the run folders. Without them, what needs more than
    results.csv is not checked and is named. What was declared is read from declared.json, if there.
    Raises UserError where there is no report, or none of its runs.
    """
    stored = from_csv(report / "results.csv")
    declared = read(report / DECLARED) if (report / DECLARED).is_file() else Declared()
    if declared.study and runs_of(stored, declared.study).empty:
        raise UserError(f"{report / DECLARED} declares a study of which {report / 'results.csv'} has no run.")
    runs, measured = stored, pd.DataFrame(columns=["id", "epoch"])
    problems: list[str] = []
    if outputs:
        runs = load(outputs)
        runs = runs[runs["id"].isin(set(stored["id"]))].reset_index(drop=True)  # a report may be of some of the runs
        if runs.empty:
            raise UserError(f"None of the runs of {report / 'results.csv'} is in the folders given.")
        runs = with_elsewhere(runs, outputs, declared.scores)
        measured, problems = curves(runs)
        problems += pictures.problems(runs)
    analysis = analyse(runs, measured, declared)
    whole = bool(outputs)
    drifts = _runs_drifts(stored, analysis.runs) if whole else []
    checked = ["results.csv"] if whole else []
    for name, table in analysis.tables.items():
        path = report / "tables" / f"{name}.csv"
        if path.is_file():
            checked.append(f"tables/{name}.csv")
            drifts += [f"tables/{name}.csv: {line}" for line in records_drifts(path, table, whole)]
    expected = _expected(content(problems, analysis, {}), analysis, report)
    for name, again in expected.items():
        checked.append(name)
        now, before = (_lines(name, page, whole) for page in (again, (report / name).read_text(encoding="utf-8")))
        drifts += [f"{name}: {line}" for line in text_drifts(now, before)]
    unchecked = _unchecked(report, whole)
    unchecked += [f"{name}, which is not there" for name in ("report.md", "report.html") if name not in expected]
    if not expected and not any(name.startswith("tables/") for name in checked):
        raise UserError(f"{report} has neither pages nor tables: there is nothing to verify.")
    if declared.study:
        of_runs, others = tables_of(report, declared.study)
        for path in of_runs:
            name = path.relative_to(report).as_posix()
            checked.append(name)
            drifts += [f"{name}: {line}" for line in analysis_drifts(path, declared.study, analysis.runs)]
        unchecked += [path.relative_to(report).as_posix() for path in others]
        unchecked += [f"the analysis {place}, which is not there" for place in missing(report, declared.study)]
    foreign = strangers(report, list(table_files(analysis)), ["tables/*.*"])
    return Verdict(drifts, checked, [*unchecked, *foreign])


def _expected(whole: Content, analysis: Analysis, report: Path) -> dict[str, str]:
    """The pages and tables that the report has, made again."""
    signs = {"md": "report.md", "html": "report.html", "csv": "results.csv", "latex": "tables/*.tex"}
    formats = [form for form, sign in {**signs, "figures": "figures/*"}.items() if any(report.glob(sign))]
    pages = {name: body for name, body in table_files(analysis).items() if not name.endswith(".csv")}
    pages["report.md"] = markdown.render(whole, formats)
    pages["report.html"] = html.render(whole, report)
    return {name: body for name, body in pages.items() if (report / name).is_file()}


def _lines(name: str, page: str, whole: bool) -> list[str]:
    if name.endswith(".html"):
        lines = html_lines(page, files=whole)
    else:
        lines = latex_lines(page) if name.endswith(".tex") else markdown_lines(page)
    return lines if whole else without_folders(lines)


def _unchecked(report: Path, whole: bool) -> list[str]:
    """In words; sections of analyses are made from encoders and pictures, which a report does without: of them the
    tables' CSV files alone are checked."""
    sections = sorted(path.relative_to(report).as_posix() for path in report.glob("analysis/**/section.md"))
    return [FIGURES, *sections, *([] if whole else [NEEDS_FOLDERS])]


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
                drifts.append(f"results.csv: {before['id']}, {name}: {changed(before.get(name), row.get(name))}")
    return drifts
