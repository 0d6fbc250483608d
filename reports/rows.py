"""Rows of a comparison: the runs of one method with one configuration on one dataset."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import pandas as pd

from bench.reports import statistics
from bench.reports.against import Against
from bench.reports.statistics import Difference, Summary

REFERENCE_ROWS = ("random", "supervised")
"""Methods that bracket the others and do not compete: apart in tables, never bold, not in the Holm family."""
DEFAULT_RECIPE = "default"
ALONG_THE_WAY = "evaluate.curve_points"
"""Changes neither encoder nor scores, and is no part of a run's id (bench/spec.py): differing, it tells nothing."""
_IDENTITY = re.compile(r"config\.(seed$|recipe$|dataset\.|method\.(name|short_name|title)$)")


@dataclass(frozen=True)
class Row:
    """A method with one configuration (hash) on one dataset.

    `runs` holds all its run folders, finished or not. `score`, `linear` and `knn` summarise its completed ones,
    collapsed included, in fractions; `score` is of the `metric` that decides (linear unless another was declared).
    `changes` are the fields that tell several configurations of one method apart, less what most of them share and
    what this one lacks. `against` is None for the reference itself and where it or this row has no score.
    """

    method: str
    digest: str
    title: str
    changes: tuple[str, ...]
    runs: pd.DataFrame
    metric: str
    score: Summary | None
    linear: Summary | None
    knn: Summary | None
    against: Against | None = None
    bold: bool = False

    @property
    def label(self) -> str:
        return f"{self.title} [{', '.join(self.changes)}]" if self.changes else self.title

    @property
    def key(self) -> tuple[str, str]:
        return self.method, self.digest

    @property
    def competes(self) -> bool:
        return self.method not in REFERENCE_ROWS

    @cached_property
    def completed(self) -> pd.DataFrame:
        """Its completed runs in the order of the seeds."""
        return self.runs[self.runs["status"] == "completed"].sort_values("seed")

    @cached_property
    def scores(self) -> dict[int, float]:
        """The deciding score of each completed run that has one, by seed."""
        completed, column = self.completed, f"scores.{self.metric}"
        if column not in completed:
            return {}
        known = completed[completed[column].notna()]
        return dict(zip(known["seed"].tolist(), known[column].tolist(), strict=True))

    @property
    def recipe(self) -> str:
        """Where its hyperparameters come from: `default`, `published: ...` or `tuned (16 trials)`."""
        return recipe_of(self.runs)

    @property
    def tuned(self) -> bool:
        return self.recipe.startswith("tuned")

    @property
    def difference(self) -> Difference | None:
        return self.against.difference if self.against else None

    @property
    def p(self) -> float | None:
        return self.against.p if self.against else None

    def values(self, column: str) -> list[float]:
        """The column's values over completed runs, in the order of the seeds; empty where no run has it."""
        completed = self.completed
        return [] if column not in completed else completed[column].dropna().tolist()

    def count(self, status: str) -> int:
        return int((self.runs["status"] == status).sum())

    @property
    def collapsed(self) -> int:
        return int(self.runs["collapsed"].astype(bool).sum())

    @property
    def names(self) -> set[str]:
        """All by which a declared reference may call this row: its method, with or without its hash."""
        names = {self.method}
        for column in ("config.method.name", "config.method.short_name"):
            if column in self.runs:
                names |= set(self.runs[column].dropna())
        return names | {f"{name}/{self.digest}" for name in names}


def recipe_of(runs: pd.DataFrame) -> str:
    """Where the hyperparameters of runs come from; several answers with ' / ' between them."""
    recorded = runs["config.recipe"] if "config.recipe" in runs else pd.Series(dtype=object)
    found = recorded.dropna().astype(str).unique()
    return " / ".join(sorted(found)) if len(found) else DEFAULT_RECIPE


def leaves(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Configuration by dotted field, and in it the value by row label; seed, names and data identity left out."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        for column, value in _configuration(row.runs).items():
            found.setdefault(column, {})[row.label] = value
    return found


def rows_of(runs: pd.DataFrame, metric: str) -> list[Row]:
    """A row for every method and configuration among the runs of one dataset."""
    rows = []
    for keys, group in runs.groupby(["method", "digest"]):
        method, digest = map(str, keys)
        title = str(group["config.method.title"].dropna().iloc[0])
        row = Row(method, digest, title, (), group, metric, None, None, None)
        score, linear, knn = (summary_of(row, f"scores.{name}") for name in (metric, "linear", "knn"))
        rows.append(replace(row, score=score, linear=linear, knn=knn))
    return _labelled(rows)


def summary_of(row: Row, column: str) -> Summary | None:
    """Of a column over the row's completed runs; None where none has it."""
    values = row.values(column)
    return statistics.summary(values) if values else None


def _labelled(rows: list[Row]) -> list[Row]:
    """Several configurations of one method are told apart by the fields in which they differ."""
    labelled = []
    for method in dict.fromkeys(row.method for row in rows):
        own = [row for row in rows if row.method == method]
        variants = [_configuration(row.runs) for row in own]
        fields = _telling(variants, tuned=all(row.tuned for row in own))
        usual = {field: _usual([variant.get(field) for variant in variants]) for field in fields}
        for row, variant in zip(own, variants, strict=True):
            told = [field for field in fields if repr(variant.get(field)) not in ("None", usual[field])]
            changes = (f"{field.removeprefix('method.config.')}={variant.get(field)}" for field in told)
            labelled.append(replace(row, changes=tuple(changes)))
    labelled = _told_apart(labelled, lambda row: row.method)
    return _told_apart(labelled, lambda row: row.digest)  # what a configuration lacks is not in its label


def _told_apart(rows: Sequence[Row], name: Callable[[Row], str]) -> list[Row]:
    """Rows of one label get a name behind their title, if they differ in it."""
    alike: dict[str, set[str]] = {}
    for row in rows:
        alike.setdefault(row.label, set()).add(name(row))
    return [replace(row, title=f"{row.title} ({name(row)})") if len(alike[row.label]) > 1 else row for row in rows]


def _telling(variants: Sequence[Mapping[str, Any]], tuned: bool) -> list[str]:
    """The fields in which the configurations differ. Where each was tuned, the numbers that tuning found are no part
    of a name, if the other fields tell the configurations apart."""
    fields = sorted({field for variant in variants for field in variant} - {ALONG_THE_WAY})
    differing = [field for field in fields if len({repr(variant.get(field)) for variant in variants}) > 1]
    choices = [field for field in differing if any(isinstance(variant.get(field), str | bool) for variant in variants)]
    apart = {tuple(repr(variant.get(field)) for field in choices) for variant in variants}
    return choices if tuned and len(apart) == len(variants) else differing


def _usual(values: Sequence[object]) -> str | None:
    """What more than half of them are, which names need not say."""
    value, count = Counter(map(repr, values)).most_common(1)[0]
    return value if 2 * count > len(values) else None


def _configuration(runs: pd.DataFrame) -> dict[str, Any]:
    """Fields of the first readable config.yaml, by dotted name, less what only names things."""
    columns = [str(column) for column in runs.columns if column.startswith("config.") and not _IDENTITY.match(column)]
    values = runs.loc[runs["config.method.name"].notna(), columns].iloc[0].tolist()
    return {
        column.removeprefix("config."): value
        for column, value in zip(columns, values, strict=True)
        if not (isinstance(value, float) and math.isnan(value))
    }
