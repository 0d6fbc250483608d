"""The runs of one dataset, compared: which method, how many runs, how far from the reference, what is the best."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pandas as pd

from bench.errors import UserError, suggest
from bench.reports import statistics
from bench.reports.power import smallest_detectable_difference
from bench.reports.statistics import Difference, Summary

REFERENCE_ROWS = ("random", "supervised")
"""Methods that bracket the others and do not compete: apart in tables, never bold, not in the Holm family."""
DEFAULT_REFERENCE = "barlow"
DECISIVE = "scores.linear"
"""The score that orders the rows and decides words and bold."""
_IDENTITY = re.compile(r"config\.(seed$|dataset\.|method\.(name|short_name|title)$)")


@dataclass(frozen=True)
class Row:
    """A method with one configuration (hash) on one dataset.

    `runs` holds all its run folders, finished or not; `linear` and `knn` (fractions) its completed ones, collapsed
    included. `changes` are the fields that tell several configurations of one method apart. `difference` is to the
    reference, `p` its Holm-adjusted p; both None for the reference itself.
    """

    method: str
    digest: str
    title: str
    changes: tuple[str, ...]
    runs: pd.DataFrame
    linear: Summary | None
    knn: Summary | None
    difference: Difference | None = None
    p: float | None = None
    hedges_g: float | None = None
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

    def values(self, column: str) -> list[float]:
        """The column's values over completed runs, in the order of the seeds; empty where no run has it."""
        completed = self.runs[self.runs["status"] == "completed"].sort_values("seed")
        return [] if column not in completed else completed[column].dropna().tolist()

    def count(self, status: str) -> int:
        return int((self.runs["status"] == status).sum())

    @property
    def collapsed(self) -> int:
        return int(self.runs["collapsed"].astype(bool).sum())


@dataclass(frozen=True)
class Comparison:
    """All rows of one dataset (name and fingerprint): competing rows by falling mean, then the reference rows.

    `detectable` is the smallest difference (a fraction) that n runs on each side show at 80 % power given the
    competing rows' pooled standard deviation, by n for the largest and the smallest n > 1; empty without a spread.
    """

    name: str
    title: str
    fingerprint: str
    rows: Sequence[Row]
    reference: Row | None
    detectable: Mapping[int, float]

    @property
    def competing(self) -> list[Row]:
        return [row for row in self.rows if row.competes]

    @property
    def aside(self) -> list[Row]:
        return [row for row in self.rows if not row.competes]

    @property
    def runs(self) -> pd.DataFrame:
        return pd.concat([row.runs for row in self.rows])


def compare(runs: pd.DataFrame, reference: str | None = None) -> tuple[list[Comparison], pd.DataFrame]:
    """One comparison per dataset, and the runs that fit in none because no config.yaml of their hash can be read.

    `reference` is a method, or `method/hash` for one of its configurations; by default Barlow Twins, else the first
    competing method by name. Raises UserError for a reference that no dataset has.
    """
    if "config.dataset.fingerprint" not in runs:
        return [], runs
    cells = ["dataset", "method", "digest"]
    siblings = runs.groupby(cells)["config.dataset.fingerprint"].transform("first")
    fingerprints = runs["config.dataset.fingerprint"].fillna(siblings)
    placed = runs.assign(fingerprint=fingerprints).loc[fingerprints.notna()]
    if reference is not None:
        _check_reference(placed, reference)
    several = placed.groupby("dataset")["fingerprint"].nunique().to_dict()
    comparisons = []
    for keys, group in placed.groupby(["dataset", "fingerprint"]):
        dataset, fingerprint = map(str, keys)
        title = str(group["config.dataset.name"].dropna().iloc[0])
        if several[dataset] > 1:
            title, dataset = f"{title} (data {fingerprint[:8]})", f"{dataset}-{fingerprint[:8]}"
        comparisons.append(_comparison(dataset, title, fingerprint, _rows(group), reference))
    return comparisons, runs.loc[fingerprints.isna()]


def leaves(rows: Sequence[Row]) -> dict[str, dict[str, Any]]:
    """Configuration by dotted field, and in it the value by row label; seed, names and data identity left out."""
    found: dict[str, dict[str, Any]] = {}
    for row in rows:
        for column, value in _configuration(row.runs).items():
            found.setdefault(column, {})[row.label] = value
    return found


def _comparison(dataset: str, title: str, fingerprint: str, rows: list[Row], wanted: str | None) -> Comparison:
    reference = _reference(rows, wanted)
    rows = _marked(_against(rows, reference))
    rows.sort(key=lambda row: (not row.competes, -row.linear.mean if row.linear else 1.0, row.label))
    spread = [row.values(DECISIVE) for row in rows if row.competes and row.linear and row.linear.n > 1]
    sd = statistics.pooled_sd(spread) if spread else None
    counts = {max(map(len, spread)), min(map(len, spread))} if sd else set()
    return Comparison(
        name=dataset,
        title=title,
        fingerprint=fingerprint,
        rows=rows,
        reference=next((row for row in rows if reference and row.key == reference.key), None),
        detectable={n: smallest_detectable_difference(n, sd or 0.0) for n in sorted(counts, reverse=True)},
    )


