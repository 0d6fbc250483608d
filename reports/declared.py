"""Everything a report says in numbers, from runs and from what was declared before they were seen."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import pandas as pd

from bench.errors import UserError
from bench.reports.comparison import Comparison, compare
from bench.reports.measures import with_derived
from bench.reports.overview import Overview, overview, overview_table
from bench.reports.pairs import pairs_table
from bench.reports.published import published_table
from bench.reports.results import results_table
from bench.reports.sentences import answer, unseen
from bench.reports.study import Options, Record, Section, runs_of, section
from bench.reports.study import comparisons as comparisons_of
from bench.reports.tables import Table

OVERVIEW = "datasets"
DECLARED = "declared.json"
"""File of a report that keeps what was declared, for `python -m bench verify`."""


_KINDS: dict[str, tuple[type, ...]] = {
    "reference": (str,),
    "metric": (str,),
    "margin": (int, float),
    "knn_target": (int, float),
    "columns": (list,),
}


@dataclass(frozen=True)
class Declared:
    """How runs are compared (bench.reports.comparison.compare) and which columns tables show.

    `columns` are names of bench.reports.measures, None for the default ones; `knn_target` (a fraction) is that of
    the column `minutes_to_knn`; `all_pairs` adds Tukey's test of all pairs. `study` makes it the report of a study,
    with its runs alone.
    """

    reference: str | None = None
    metric: str = "linear"
    paired: bool = False
    margin: float | None = None
    columns: Sequence[str] | None = None
    knn_target: float | None = None
    all_pairs: bool = False
    study: Record | None = None

    @property
    def scores(self) -> set[str]:
        """Names among which are all the scores that are asked for, the deciding one included."""
        return {self.metric, *(self.columns or ())}

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=2) + "\n"


def read(path: Path) -> Declared:
    """What `Declared.to_json` wrote to a file. Raises UserError for anything else."""
    try:
        values = dict(json.loads(path.read_text(encoding="utf-8")))
        unknown = set(values) - {field.name for field in fields(Declared)}
    except (OSError, ValueError, TypeError) as error:
        raise UserError(f"{path} cannot be read as what a report declared ({error}).") from error
    if unknown:
        raise UserError(f"{path} has the unknown entries {sorted(unknown)}.")
    try:
        study = Record.of(values["study"]) if values.get("study") else None
    except (TypeError, KeyError) as error:
        raise UserError(f"{path} is not the record of a study ({error}).") from error
    for name, kinds in _KINDS.items():
        if not isinstance(values.get(name), (*kinds, type(None))):
            raise UserError(f"{path}: {name} cannot be {values[name]!r}.")
    return Declared(**{**values, "study": study})


@dataclass(frozen=True)
class Analysis:
    """`tables` by the stem of their files: a dataset's own under its name, then `<name>-pairs`, `<name>-published`,
    OVERVIEW, and those of a study, which begin with STUDY; `answers` are the sentences of all datasets, a study's own
    first; `runs` are all, with what is derived from their curves (bench.reports.measures.with_derived).
    """

    comparisons: Sequence[Comparison]
    overview: Overview | None
    tables: Mapping[str, Table]
    answers: Sequence[str]
    runs: pd.DataFrame
    study: Record | None = None


def table_files(analysis: Analysis) -> dict[str, str]:
    """Content of tables/*.{md,tex,csv} by path within a report."""
    return {
        f"tables/{name}.{suffix}": write()
        for name, table in analysis.tables.items()
        for suffix, write in (("md", table.markdown), ("tex", table.latex), ("csv", table.csv))
    }


def _accuracy(comparisons: Sequence[Comparison], study: Record | None) -> list[str]:
    """What every comparison says, or where that is said: tests of the same runs are in one family, not in several."""
    if study and study.accuracy_in:
        return [
            f"This study is about its analyses. Accuracy is decided in the study {study.accuracy_in}, for the arms and "
            "datasets it has: tables of scores here are context, and their p are corrected within each table alone."
        ]
    if study and study.has_variants and study.section in ("ranking", "variance"):
        return ["How arms compare at a variant is in that variant's own table, whose p are corrected within it alone."]
    if study and study.has_variants and study.section == "grid" and study.reference:
        return [
            "How arms compare is in the study's own table, where all p are corrected together; those in the table of a "
            "single variant are corrected within that alone."
        ]
    return [one for comparison in comparisons for one in (*answer(comparison), *unseen(comparison))]


def analyse(runs: pd.DataFrame, curves: pd.DataFrame, declared: Declared) -> Analysis:
    """All comparisons and tables of `runs` (bench.reports.load.load) and their `curves` (bench.reports.load.curves).

    Raises UserError for a reference, metric or column that no run has.
    """
    runs = with_derived(runs, curves, declared.knn_target)
    options: dict[str, Any] = {"metric": declared.metric, "paired": declared.paired, "margin": declared.margin}
    if declared.study:
        runs = runs_of(runs, declared.study)
        comparisons = comparisons_of(runs, declared.study, options)
        own = section(runs, declared.study, Options(declared.metric, declared.paired))
    else:
        comparisons, _ = compare(runs, declared.reference, **options)
        own = Section({}, [])
    # Variants of one dataset share its test images: they are no datasets of their own to average over.
    found = overview(comparisons) if not declared.study or not declared.study.has_variants else None
    tables: dict[str, Table | None] = {**own.tables}
    for comparison in comparisons:
        tables[comparison.name] = results_table(comparison, declared.columns)
        tables[f"{comparison.name}-pairs"] = pairs_table(comparison) if declared.all_pairs else None
        tables[f"{comparison.name}-published"] = published_table(comparison)
    tables[OVERVIEW] = overview_table(found) if found else None
    return Analysis(
        comparisons=comparisons,
        overview=found,
        tables={name: table for name, table in tables.items() if table},
        answers=[*own.answers, *_accuracy(comparisons, declared.study)],
        runs=runs,
        study=declared.study,
    )
