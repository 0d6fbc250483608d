"""What a report says, in plain text: answers, failures, tables, figures, settings; its forms are made elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from bench.reports import statistics, text
from bench.reports.comparison import Comparison
from bench.reports.declared import OVERVIEW, Analysis
from bench.reports.flags import environment_value
from bench.reports.rows import Row, leaves
from bench.reports.study import STUDY, Record
from bench.reports.style import Drawing
from bench.reports.tables import Cell, Column, Table

MACHINE = ("hardware", "device", "threads", "python", "torch", "bench", "git_commit", "git_dirty")


@dataclass(frozen=True)
class Part:
    """One dataset, or what all say together: tables with the results first, figures, configuration, machines."""

    title: str
    tables: Sequence[Table]
    drawings: Sequence[Drawing]
    settings: Sequence[str] = ()
    machines: Table | None = None


@dataclass(frozen=True)
class Content:
    """A whole report. `runs` as from `bench.reports.load.load`, `labels` of their rows by folder; `failures` are
    lines, none if all is well.
    """

    answers: Sequence[str]
    failures: Sequence[str]
    parts: Sequence[Part]
    runs: pd.DataFrame
    labels: Mapping[str, str]

    @property
    def outcome(self) -> str:
        """How many runs there are and how they ended: `12 runs: 11 completed, 1 failed.`"""
        counts = self.runs["status"].value_counts().items()
        return f"{text.runs(len(self.runs))}: {', '.join(f'{count} {status}' for status, count in counts)}."


def content(problems: Sequence[str], analysis: Analysis, drawings: Mapping[str, Sequence[Drawing]]) -> Content:
    """`problems` are lines about files that could not be read; `drawings` are by the name of a dataset or OVERVIEW."""
    parts = []
    if analysis.study:
        own = [table for name, table in analysis.tables.items() if name.startswith(f"{STUDY}-")]
        parts.append(Part(analysis.study.title, own, drawings.get(STUDY, ()), settings=_declared(analysis.study)))
    if OVERVIEW in analysis.tables:
        parts.append(Part("All datasets", [analysis.tables[OVERVIEW]], drawings.get(OVERVIEW, ())))
    for comparison in analysis.comparisons:
        name = comparison.name
        tables = [analysis.tables.get(key) for key in (name, f"{name}-pairs", f"{name}-published")]
        parts.append(
            Part(
                title=comparison.title,
                tables=[table for table in tables if table],
                drawings=drawings.get(name, ()),
                settings=_settings(comparison),
                machines=_machines(comparison.runs),
            )
        )
    rows = [row for comparison in analysis.comparisons for row in comparison.rows]
    return Content(
        answers=analysis.answers or ["No run has a readable config.yaml."],
        failures=_failures(analysis.runs, problems, rows),
        parts=parts,
        runs=analysis.runs,
        labels={folder: row.label for row in rows for folder in row.runs["folder"]},
    )


def _declared(study: Record) -> list[str]:
    """What was declared before the runs."""
    lines = [study.question, f"arms: {text.listed(list(dict.fromkeys(cell.arm for cell in study.cells)))}"]
    lines += [f"reference: {study.reference}"] if study.reference else []
    lines += [f"seeds: {text.listed(list(map(str, study.seeds)))}", f"run by: {study.command}"]
    return [*lines, *(f"analysis: analysis/{name}/section.md" for name in study.analyses)]


def _failures(runs: pd.DataFrame, problems: Sequence[str], rows: Sequence[Row]) -> list[str]:
    """Every run that gave no score and every damaged record, with its reason; then success rates."""
    lost = runs[runs["status"] != "completed"]
    lines = [
        f"{run.id}: {run.status}" + (f" ({run.reason})" if isinstance(run.reason, str) and run.reason else "")
        for run in lost.itertuples()
    ]
    lines += [f"{run.id}: {run.problem}" for run in runs[runs["problem"].notna()].itertuples()]
    lines += [f"{run.id}: collapsed, kept in the means" for run in runs[runs["collapsed"].astype(bool)].itertuples()]
    return [*lines, *problems, *_success_rates(rows)]


def _success_rates(rows: Sequence[Row]) -> list[str]:
    """A line for each row that lost a finished run."""
    lines = []
    for row in rows:
        completed, lost = row.count("completed"), row.count("diverged") + row.count("failed")
        if lost:
            low, high = (text.percent(end, 0) for end in statistics.wilson(completed, completed + lost))
            lines.append(
                f"{row.label}: {completed} of {text.runs(completed + lost)} that ended gave a score "
                f"(95 % Wilson interval of the success rate {low} to {high} %)"
            )
    return lines


def _settings(comparison: Comparison) -> list[str]:
    """Shared fields once, then what differs by row."""
    fields = leaves(comparison.rows)
    common = {
        field
        for field, values in fields.items()
        if len(values) == len(comparison.rows) and len({repr(value) for value in values.values()}) == 1
    }
    lines = [f"every row: {_listed({field: next(iter(fields[field].values())) for field in common})}"]
    for row in comparison.rows:
        own = {
            field: values[row.label] for field, values in fields.items() if field not in common and row.label in values
        }
        lines.append(f"{row.label} ({row.digest}): {_listed(own)}")
    return lines


def _listed(values: Mapping[str, Any]) -> str:
    named = sorted((field.removeprefix("method.config."), value) for field, value in values.items())
    return "; ".join(f"{field} = {value}" for field, value in named) or "nothing else"


def _machines(runs: pd.DataFrame) -> Table | None:
    """One line per combination of hardware and software, with the number of runs made on it."""
    known = [name for name in MACHINE if f"environment.{name}" in runs]
    finished = runs[runs["status"].isin(["completed", "diverged", "failed"])]
    if not known or finished.empty:
        return None
    settings = finished[[f"environment.{name}" for name in known]].map(environment_value)
    groups = settings.value_counts(sort=False)
    columns = [Column("runs"), *(Column(name.replace("_", " "), numeric=False) for name in known)]
    body = [
        [Cell((str(count),), sort=count), *(Cell((value,)) for value in _tuple(key))] for key, count in groups.items()
    ]
    return Table("", "", columns, body, [], [], [])


def _tuple(key: Any) -> tuple[str, ...]:
    return key if isinstance(key, tuple) else (key,)