def _rows(group: pd.DataFrame) -> list[Row]:
    rows = []
    for keys, runs in group.groupby(["method", "digest"]):
        method, digest = map(str, keys)
        title = str(runs["config.method.title"].dropna().iloc[0])
        row = Row(method, digest, title, (), runs, None, None)
        rows.append(replace(row, linear=_summary(row, DECISIVE), knn=_summary(row, "scores.knn")))
    return _labelled(rows)


def _summary(row: Row, column: str) -> Summary | None:
    values = row.values(column)
    return statistics.summary(values) if values else None


def _labelled(rows: list[Row]) -> list[Row]:
    """Several configurations of one method are told apart by the fields in which they differ."""
    labelled = []
    for row in rows:
        variants = [_configuration(other.runs) for other in rows if other.method == row.method]
        own = _configuration(row.runs)
        fields = sorted({field for variant in variants for field in variant})
        differing = [field for field in fields if len({repr(variant.get(field)) for variant in variants}) > 1]
        changes = (f"{field.removeprefix('method.config.')}={own.get(field)}" for field in differing)
        labelled.append(replace(row, changes=tuple(changes)))
    labels = [row.label for row in labelled]
    return [
        replace(row, title=f"{row.title} ({row.method})") if labels.count(row.label) > 1 else row for row in labelled
    ]


def _configuration(runs: pd.DataFrame) -> dict[str, Any]:
    """Fields of the first readable config.yaml, by dotted name, less what only names things."""
    columns = [str(column) for column in runs.columns if column.startswith("config.") and not _IDENTITY.match(column)]
    values = runs.loc[runs["config.method.name"].notna(), columns].iloc[0].tolist()
    return {
        column.removeprefix("config."): value
        for column, value in zip(columns, values, strict=True)
        if not (isinstance(value, float) and math.isnan(value))
    }


def _names(row: Row) -> set[str]:
    names = {row.method}
    for column in ("config.method.name", "config.method.short_name"):
        if column in row.runs:
            names |= set(row.runs[column].dropna())
    return names | {f"{name}/{row.digest}" for name in names}


def _check_reference(runs: pd.DataFrame, reference: str) -> None:
    known = set().union(*(_names(row) for row in _rows(runs)))
    if reference not in known:
        plain = {name for name in known if not re.search(r"/[0-9a-f]{8}$", name)}
        raise UserError(f"No run of the reference '{reference}' was found.{suggest(reference, plain)}")


def _reference(rows: Sequence[Row], wanted: str | None) -> Row | None:
    """The declared reference on this dataset; of several configurations the one with the most completed runs."""
    if wanted is None:
        competing = sorted(row.method for row in rows if row.competes)
        wanted = DEFAULT_REFERENCE if DEFAULT_REFERENCE in competing else next(iter(competing), None)
    candidates = [row for row in rows if wanted in _names(row)]
    return min(candidates, key=lambda row: (-len(row.values(DECISIVE)), row.digest), default=None)


def _against(rows: Sequence[Row], reference: Row | None) -> list[Row]:
    if reference is None or reference.linear is None:
        return list(rows)
    base = reference.values(DECISIVE)
    compared = []
    for row in rows:
        values = row.values(DECISIVE)
        if values and row is not reference:
            row = replace(row, difference=statistics.welch(values, base), hedges_g=statistics.hedges_g(values, base))
        compared.append(row)
    family = [row.difference.p if row.competes and row.difference else None for row in compared]
    return [replace(row, p=p) for row, p in zip(compared, statistics.holm(family), strict=True)]


def _marked(rows: list[Row]) -> list[Row]:
    """Bold for the best mean and for all that Welch's test with Holm's correction cannot tell from it.

    Nothing is bold without a test: one run, no spread on either side, or nothing to compare with.
    """
    scored = [row for row in rows if row.competes and row.linear]
    best = max(scored, key=lambda row: row.linear.mean if row.linear else 0.0, default=None)
    if best is None:
        return rows
    tests = [
        statistics.welch(row.values(DECISIVE), best.values(DECISIVE)).p if row is not best else None for row in scored
    ]
    if all(p is None for p in tests):
        return rows
    adjusted = statistics.holm(tests)
    bold = {best.key} | {
        row.key for row, p in zip(scored, adjusted, strict=True) if p is not None and p >= statistics.ALPHA
    }
    return [replace(row, bold=row.key in bold) for row in rows]
