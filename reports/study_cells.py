"""Cells that the tables of studies share."""

from __future__ import annotations

from typing import Any

from bench.reports import text
from bench.reports.against import Scores
from bench.reports.results import accuracy_lines
from bench.reports.statistics import Difference, summary
from bench.reports.tables import Cell

DECIMALS = 1


def accuracy_cell(scores: Scores) -> Cell:
    """Mean ± standard deviation and interval in percent."""
    found = summary(list(scores.values())) if scores else None
    return Cell(accuracy_lines(found, DECIMALS), sort=found.mean if found else None)


def difference_cell(found: Difference | None, p: float | None, is_reference: bool = False) -> Cell:
    """Points, interval, and p after the correction that the caption names."""
    if is_reference:
        return Cell(("reference",), sort=0.0)
    if found is None:
        return Cell((text.NOTHING,))
    lines = [text.points(found.difference, DECIMALS)]
    if found.interval is not None:
        lines.append(text.interval(found.interval, DECIMALS))
    if p is not None:
        lines.append(text.p_value(p))
    return Cell(tuple(lines), sort=found.difference)


def difference_record(prefix: str, found: Difference | None, p_holm: float | None) -> dict[str, Any]:
    """A difference at full precision."""
    if found is None:
        return {prefix: None}
    low, high = found.interval or (None, None)
    record = {prefix: found.difference, f"{prefix}_low": low, f"{prefix}_high": high}
    return record | {f"{prefix}_p": found.p, f"{prefix}_p_holm": p_holm}


def in_words(found: Difference, p: float | None) -> str:
    """`+1.2 points (95 % interval 0.3 to 2.1, Holm-corrected p = 0.012)`."""
    words = f"{text.points(found.difference, DECIMALS)} points"
    if found.interval is None or p is None:
        return f"{words} (no test is possible)"
    low, high = (text.percent(bound, DECIMALS) for bound in found.interval)
    return f"{words} (95 % interval {low} to {high}, Holm-corrected {text.p_value(p)})"
