"""The runs of one dataset, compared: which method, how many runs, how far from the reference, what is the best."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace

import pandas as pd

from bench.errors import UserError, suggest
from bench.reports import statistics
from bench.reports.against import against, difference, paired_differences
from bench.reports.finite_test_set import over_pictures
from bench.reports.power import PAIRED, detectable
from bench.reports.rows import Row, rows_of

DEFAULT_REFERENCE = "barlow"
NO_REFERENCE = ""
"""For `compare`, where the one that was declared has no run: no other is to stand in for it."""
SCORE = "scores."


@dataclass(frozen=True)
class Comparison:
    """All rows of one dataset (name and fingerprint): competing rows by falling mean, then the reference rows.

    `metric` names the score that decides; `paired` and `margin` (a fraction) are what was declared. `detectable` is
    the smallest difference (a fraction) that n runs on each side show at 80 % power given the competing rows' pooled
    standard deviation, or n pairs given that of their differences to the reference, by n for the largest and the
    smallest n > 1; empty without a reference or a spread. A study declares `declared_seeds`; `absent` are its arms
    without any run.
    """

    name: str
    title: str
    fingerprint: str
    rows: Sequence[Row]
    reference: Row | None
    detectable: dict[int, float]
    metric: str
    paired: bool
    margin: float | None
    declared_seeds: Sequence[int] | None = None
    absent: Sequence[str] = ()

    @property
    def competing(self) -> list[Row]:
        return [row for row in self.rows if row.competes]

    @property
    def aside(self) -> list[Row]:
        return [row for row in self.rows if not row.competes]

    @property
    def runs(self) -> pd.DataFrame:
        return pd.concat([row.runs for row in self.rows])


def compare(
    runs: pd.DataFrame,
    reference: str | None = None,
    *,
    metric: str = "linear",
    paired: bool = False,
    margin: float | None = None,
) -> tuple[list[Comparison], pd.DataFrame]:
    """One comparison per dataset, and the runs that fit in none because no config.yaml of their hash can be read.

    `reference` is a method, or `method/hash` for one of its configurations, or several with commas, of which a dataset
    takes its own, or NO_REFERENCE; by default Barlow Twins, else the first competing method by name. `metric` is the
    score that decides, `paired` pairs runs by seed, `margin` (a fraction) is that of equivalence: all three are to be
    declared before the results are seen. Raises UserError for a reference or a metric that no dataset has, and for a
    margin that is no positive fraction.
    """
    if margin is not None and not 0 < margin < 1:
        raise UserError(f"The margin must lie between 0 and 1 as a fraction (0.01 is one point), not {margin}.")
    if "config.dataset.fingerprint" not in runs:
        return [], runs
    cells = ["dataset", "method", "digest"]
    siblings = runs.groupby(cells)["config.dataset.fingerprint"].transform("first")
    fingerprints = runs["config.dataset.fingerprint"].fillna(siblings)
    placed = runs.assign(fingerprint=fingerprints).loc[fingerprints.notna()]
    _check_metric(placed, metric)
    if reference:
        check_reference(placed, reference)
    several = placed.groupby("dataset")["fingerprint"].nunique().to_dict()
    comparisons = []
    for keys, group in placed.groupby(["dataset", "fingerprint"]):
        dataset, fingerprint = map(str, keys)
        title = str(group["config.dataset.name"].dropna().iloc[0])
        if several[dataset] > 1:
            title, dataset = f"{title} (data {fingerprint[:8]})", f"{dataset}-{fingerprint[:8]}"
        rows = rows_of(group, metric)
        chosen = _reference(rows, reference)
        rows = _marked(over_pictures(_against(rows, chosen, paired, margin), chosen, paired), paired)
        rows.sort(key=lambda row: (not row.competes, -row.score.mean if row.score else 1.0, row.label))
        comparisons.append(
            Comparison(
                name=dataset,
                title=title,
                fingerprint=fingerprint,
                rows=rows,
                reference=next((row for row in rows if chosen and row.key == chosen.key), None),
                detectable=_detectable(rows, chosen, paired),
                metric=metric,
                paired=paired,
                margin=margin,
            )
        )
    return comparisons, runs.loc[fingerprints.isna()]


def _detectable(rows: Sequence[Row], reference: Row | None, paired: bool) -> dict[int, float]:
    if reference is None:
        return {}
    competing = [row for row in rows if row.competes]
    if not paired:
        return detectable([list(row.scores.values()) for row in competing])
    others = [row for row in competing if row.key != reference.key]
    return detectable([paired_differences(row.scores, reference.scores) for row in others], PAIRED)


def _check_metric(runs: pd.DataFrame, metric: str) -> None:
    known = {str(column).removeprefix(SCORE) for column in runs.columns if str(column).startswith(SCORE)}
    if known and metric not in known:
        raise UserError(f"No run has the score '{metric}'.{suggest(metric, known)}")


def references(runs: pd.DataFrame) -> set[str]:
    """Every name by which one of the runs can be the reference; a run whose configuration cannot be read has none."""
    if "config.method.title" not in runs:
        return set()
    runs = runs[runs["config.method.title"].notna()]
    return set().union(*(row.names for row in rows_of(runs, "linear")))


def check_reference(runs: pd.DataFrame, reference: str) -> None:
    """Raises UserError for a name in `reference` (see `compare`) that no run has."""
    known = references(runs)
    for name in reference.split(","):
        if name in known:
            continue
        plain = {name for name in known if not re.search(r"/[0-9a-f]{8}$", name)}
        raise UserError(f"No run of the reference '{name}' was found.{suggest(name, plain)}")


def _reference(rows: Sequence[Row], wanted: str | None) -> Row | None:
    """The declared reference on this dataset; of several configurations the one with the most completed runs."""
    if wanted is None:
        competing = sorted(row.method for row in rows if row.competes)
        wanted = DEFAULT_REFERENCE if DEFAULT_REFERENCE in competing else next(iter(competing), None)
    names = set(wanted.split(",")) if wanted else set()
    candidates = [row for row in rows if names & row.names]
    return min(candidates, key=lambda row: (-len(row.scores), row.digest), default=None)


def _against(rows: Sequence[Row], reference: Row | None, paired: bool, margin: float | None) -> list[Row]:
    if reference is None or not reference.scores:
        return list(rows)
    others = [row for row in rows if row.scores and row is not reference]
    found = against([row.scores for row in others], reference.scores, [row.competes for row in others], paired, margin)
    by_key = {row.key: one for row, one in zip(others, found, strict=True)}
    return [replace(row, against=by_key.get(row.key)) for row in rows]


def _marked(rows: list[Row], paired: bool) -> list[Row]:
    """Bold for the best mean and for all that the deciding test with Holm's correction cannot tell from it.

    A row without a test (one run, no spread on either side) is not, unless its mean is the same; nothing is where there
    is no test at all.
    """
    scored = [row for row in rows if row.competes and row.score]
    best = max(scored, key=_mean, default=None)
    if best is None:
        return rows
    tests = [difference(row.scores, best.scores, paired).p if row is not best else None for row in scored]
    if all(p is None for p in tests):
        return rows
    adjusted = statistics.holm(tests)
    bold = {
        row.key
        for row, p in zip(scored, adjusted, strict=True)
        if (_mean(row) == _mean(best) if p is None else p >= statistics.ALPHA)
    }
    return [replace(row, bold=row.key in bold) for row in rows]


def _mean(row: Row) -> float:
    return row.score.mean if row.score else 0.0
