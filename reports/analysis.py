"""What analyses of finished encoders say: their numbers beside the runs, one table per dataset, a section of a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bench.errors import UserError
from bench.files import write_atomically
from bench.reports import statistics, text
from bench.reports.comparison import NO_REFERENCE, Comparison, compare, references
from bench.reports.load import load
from bench.reports.power import detectable, detectable_note
from bench.reports.results import table_label
from bench.reports.rows import Row, summary_of
from bench.reports.statistics import Difference, welch
from bench.reports.style import Drawing
from bench.reports.tables import Cell, Column, Table

PREFIX = "analysis."
"""Before the names of an analysis' numbers among the columns of the runs."""


MEASURES = ("measures.csv", "scores.csv")
"""Of an analysis: a row per run, by its `id`, or one per run and `map`."""


@dataclass(frozen=True)
class Quantity:
    """A column of a table: what it is called, with how many decimals, and what to know of it."""

    heading: str
    decimals: int
    explained: str


def loaded(run_folders: Sequence[Path]) -> pd.DataFrame:
    """The rows of bench.reports.load.load that belong to these run folders."""
    folders = {str(folder.resolve()) for folder in run_folders}
    runs = load(sorted({folder.resolve().parents[3] for folder in run_folders}))
    return runs[runs["folder"].isin(folders)].reset_index(drop=True)


def compared(runs: pd.DataFrame, values: pd.DataFrame, reference: str | None) -> list[Comparison]:
    """Comparisons, a dataset each, whose rows' runs carry the columns of `values` (with `id`) behind PREFIX.

    Without the `reference` (see `compare`) where it is none of these runs: a part of a method's terms has no others.
    """
    named = values.rename(columns={column: PREFIX + str(column) for column in values.columns if column != "id"})
    merged = runs.merge(named, on="id", how="left").copy()  # one block of memory, which pandas warns about otherwise
    metric = "linear" if "scores.linear" in runs else "linear_validation"
    if reference is not None:
        known = references(runs)
        reference = ",".join(name for name in reference.split(",") if name in known) or NO_REFERENCE
    return compare(merged, reference, metric=metric)[0]


def long(values: pd.DataFrame, comparison: Comparison) -> pd.DataFrame:
    """The rows of `values` (with `id`) that belong to the comparison's completed runs, with their `label`."""
    labels = pd.concat([row.completed[["id"]].assign(label=row.label) for row in comparison.rows])
    return values.merge(labels, on="id")


def table(
    comparison: Comparison,
    quantities: Mapping[str, Quantity],
    caption: str,
    notes: Sequence[str],
    name: str | None = None,
) -> Table:
    """Mean ± standard deviation of every quantity and row; below, the difference to the reference with Welch's p.

    p is Holm's over all differences of competing rows in this table. `name`, by default the comparison's, is for files.
    """
    found = _differences(comparison, list(quantities))
    heads = [Column("method", "configuration", numeric=False), Column("n")]
    heads += [Column(quantity.heading) for quantity in quantities.values()]

    def cells(row: Row) -> list[Cell]:
        n = len(row.completed)
        measured = [_cell(row, name, quantity, found.get((row.key, name))) for name, quantity in quantities.items()]
        return [Cell((row.label, row.digest)), Cell((str(n),), sort=n), *measured]

    known = [row for row in comparison.rows if any(row.values(PREFIX + name) for name in quantities)]
    explained = [f"{quantity.heading}: {quantity.explained}" for quantity in quantities.values()]
    return Table(
        label=table_label(name or comparison.name),
        caption=f"{caption} Mean ± sample standard deviation over n seeds{_versus(comparison)}.",
        columns=heads,
        body=[cells(row) for row in known if row.competes],
        aside=[cells(row) for row in known if not row.competes],
        notes=[*explained, *notes, *_detectable(comparison, quantities), *_missing(comparison, list(quantities))],
        records=[_record(row, comparison, name, found.get((row.key, name))) for row in known for name in quantities],
    )


def write(destination: Path, title: str, tables: Sequence[Table], drawings: Sequence[Drawing]) -> Path:
    """Write section.md, tables/*.{csv,tex} and figures/*.{pdf,png} under `destination`; returns section.md's path."""
    parts = [f"## {title}", *(table.markdown() for table in tables), *(figure(drawing) for drawing in drawings)]
    section = "\n\n".join(part.strip("\n") for part in parts if part) + "\n"
    files: dict[str, bytes] = {"section.md": section.encode()}
    for one in tables:
        name = one.label.removeprefix("tab:")
        files |= {f"tables/{name}.csv": one.csv().encode(), f"tables/{name}.tex": one.latex().encode()}
    for name, body in files.items():
        _write(destination / name, body)
    for drawing in drawings:
        write_figure(drawing, destination)
    return destination / "section.md"


def write_figure(drawing: Drawing, destination: Path) -> None:
    """Its PDF and PNG, where `figure` looks for them."""
    for kind, body in (("pdf", drawing.pdf), ("png", drawing.png)):
        _write(destination / f"figures/{drawing.name}.{kind}", body)


