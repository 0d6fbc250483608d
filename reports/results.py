"""A comparison as a table and as sentences: the words are chosen by the numbers."""

from __future__ import annotations

import itertools
import re
from typing import Any

import numpy as np

from bench.reports import text
from bench.reports.comparison import DECISIVE, Comparison, Row
from bench.reports.flags import red_flags
from bench.reports.statistics import ALPHA, Summary
from bench.reports.tables import Cell, Column, Table

COST = {"images_per_second": "cost.images_per_second", "peak_memory_mib": "cost.peak_memory_mib"}
RANK = "geometry.effective_rank"


def results_table(comparison: Comparison) -> Table:
    """The table of one dataset: accuracy, difference to the reference, geometry, cost, what went wrong.

    A column in which no row has a value is left out.
    """
    decimals = _decimals(comparison)
    columns = [
        Column("method", "configuration", numeric=False),
        Column("n"),
        Column("linear", "%"),
        Column("kNN", "%"),
        Column("difference", "points"),
        Column("effective", "rank"),
        Column("images", "/ s"),
        Column("memory", "MiB"),
        Column("runs", "gone wrong", numeric=False),
    ]

    def cells(row: Row) -> list[Cell]:
        n = row.linear.n if row.linear else 0
        return [
            Cell(_name(row)),
            Cell((str(n),)),
            Cell(_accuracy(row.linear, decimals), row.bold),
            Cell(_accuracy(row.knn, decimals) + ((f"n = {row.knn.n}",) if row.knn and row.knn.n != n else ())),
            Cell(_difference(row, comparison, decimals)),
            Cell((text.number(_aggregate(row, RANK, np.mean)),)),
            Cell((text.number(_aggregate(row, COST["images_per_second"], np.median), 0),)),
            Cell((text.number(_aggregate(row, COST["peak_memory_mib"], np.max), 0),)),
            Cell(_losses(row)),
        ]

    rows = [cells(row) for row in comparison.rows]
    filled = [any(row[index].lines not in ((), (text.NOTHING,)) for row in rows) for index in range(len(columns))]
    kept = [list(itertools.compress(row, filled)) for row in rows]
    return Table(
        label="tab:" + re.sub(r"[^A-Za-z0-9.-]", "-", comparison.name),
        caption=_caption(comparison),
        columns=list(itertools.compress(columns, filled)),
        body=kept[: len(comparison.competing)],
        aside=kept[len(comparison.competing) :],
        notes=[*_limits(comparison, decimals), *(f"Flag: {flag}" for flag in red_flags(comparison))],
        records=[_record(row, comparison) for row in comparison.rows],
    )


def losses(row: Row) -> list[str]:
    """`2 of 5 diverged`, one entry for each kind of loss that happened."""
    counts = {status: row.count(status) for status in ("diverged", "failed", "unfinished", "unreadable")}
    counts["collapsed"] = row.collapsed
    return [f"{count} of {len(row.runs)} {kind}" for kind, count in counts.items() if count]


def answer(comparison: Comparison) -> list[str]:
    """What the runs say about linear accuracy on this dataset, one sentence per competing method, best first."""
    reference = comparison.reference
    if reference is None:
        return [f"On {comparison.title} there is no run of the reference, so that nothing is compared."]
    if reference.linear is None:
        return [f"On {comparison.title} no run of the reference {reference.label} has a score: nothing is compared."]
    sentences = []
    for row in comparison.competing:
        if row.key == reference.key:
            continue
        if row.linear is None:
            sentences.append(f"{row.label} has no completed run on {comparison.title} ({', '.join(losses(row))}).")
        else:
            sentences.append(_sentence(row, reference, comparison.title, _decimals(comparison)))
    return sentences or [f"On {comparison.title} only {reference.label} was run: there is nothing to compare it with."]


def _name(row: Row) -> tuple[str, ...]:
    if not row.changes:
        return row.title, row.digest
    *first, last = row.changes
    changes = [*(f"{change}," for change in first), f"{last}]"]
    return row.title, f"[{changes[0]}", *changes[1:], row.digest


def _losses(row: Row) -> tuple[str, ...]:
    """Count and kind on lines of their own, which keeps the column narrow in LaTeX."""
    lines = [part for loss in losses(row) for part in (loss.rpartition(" ")[0], loss.rpartition(" ")[2] + ",")]
    return (*lines[:-1], lines[-1].rstrip(",")) if lines else ()


def _sentence(row: Row, reference: Row, where: str, decimals: int) -> str:
    assert row.linear is not None
    assert reference.linear is not None
    assert row.difference is not None
    ns = (row.linear.n, reference.linear.n)
    n = f"n = {ns[0]}" if ns[0] == ns[1] else f"n = {ns[0]} against {ns[1]}"
    gap = text.points(row.difference.difference, decimals)
    if row.difference.interval is None or row.p is None:
        why = "one run says nothing about the spread" if min(ns) == 1 else "the seeds show no spread"
        return (
            f"{row.label} against {reference.label} on {where}: {gap} points in linear accuracy, "
            f"but no test is possible with {n} ({why})."
        )
    low, high = (text.percent(bound, decimals) for bound in row.difference.interval)
    p = text.p_value(row.p)
    if row.p < ALPHA:
        direction = "above" if row.difference.difference > 0 else "below"
        size = text.percent(abs(row.difference.difference), decimals)
        return (
            f"{row.label} is {size} points {direction} {reference.label} in linear accuracy on {where} "
            f"(95 % interval {low} to {high}, {n}, Holm-corrected {p})."
        )
    uncorrected = ""
    if row.difference.p is not None and row.difference.p < ALPHA:
        uncorrected = "; the interval leaves out 0, but not after Holm's correction for several comparisons"
    return (
        f"{row.label} cannot be told apart from {reference.label} in linear accuracy on {where} with {n} "
        f"({gap} points, 95 % interval {low} to {high}, Holm-corrected {p}{uncorrected})."
    )


