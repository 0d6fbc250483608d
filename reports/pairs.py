"""Every pair of methods on one dataset, for who declared no reference: Tukey's honestly significant difference."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from scipy import stats

from bench.reports import text
from bench.reports.comparison import Comparison
from bench.reports.power import detectable, detectable_note, points
from bench.reports.results import table_label
from bench.reports.rows import Row
from bench.reports.sentences import decimals_of
from bench.reports.statistics import Interval
from bench.reports.tables import Cell, Column, Table


@dataclass(frozen=True)
class Pair:
    """Mean of `a` less mean of `b` (a fraction), its simultaneous 95 % interval, and p corrected for all pairs."""

    a: Row
    b: Row
    difference: float
    interval: Interval
    p: float


def all_pairs(comparison: Comparison) -> list[Pair]:
    """Tukey-Kramer over the competing rows with at least two scores; empty for fewer than two or without any spread.

    It pools one standard deviation over all methods, where the comparison with a reference lets each have its own.
    """
    rows = [row for row in comparison.competing if len(row.scores) > 1]
    if len(rows) < 2 or not any(row.score and row.score.sd for row in rows):
        return []
    found = stats.tukey_hsd(*(list(row.scores.values()) for row in rows))
    intervals = found.confidence_interval(0.95)
    return [
        Pair(
            a=rows[i],
            b=rows[j],
            difference=float(found.statistic[i, j]),
            interval=(float(intervals.low[i, j]), float(intervals.high[i, j])),
            p=float(found.pvalue[i, j]),
        )
        for i, j in combinations(range(len(rows)), 2)
    ]


def pairs_table(comparison: Comparison) -> Table | None:
    """`all_pairs` as a table, a line for each; None where there is none."""
    pairs, decimals = all_pairs(comparison), decimals_of(comparison)
    if not pairs:
        return None
    return Table(
        label=table_label(f"{comparison.name}-pairs"),
        caption=(
            f"All pairs of methods on {comparison.title}: difference in {text.metric(comparison.metric)}, simultaneous "
            "95 % interval and corrected p by Tukey's honestly significant difference (Tukey-Kramer)."
        ),
        columns=[Column("method", numeric=False), Column("less", numeric=False), Column("difference", "points")],
        body=[
            [
                Cell((pair.a.label,)),
                Cell((pair.b.label,)),
                Cell(
                    (
                        text.points(pair.difference, decimals),
                        text.interval(pair.interval, decimals),
                        text.p_value(pair.p),
                    ),
                    sort=pair.difference,
                ),
            ]
            for pair in pairs
        ],
        aside=[],
        notes=["It takes the spread between seeds to be the same for all methods.", _detectable(pairs, decimals)],
        records=[
            {
                "a": pair.a.label,
                "b": pair.b.label,
                "difference": pair.difference,
                "low": pair.interval[0],
                "high": pair.interval[1],
                "p_tukey": pair.p,
            }
            for pair in pairs
        ],
    )


def _detectable(pairs: Sequence[Pair], decimals: int) -> str:
    rows = {row.key: row for pair in pairs for row in (pair.a, pair.b)}
    sizes = points(detectable([list(row.scores.values()) for row in rows.values()]), decimals)
    return detectable_note(sizes, "the methods", "Tukey's correction for all pairs")