def figure(drawing: Drawing) -> str:
    """The figure in Markdown, with its caption below."""
    caption = text.markdown(drawing.caption)
    return f"![{caption}](<figures/{drawing.name}.png>)\n\n{caption}"


def write_csv(rows: Sequence[Mapping[Any, Any]], path: Path) -> None:
    """A tidy CSV, whole or not at all; of no rows, an empty file."""
    _write(path, pd.DataFrame(list(rows)).to_csv(index=False, lineterminator="\n").encode() if rows else b"")


def read_csv(path: Path) -> pd.DataFrame:
    """What `write_csv` wrote. Raises UserError where it is not there or cannot be read."""
    try:
        return pd.read_csv(path) if path.stat().st_size else pd.DataFrame()
    except (OSError, ValueError) as error:
        raise UserError(f"{path} cannot be read ({error}); run the analysis again.") from error


def measures_of(folder: Path) -> list[pd.DataFrame]:
    """What an analysis measured, by the `id` of the run: measures.csv, and scores.csv as `<map>.<score>`, if there."""
    frames = []
    for name in MEASURES:
        path = folder / name
        if not path.is_file() or not path.stat().st_size:
            continue
        values = read_csv(path).set_index("id")
        if "map" in values:
            values = values.pivot(columns="map")
            values = values.set_axis([f"{pair[1]}.{pair[0]}" for pair in values.columns], axis=1)
        frames.append(values)
    return frames


def _write(path: Path, body: bytes) -> None:
    write_atomically(path, lambda temporary: temporary.write_bytes(body))


@dataclass(frozen=True)
class _Compared:
    difference: Difference
    p_holm: float | None


def _differences(comparison: Comparison, names: Sequence[str]) -> dict[tuple[tuple[str, str], str], _Compared]:
    reference = comparison.reference
    if reference is None:
        return {}
    found = {}
    for row in comparison.rows:
        for name in names:
            own, base = row.values(PREFIX + name), reference.values(PREFIX + name)
            if row.key != reference.key and own and base:
                found[row.key, name] = welch(own, base), row.competes
    adjusted = statistics.holm([one.p if competes else None for one, competes in found.values()])
    return {key: _Compared(one, p) for (key, (one, _)), p in zip(found.items(), adjusted, strict=True)}


def _detectable(comparison: Comparison, quantities: Mapping[str, Quantity]) -> list[str]:
    """Each quantity in its own unit, for the largest number of runs; none where there is no reference."""
    if comparison.reference is None:
        return []
    sizes = []
    for name, quantity in quantities.items():
        found = detectable([row.values(PREFIX + name) for row in comparison.competing])
        shown = [
            f"{text.number(size, quantity.decimals)} in {quantity.heading} with n = {n}" for n, size in found.items()
        ]
        sizes += shown[:1]
    return [detectable_note(sizes, "the competing rows", "Holm's correction")]


def _versus(comparison: Comparison) -> str:
    if comparison.reference is None:
        return ""
    return (
        f"; then the difference to {comparison.reference.label} with the p of Welch's test after Holm's correction "
        "over all differences of competing methods in this table"
    )


def _cell(row: Row, name: str, quantity: Quantity, found: _Compared | None) -> Cell:
    summary = summary_of(row, PREFIX + name)
    if summary is None:
        return Cell((text.NOTHING,))
    mean = text.number(summary.mean, quantity.decimals)
    lines = [mean if summary.sd is None else f"{mean} ± {text.number(summary.sd, quantity.decimals)}"]
    if found:
        p = "" if found.p_holm is None else f", {text.p_value(found.p_holm)}"
        sign = "+" if found.difference.difference > 0 else ""
        lines.append(f"({sign}{text.number(found.difference.difference, quantity.decimals)}{p})")
    return Cell(tuple(lines), sort=summary.mean)


def _missing(comparison: Comparison, names: Sequence[str]) -> list[str]:
    """Runs that the table cannot speak of, by how they ended: they are counted, not forgotten."""
    runs = comparison.runs
    columns = [PREFIX + name for name in names if PREFIX + name in runs]
    absent = runs[runs[columns].isna().all(axis=1)]
    counts = absent["status"].value_counts()
    if absent.empty:
        return []
    words = ", ".join(f"{count} {status}" for status, count in counts.items())
    return [f"Without an encoder, and not in this table: {text.runs(len(absent))} ({words})."]


def _record(row: Row, comparison: Comparison, name: str, found: _Compared | None) -> dict[str, Any]:
    record: dict[str, Any] = {"dataset": comparison.title, "method": row.method, "hash": row.digest, "label": row.label}
    values = row.values(PREFIX + name)
    record |= {"quantity": name, "n": len(values)}
    if values:
        summary = statistics.summary(values)
        low, high = summary.interval or (None, None)
        record |= {"mean": summary.mean, "sd": summary.sd, "low": low, "high": high}
        record["values"] = " ".join(map(repr, values))
    if found:
        low, high = found.difference.interval or (None, None)
        record |= {"difference": found.difference.difference, "difference_low": low, "difference_high": high}
        record |= {"p": found.difference.p, "p_holm": found.p_holm}
    return record
