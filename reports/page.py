"""The report: report.md with the answer first, tables, figures and results.csv, all from the run folders alone."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bench.errors import UserError
from bench.files import write_text
from bench.reports import figures, statistics, text
from bench.reports.comparison import Comparison, compare, leaves
from bench.reports.flags import environment_value
from bench.reports.load import curves, load
from bench.reports.results import answer, results_table
from bench.reports.tables import Cell, Column, Table

MACHINE = ("hardware", "device", "threads", "python", "torch", "git_commit", "git_dirty")


@dataclass(frozen=True)
class Report:
    """`path` of report.md, all `paths` written, and the answer and tables in Markdown for a terminal."""

    path: Path
    paths: Sequence[Path]
    markdown: str


def write_report(outputs: Sequence[Path], destination: Path, reference: str | None = None) -> Report:
    """Write report.md, results.csv, tables/*.{md,tex,csv} and figures/*.{pdf,png} under `destination`.

    `reference` is a method or `method/hash`; by default Barlow Twins, else the first method by name. Each file
    appears whole or not at all. Raises UserError where there is no run, no such folder, or no such reference.
    """
    runs = load(outputs)
    if runs.empty:
        folders = text.listed([str(output) for output in outputs])
        raise UserError(f"There are no runs in {folders}: expected <dataset>/<method>/<hash>/seed<k> below.")
    comparisons, _ = compare(runs, reference)
    measured, problems = curves(runs)
    tables = {comparison.name: results_table(comparison) for comparison in comparisons}
    portable = runs.assign(folder=[os.path.relpath(folder, destination) for folder in runs["folder"]])
    paths = [_write(destination / "results.csv", portable.to_csv(index=False))]
    drawn = {}
    for comparison in comparisons:
        for suffix, content in _forms(tables[comparison.name]).items():
            paths.append(_write(destination / "tables" / f"{comparison.name}.{suffix}", content))
        drawn[comparison.name] = figures.draw(comparison, measured, destination / "figures")
        paths += [path for pair in drawn[comparison.name].values() for path in pair]
    head = _answers(comparisons)
    sections = ["# Report", head, _failures(runs, problems, comparisons)]
    for comparison in comparisons:
        sections += [f"## {text.markdown(comparison.title)}", tables[comparison.name].markdown()]
        sections += [_figures(drawn[comparison.name], destination), _configuration(comparison), _machines(comparison)]
    sections.append("Every run: `results.csv`. Tables for a paper: `tables/`. Figures: `figures/`.\n")
    paths.insert(
        0, _write(destination / "report.md", "\n\n".join(section.strip("\n") for section in sections if section))
    )
    return Report(paths[0], paths, "\n\n".join([head, *(table.markdown() for table in tables.values())]))


def _forms(table: Table) -> dict[str, str]:
    return {"md": table.markdown(), "tex": table.latex(), "csv": table.csv()}


def _write(path: Path, content: str) -> Path:
    write_text(path, content.rstrip("\n") + "\n")
    return path


def _answers(comparisons: Sequence[Comparison]) -> str:
    sentences = [sentence for comparison in comparisons for sentence in answer(comparison)]
    return "\n".join(f"- {text.markdown(sentence)}" for sentence in sentences) or "No run has a readable config.yaml."


def _failures(runs: pd.DataFrame, problems: Sequence[str], comparisons: Sequence[Comparison]) -> str:
    """Every run that gave no score and every damaged record, with its reason; success rates."""
    lost = runs[runs["status"] != "completed"]
    lines = [
        f"{run.id}: {run.status}" + (f" ({run.reason})" if isinstance(run.reason, str) and run.reason else "")
        for run in lost.itertuples()
    ]
    lines += [f"{run.id}: {run.problem}" for run in runs[runs["problem"].notna()].itertuples()]
    lines += [f"{run.id}: collapsed, kept in the means" for run in runs[runs["collapsed"].astype(bool)].itertuples()]
    lines += problems
    if not lines:
        return f"All {text.runs(len(runs))} completed."
    return "## Failures\n\n" + "\n".join(f"- {text.markdown(line)}" for line in [*lines, *_success_rates(comparisons)])


def _success_rates(comparisons: Sequence[Comparison]) -> list[str]:
    """A line for each row that lost a finished run."""
    lines = []
    for row in (row for comparison in comparisons for row in comparison.rows):
        completed, lost = row.count("completed"), row.count("diverged") + row.count("failed")
        if lost:
            low, high = (text.percent(end, 0) for end in statistics.wilson(completed, completed + lost))
            lines.append(
                f"{row.label}: {completed} of {text.runs(completed + lost)} that ended gave a score "
                f"(95 % Wilson interval of the success rate {low} to {high} %)"
            )
    return lines


def _figures(drawn: dict[str, list[Path]], destination: Path) -> str:
    """PNGs inline, each with its caption and a link to the PDF."""
    blocks = []
    for caption, (pdf, png) in drawn.items():
        picture = f"![{text.markdown(caption)}](<{png.relative_to(destination).as_posix()}>)"
        blocks.append(f"{picture}\n\n{text.markdown(caption)} ([PDF](<{pdf.relative_to(destination).as_posix()}>))")
    return "\n\n".join(blocks)


def _configuration(comparison: Comparison) -> str:
    """Shared fields once, what differs by row."""
    fields = leaves(comparison.rows)
    common = {
        field
        for field, values in fields.items()
        if len(values) == len(comparison.rows) and len({repr(value) for value in values.values()}) == 1
    }
    lines = [f"every row: {_settings({field: next(iter(fields[field].values())) for field in common})}"]
    for row in comparison.rows:
        own = {
            field: values[row.label] for field, values in fields.items() if field not in common and row.label in values
        }
        lines.append(f"{row.label} ({row.digest}): {_settings(own)}")
    return "### Configuration\n\n" + "\n".join(f"- {text.markdown(line)}" for line in lines)


def _settings(values: Mapping[str, Any]) -> str:
    named = sorted((field.removeprefix("method.config."), value) for field, value in values.items())
    return "; ".join(f"{field} = {value}" for field, value in named) or "nothing else"


def _machines(comparison: Comparison) -> str:
    """One line per combination of hardware and software, with the number of runs made on it."""
    runs = comparison.runs
    known = [name for name in MACHINE if f"environment.{name}" in runs]
    finished = runs[runs["status"].isin(["completed", "diverged", "failed"])]
    if not known or finished.empty:
        return ""
    settings = finished[[f"environment.{name}" for name in known]].map(environment_value)
    groups = settings.value_counts(sort=False)
    columns = [Column("runs"), *(Column(name.replace("_", " "), numeric=False) for name in known)]
    body = [[Cell((str(count),)), *(Cell((value,)) for value in _values(key))] for key, count in groups.items()]
    return Table("", "### Machines", columns, body, [], [], []).markdown()


def _values(key: Any) -> tuple[str, ...]:
    return key if isinstance(key, tuple) else (key,)
