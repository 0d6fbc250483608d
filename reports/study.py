"""A study's own part of a report: what was declared of it, its runs by cell, and the section that answers it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import pandas as pd

from bench.reports import statistics
from bench.reports.against import Scores
from bench.reports.comparison import NO_REFERENCE, Comparison, compare
from bench.reports.rows import REFERENCE_ROWS, Row
from bench.reports.statistics import Difference
from bench.reports.tables import Table

STUDY = "study"
"""Name of the section among a report's tables and drawings."""


@dataclass(frozen=True)
class Cell:
    """One configuration: `key` is its runs' id less the seed, `variant` says how it differs from others of its arm."""

    key: str
    arm: str
    dataset: str
    variant: Mapping[str, str]


@dataclass(frozen=True)
class Record:
    """What was declared of a study before its runs; `bench/study.py` has the file it comes from."""

    name: str
    title: str
    question: str
    section: str
    reference: str | None
    seeds: Sequence[int]
    cells: Sequence[Cell]
    factors: Sequence[str] = ()
    accuracy_in: str | None = None
    """The study that decides accuracy, where this one is about its analyses."""
    command: str = ""
    """What runs the study."""
    analyses: Sequence[str] = field(default=())
    """Analyses whose numbers lie beside the report, in analysis/NAME/measures.csv, or NAME/VARIANT of each variant."""

    @staticmethod
    def of(values: Mapping[str, Any]) -> Record:
        """From the plain values in declared.json. Raises TypeError for others."""
        return Record(**{**values, "cells": [Cell(**cell) for cell in values["cells"]]})

    @property
    def has_variants(self) -> bool:
        return any(cell.variant for cell in self.cells)


@dataclass(frozen=True)
class Group:
    """The completed runs of one cell, at the declared seeds."""

    cell: Cell
    runs: pd.DataFrame

    @property
    def arm(self) -> str:
        return self.cell.arm

    @property
    def variant(self) -> Mapping[str, str]:
        return self.cell.variant

    @cached_property
    def method(self) -> str:
        return self.cell.key.split("/")[1]

    @property
    def competes(self) -> bool:
        """False for the rows that bracket the others: they are in no family of tests."""
        return self.method not in REFERENCE_ROWS

    def scores(self, column: str) -> Scores:
        """The column's values by seed; empty where no run has it."""
        if column not in self.runs:
            return {}
        known = self.runs[self.runs[column].notna()]
        return dict(zip(known["seed"].tolist(), known[column].astype(float).tolist(), strict=True))


@dataclass(frozen=True)
class Section:
    """`tables` by the stem of their files; `answers` are sentences."""

    tables: Mapping[str, Table]
    answers: Sequence[str]


@dataclass(frozen=True)
class Options:
    """What sections compare by: the column of the deciding score, and whether runs are paired by seed."""

    metric: str
    paired: bool

    @property
    def column(self) -> str:
        return f"scores.{self.metric}"


def runs_of(runs: pd.DataFrame, record: Record) -> pd.DataFrame:
    """The rows of `bench.reports.load.load` that belong to the study."""
    keys = {cell.key for cell in record.cells}
    wanted = runs["id"].str.rpartition("/")[0].isin(keys) & runs["seed"].isin(list(record.seeds))
    return runs[wanted].reset_index(drop=True)


def groups_of(runs: pd.DataFrame, record: Record) -> dict[str, list[Group]]:
    """Cells with their completed runs, by dataset, in the declared order; a cell without any is there, empty."""
    completed = runs[runs["status"] == "completed"]
    by_key = dict(list(completed.groupby(completed["id"].str.rpartition("/")[0])))
    found: dict[str, list[Group]] = {}
    for cell in record.cells:
        found.setdefault(cell.dataset, []).append(Group(cell, by_key.get(cell.key, completed.iloc[:0])))
    return found


def contrast(groups: Sequence[Scores], weights: Sequence[float], paired: bool) -> Difference | None:
    """sum_i w_i mean_i with its test, over independent groups or by seed; None where a group has no score.

    By seed, over the seeds that all groups have, it is the one-sample t test of the weighted sums.
    """
    if not all(groups):
        return None
    if not paired:
        return statistics.linear_contrast([list(scores.values()) for scores in groups], weights)
    sums = by_seed(groups, weights)
    return statistics.paired(sums, [0.0] * len(sums)).difference if sums else None


def by_seed(groups: Sequence[Scores], weights: Sequence[float]) -> list[float]:
    """sum_i w_i score_i at each seed that all groups have."""
    common = sorted(set.intersection(*(set(scores) for scores in groups)))
    return [sum(w * scores[seed] for w, scores in zip(weights, groups, strict=True)) for seed in common]


def comparisons(runs: pd.DataFrame, record: Record, options: Mapping[str, Any]) -> list[Comparison]:
    """The usual comparison of arms with the reference, for every dataset and variant apart."""
    found = []
    for cells in _by_place(record.cells).values():
        own = runs[runs["id"].str.rpartition("/")[0].isin([cell.key for cell in cells])]
        if own.empty:
            continue
        begun = set(own["id"].str.rpartition("/")[0])
        named = [cell.key.partition("/")[2] for cell in cells if cell.arm == record.reference and cell.key in begun]
        reference = next(iter(named), NO_REFERENCE) if record.reference else None
        words = variant_words(cells[0].variant)
        arms = {cell.key: cell.arm for cell in cells}
        for comparison in compare(own, reference, **options)[0]:
            comparison = _by_arm(comparison, arms)
            name, title = comparison.name, comparison.title
            if words:
                slug = "-".join(cells[0].variant.values()).replace(" ", "-")
                name, title = f"{name}-{slug}", f"{title}, {words}"
            placed = set(comparison.runs["id"].str.rpartition("/")[0])
            absent = [arm for key, arm in arms.items() if key not in placed]
            found.append(replace(comparison, name=name, title=title, declared_seeds=record.seeds, absent=absent))
    return found


def _by_arm(comparison: Comparison, arms: Mapping[str, str]) -> Comparison:
    """Rows called as the study calls them: shorter than by all that differs, and one name for all datasets."""

    def named(row: Row) -> Row:
        key = str(row.runs["id"].iloc[0]).rpartition("/")[0]
        return replace(row, title=arms[key], changes=())

    reference = comparison.reference
    rows = [named(row) for row in comparison.rows]
    return replace(comparison, rows=rows, reference=named(reference) if reference else None)


def variant_words(variant: Mapping[str, str]) -> str:
    """`batch_size=64, projector.output=256`; a named variant by its name alone; nothing where there are none."""
    return ", ".join(value if key == "variant" else f"{key}={value}" for key, value in variant.items())


def section(runs: pd.DataFrame, record: Record, options: Options) -> Section:
    """The study's own tables and sentences, from its runs."""
    from bench.reports import study_factors, study_grid, study_ranking, study_variance

    makers: dict[str, Callable[[Mapping[str, Sequence[Group]], Record, Options], Section]] = {
        "factors": study_factors.section,
        "grid": study_grid.section,
        "ranking": study_ranking.section,
        "variance": study_variance.section,
    }
    if record.section not in makers:
        return Section({}, [])
    return makers[record.section](groups_of(runs, record), record, options)


def _by_place(cells: Sequence[Cell]) -> dict[tuple[str, ...], list[Cell]]:
    places: dict[tuple[str, ...], list[Cell]] = {}
    for cell in cells:
        places.setdefault((cell.dataset, *cell.variant.values()), []).append(cell)
    return places
