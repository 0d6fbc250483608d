"""Cells and lines that the tables of studies share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from bench.reports import results, text
from bench.reports.against import Scores
from bench.reports.power import PAIRED, detectable, detectable_note, points
from bench.reports.statistics import Difference, summary
from bench.reports.study import by_seed
from bench.reports.tables import Cell

DECIMALS = 1


def accuracy_cell(scores: Scores) -> Cell:
    """Mean ± standard deviation and interval in percent."""
    found = summary(list(scores.values())) if scores else None
    return Cell(results.accuracy_lines(found, DECIMALS), sort=found.mean if found else None)


def difference_cell(found: Difference | None, p: float | None, is_reference: bool = False) -> Cell:
    """Points, interval, and p after the correction that the caption names."""
    return results.difference_cell(found, p, DECIMALS, is_reference)


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


def detectable_lines(contrasts: Sequence[Sequence[Scores]], weights: Sequence[float], paired: bool) -> list[str]:
    """The line on the smallest effect that a table could show; none where it tests nothing.

    `contrasts` are the groups of scores of every effect tested, `weights` (each 1 or -1) those of the groups.
    """
    whole = [groups for groups in contrasts if groups and all(groups)]
    if not whole:
        return []
    if paired:
        samples, spread, size = [by_seed(groups, weights) for groups in whole], "the effects at one seed", PAIRED
    else:
        cells = dict.fromkeys(tuple(scores.values()) for groups in whole for scores in groups)
        samples, spread, size = [list(cell) for cell in cells], "the cells compared", len(weights)
    return [detectable_note(points(detectable(samples, size), DECIMALS), spread, "Holm's correction", size)]
