"""The report, all from the run folders alone: report.html and report.md with the answer first, tables, figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from bench.errors import UserError, suggest
from bench.files import write_atomically
from bench.reports import figure_geometry, figure_study, figures, html, markdown, pictures, text
from bench.reports.content import Content, content
from bench.reports.declared import DECLARED, OVERVIEW, Analysis, Declared, analyse, table_files
from bench.reports.elsewhere import with_elsewhere
from bench.reports.load import curves, load
from bench.reports.records import to_csv
from bench.reports.study import STUDY, Options, runs_of
from bench.reports.style import Drawing

FORMATS = ("md", "html", "latex", "csv", "figures")
REPORT_PLACES = ("tables/*.*", "figures/*.*")
ALL_PLACES = (*REPORT_PLACES, "analysis/**/section.md")
_TABLE_SUFFIXES = {"md": ".md", "latex": ".tex", "csv": ".csv"}


@dataclass(frozen=True)
class Selection:
    """What of the runs is reported: `methods` and `datasets` by exact name, none for all; some of FORMATS."""

    methods: Sequence[str] = ()
    datasets: Sequence[str] = ()
    formats: Sequence[str] = FORMATS


EVERYTHING = Selection()


@dataclass(frozen=True)
class Report:
    """`paths` of all files written, the page to look at first; answers and tables in Markdown for a terminal; and names
    of files in its folders that are none of its own: an earlier report's, of other runs or settings."""

    paths: Sequence[Path]
    markdown: str
    strangers: Sequence[str]


def write_report(
    outputs: Sequence[Path], destination: Path, declared: Declared | None = None, selection: Selection = EVERYTHING
) -> Report:
    """Write report.html, report.md, results.csv, tables/*.{md,tex,csv}, figures/*.{pdf,png} under `destination`.

    And declared.json, which says how they came about. `declared` is by default a comparison with the default
    reference. Each file appears whole or not at all. Raises UserError where there is no run, no such folder, method,
    dataset, reference, metric or column.
    """
    declared = declared or Declared()
    runs = with_elsewhere(selected(_loaded(outputs), selection), outputs, declared.scores)
    if declared.study:
        runs = runs_of(runs, declared.study)
        if runs.empty:
            raise UserError(f"There is no run of the study {declared.study.name} yet.")
    measured, problems = curves(runs)
    problems += pictures.problems(runs)
    analysis = analyse(runs, measured, declared)
    folders = [*outputs, destination]  # a study's analyses lie beside its report
    drawings = _drawings(analysis, measured, declared, folders) if {"html", "figures"} & set(selection.formats) else {}
    whole = content(problems, analysis, drawings)
    files = _files(whole, analysis, drawings, destination, selection.formats)
    files[DECLARED] = declared.to_json()
    paths = [_write(destination / name, body) for name, body in files.items()]
    shown = [name for name in analysis.tables if name.startswith(f"{STUDY}-")] or list(analysis.tables)
    tables = [analysis.tables[name].markdown() for name in shown]
    analyses = [f"analysis/{place}/section.md" for place in declared.study.analyses] if declared.study else []
    others = strangers(destination, [*files, *analyses], ALL_PLACES if declared.study else REPORT_PLACES)
    return Report(paths, "\n\n".join([markdown.answers(whole), *tables]), others)


def strangers(folder: Path, own: Sequence[str], places: Sequence[str]) -> list[str]:
    """Names, relative to `folder`, of the files at some of its places that are not among `own`."""
    found = (path.relative_to(folder).as_posix() for place in places for path in sorted(folder.glob(place)))
    return [name for name in found if name not in own]


def _files(
    whole: Content,
    analysis: Analysis,
    drawings: dict[str, list[Drawing]],
    destination: Path,
    formats: Sequence[str],
) -> dict[str, str | bytes]:
    files: dict[str, str | bytes] = {}
    if "html" in formats:
        files["report.html"] = html.render(whole, destination)
    if "md" in formats:
        files["report.md"] = markdown.render(whole, formats)
    if "csv" in formats:
        files["results.csv"] = to_csv(whole.runs, destination)
    suffixes = tuple(_TABLE_SUFFIXES[form] for form in formats if form in _TABLE_SUFFIXES)
    files |= {name: body for name, body in table_files(analysis).items() if name.endswith(suffixes)}
    for drawing in (one for drawn in drawings.values() for one in drawn if "figures" in formats):
        files |= {f"figures/{drawing.name}.pdf": drawing.pdf, f"figures/{drawing.name}.png": drawing.png}
    return files


def _loaded(outputs: Sequence[Path]) -> pd.DataFrame:
    runs = load(outputs)
    if runs.empty:
        folders = text.listed([str(output) for output in outputs])
        raise UserError(f"There are no runs in {folders}: expected <dataset>/<method>/<hash>/seed<k> below.")
    return runs


def selected(runs: pd.DataFrame, selection: Selection) -> pd.DataFrame:
    """The chosen runs; methods and datasets go by the names in their configuration and of their folders."""
    columns = {
        "method": ("method", "config.method.name", "config.method.short_name"),
        "dataset": ("dataset", "config.dataset.name", "config.dataset.key"),
    }
    chosen = pd.Series(True, index=runs.index)
    for kind, wanted in (("method", selection.methods), ("dataset", selection.datasets)):
        names = runs[[column for column in columns[kind] if column in runs]]
        known = set(map(str, names.stack()))
        for name in wanted:
            if name not in known:
                raise UserError(f"No run has the {kind} '{name}'.{suggest(name, known)}")
        if wanted:
            chosen &= names.isin(list(wanted)).any(axis=1)
    if not chosen.any():
        raise UserError(f"There is no run of {text.listed(selection.methods)} on {text.listed(selection.datasets)}.")
    return runs[chosen].reset_index(drop=True)


def _drawings(
    analysis: Analysis, measured: pd.DataFrame, declared: Declared, folders: Sequence[Path]
) -> dict[str, list[Drawing]]:
    spectrum, pairs = figure_geometry.measured(folders)
    drawings: dict[str, list[Drawing]] = {}
    if analysis.study:
        drawings[STUDY] = figure_study.draw(analysis, Options(declared.metric, declared.paired))
    if not (analysis.study and analysis.study.has_variants):  # else the study's own figures show them side by side
        for one in analysis.comparisons:
            drawings[one.name] = [*figures.draw(one, measured), *figure_geometry.draw_encoders(one, spectrum, pairs)]
    if analysis.overview:
        drawings[OVERVIEW] = figures.draw_overview(analysis.overview)
    return drawings


def _write(path: Path, body: str | bytes) -> Path:
    whole = f"{body.rstrip(chr(10))}\n".encode() if isinstance(body, str) else body
    write_atomically(path, lambda temporary: temporary.write_bytes(whole))
    return path