def _decimals(comparison: Comparison) -> int:
    """One decimal of a percentage, two where a standard deviation would otherwise be printed as 0.0."""
    summaries = [summary for row in comparison.rows for summary in (row.linear, row.knn) if summary]
    return 2 if any(summary.sd and 100 * summary.sd < 0.05 for summary in summaries) else 1


def _accuracy(summary: Summary | None, decimals: int) -> tuple[str, ...]:
    if summary is None:
        return (text.NOTHING,)
    mean = text.percent(summary.mean, decimals)
    if summary.sd is None:
        return (mean,)
    spread = f"{mean} ± {text.percent(summary.sd, decimals)}"
    if summary.interval is None:
        return (spread,)
    return spread, _interval([text.percent(end, decimals) for end in summary.interval])


def _difference(row: Row, comparison: Comparison, decimals: int) -> tuple[str, ...]:
    if comparison.reference and row.key == comparison.reference.key:
        return ("reference",)
    if row.difference is None:
        return (text.NOTHING,)
    lines = [text.points(row.difference.difference, decimals)]
    if row.difference.interval is not None:
        lines.append(_interval([text.percent(bound, decimals) for bound in row.difference.interval]))
    return (*lines, text.p_value(row.p)) if row.p is not None else tuple(lines)


def _interval(ends: list[str]) -> str:
    return f"[{ends[0]}, {ends[1]}]"


def _aggregate(row: Row, column: str, function: Any) -> float | None:
    values = row.values(column)
    return float(function(values)) if values else None


def _caption(comparison: Comparison) -> str:
    versus = f" to {comparison.reference.label}" if comparison.reference else ""
    return (
        f"Accuracy on the test images of {comparison.title}. Mean ± sample standard deviation over n seeds and, "
        f"in brackets, the 95 % t interval of the mean; difference{versus} in linear accuracy with Welch's 95 % "
        "interval and p after Holm's correction. Bold: the best linear accuracy and all that Welch's test with Holm's "
        "correction (α = 0.05) cannot tell from it. Images/s: median; memory: peak."
    )


def _limits(comparison: Comparison, decimals: int) -> list[str]:
    notes = ["Intervals cover the choice of seed, not the choice of test images. Collapsed runs are in the means."]
    if comparison.detectable:
        sizes = [f"{text.percent(size, decimals)} points with n = {n}" for n, size in comparison.detectable.items()]
        notes.append(
            "Estimate from the pooled standard deviation of the competing rows: the smallest difference between two "
            f"methods that is found with 80 % probability is {text.listed(sizes)} each (two-sample t test, α = 0.05, "
            "before Holm's correction); smaller ones are found less often."
        )
    else:
        notes.append(
            "No spread between seeds is known for any competing row: no difference here can be told from seed noise."
        )
    reference = comparison.reference
    variants = [row for row in comparison.rows if reference and row.method == reference.method]
    if reference and len(variants) > 1:
        notes.append(
            f"{reference.method} has {len(variants)} configurations; the reference is {reference.digest}, "
            "declared or else the one with most completed runs."
        )
    return notes


def _record(row: Row, comparison: Comparison) -> dict[str, Any]:
    record: dict[str, Any] = {"dataset": comparison.title, "fingerprint": comparison.fingerprint}
    record |= {"method": row.method, "hash": row.digest, "label": row.label, "runs": len(row.runs)}
    record |= {status: row.count(status) for status in ("completed", "diverged", "failed", "unfinished", "unreadable")}
    record["collapsed"] = row.collapsed
    for name, summary, column in (("linear", row.linear, DECISIVE), ("knn", row.knn, "scores.knn")):
        record |= _summary_record(name, summary)
        record[f"{name}_values"] = " ".join(map(repr, row.values(column)))
    record["bold"] = row.bold
    if row.difference is not None:
        low, high = row.difference.interval or (None, None)
        record |= {"difference": row.difference.difference, "difference_low": low, "difference_high": high}
        record |= {"p": row.difference.p, "p_holm": row.p, "hedges_g": row.hedges_g}
    record |= {"effective_rank": _aggregate(row, RANK, np.mean)}
    record |= {"images_per_second": _aggregate(row, COST["images_per_second"], np.median)}
    return record | {"peak_memory_mib": _aggregate(row, COST["peak_memory_mib"], np.max)}


def _summary_record(name: str, summary: Summary | None) -> dict[str, Any]:
    if summary is None:
        return {f"{name}_n": 0}
    low, high = summary.interval or (None, None)
    values = {"n": summary.n, "mean": summary.mean, "sd": summary.sd, "low": low, "high": high}
    values |= {"median": summary.median, "minimum": summary.minimum}
    return {f"{name}_{key}": value for key, value in values.items()}
