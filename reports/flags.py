"""Red flags: what a reader must know before believing a table."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bench.reports import text
from bench.reports.comparison import Comparison
from bench.reports.notes import recipes
from bench.reports.rows import ALONG_THE_WAY, Row, leaves

ENVIRONMENT = {
    "environment.hardware": "hardware",
    "environment.device": "devices",
    "environment.torch": "torch versions",
    "environment.bench": "versions of the suite",
    "environment.git_commit": "git commits",
}
"""What must not differ within a table, beside the shared fields of the configuration. An installed suite knows no
commit: there its version is all that tells code apart.
"""


TUNED_RATE = "optimizer.lr"
"""The field outside of a method's own that tuning sets (bench/tuning.py)."""


def red_flags(comparison: Comparison) -> list[str]:
    """One line each: mixed protocols, machines or code; suspicious scores; runs that are missing or contradictory."""
    return [
        *_mixed_configuration(comparison),
        *_mixed_recipes(comparison.competing),
        *_mixed_environment(comparison.rows),
        *(flag for row in comparison.rows for flag in _identical_seeds(row)),
        *_not_above_random(comparison),
        *_never_begun(comparison),
        *_lost(comparison.runs),
        *_incidents(comparison.runs),
    ]


def _mixed_configuration(comparison: Comparison) -> list[str]:
    """Where every competing row was tuned, learning rates are as different as they should be."""
    expected = {TUNED_RATE} if all(row.tuned for row in comparison.competing) else set()
    flags = []
    for field, values in leaves(comparison.rows).items():
        if field.startswith("method.") or field in expected | {ALONG_THE_WAY}:
            continue
        if len({repr(value) for value in values.values()}) > 1:
            by_value: dict[str, list[str]] = {}
            for label, value in values.items():
                by_value.setdefault(str(value), []).append(label)
            name = "protocol version" if field == "protocol" else field
            flags.append(f"Different values of {name} in one table: {_grouped(by_value)}.")
    return flags


def _mixed_recipes(rows: Sequence[Row]) -> list[str]:
    if len(recipes(rows)) < 2:
        return []
    return ["Different recipes in one table (see above): a tuned method is not comparable with an untuned one."]


def _mixed_environment(rows: Sequence[Row]) -> list[str]:
    flags = []
    for column, name in ENVIRONMENT.items():
        by_value: dict[str, list[str]] = {}
        for row in rows:
            for value in _finished(row.runs, column).map(environment_value).unique():
                by_value.setdefault(value, []).append(row.label)
        if len(by_value) > 1:
            flags.append(f"Different {name} in one table: {_grouped(by_value)}.")
    dirty = sum(int(_finished(row.runs, "environment.git_dirty").eq(True).sum()) for row in rows)
    if dirty:
        flags.append(f"{text.runs(dirty)} made with uncommitted changes in the code.")
    return flags


def _identical_seeds(row: Row) -> list[str]:
    """Two seeds with every score and every measure of geometry equal are one run counted twice."""
    completed = row.runs[row.runs["status"] == "completed"]
    measured = [column for column in completed.columns if column.startswith(("scores.", "geometry."))]
    twins = int(completed.duplicated(measured).sum()) if measured else 0
    if twins:
        return [
            f"{row.label}: {text.runs(twins)} identical to another seed's in every score: did the seed take effect?"
        ]
    if row.score and row.score.n > 1 and row.score.sd == 0:
        return [
            f"{row.label}: the same {text.metric(row.metric)} for all {row.score.n} seeds: with no spread seen, "
            "differences to it look surer than they are."
        ]
    return []


def _not_above_random(comparison: Comparison) -> list[str]:
    baseline = max((row.score.mean for row in comparison.rows if row.method == "random" and row.score), default=None)
    if baseline is None:
        return []
    low = [row.label for row in comparison.competing if row.score and row.score.mean <= baseline]
    return [f"Not above the random encoder in {text.metric(comparison.metric)}: {text.listed(low)}."] if low else []


def _never_begun(comparison: Comparison) -> list[str]:
    """Runs without a folder, which nothing else counts: of the declared seeds, or else of all seeds in the table."""
    declared = comparison.declared_seeds
    wanted = set(comparison.runs["seed"] if declared is None else declared)
    parts = []
    for row in comparison.rows:
        absent = sorted(wanted - set(row.runs["seed"]))
        if absent:
            parts.append(f"seed{'s' if len(absent) > 1 else ''} {', '.join(map(str, absent))} of {row.label}")
    parts += [f"every run of {text.listed(comparison.absent)}"] if comparison.absent else []
    why = "other rows have them" if declared is None else "declared"
    return [f"Never begun, though {why}: {'; '.join(parts)}."] if parts else []


def _lost(runs: pd.DataFrame) -> list[str]:
    flags = []
    for status in ("unfinished", "unreadable"):
        count = int((runs["status"] == status).sum())
        if count:
            flags.append(f"{text.runs(count)} {status}: in no mean.")
    contradictory = int(runs["problem"].notna().sum())
    if contradictory:
        flags.append(f"{text.runs(contradictory)} with contradictory or damaged records, see 'Failures'.")
    return flags


def _incidents(runs: pd.DataFrame) -> list[str]:
    """Of runs that went on from an older checkpoint, with other code or on another machine."""
    if "incidents" not in runs:
        return []
    told = runs[runs["incidents"].notna()]
    return [f"{run.id} did not go straight through: {run.incidents}." for run in told.itertuples()]


def _finished(runs: pd.DataFrame, column: str) -> pd.Series[Any]:
    known = runs.get(column, pd.Series(dtype=object))
    return known[runs["status"] == "completed"] if len(known) else known


def environment_value(value: object) -> str:
    """In words; a git commit by its first eight digits."""
    if value is None or value != value:
        return "unknown"
    return str(value)[:8] if re.fullmatch("[0-9a-f]{40}", str(value)) else str(value)


def _grouped(by_value: Mapping[str, Sequence[str]]) -> str:
    return "; ".join(f"{value} ({text.some(labels)})" for value, labels in by_value.items())
