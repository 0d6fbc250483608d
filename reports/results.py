"""The table of one dataset: its rows, columns and records."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from typing import Any

from bench.reports import statistics, text
from bench.reports.comparison import Comparison
from bench.reports.flags import red_flags
from bench.reports.measures import MEASURES, Measure, measures
from bench.reports.notes import MARK, notes
from bench.reports.rows import Row, summary_of
from bench.reports.sentences import decimals_of, losses
from bench.reports.statistics import Difference, Summary
from bench.reports.tables import Cell, Column, Table


def results_table(comparison: Comparison, columns: Sequence[str] | None = None) -> Table:
    """The table of one dataset: accuracies, difference to the reference, the other `columns`, what went wrong.

    `columns` are names of bench.reports.measures; the deciding accuracy is shown in any case. A column in which no
    row has a value is left out. Raises UserError for an unknown column.
    """
    decimals = decimals_of(comparison)
    if columns is not None and comparison.metric not in columns:
        columns = [comparison.metric, *columns]
    chosen = measures(columns, comparison.runs)
    accuracies = {name: measure for name, measure in chosen.items() if measure.accuracy}
    others = {name: measure for name, measure in chosen.items() if not measure.accuracy}
    heads = [Column("method", "configuration", numeric=False), Column("n")]
    heads += [Column(measure.heading, measure.unit) for measure in accuracies.values()]
    heads += [Column("difference", "points")]
    heads += [Column(measure.heading, measure.unit) for measure in others.values()]
    heads += [Column("runs", "gone wrong", numeric=False)]

    reference = comparison.reference.key if comparison.reference else None

    def cells(row: Row) -> list[Cell]:
        n = len(row.scores)
        summaries = [(name, summary_of(row, measure.column)) for name, measure in accuracies.items()]
        return [
            Cell(_name(row)),
            Cell((str(n),), sort=n),
            *(_accuracy(summary, n, decimals, row.bold and name == comparison.metric) for name, summary in summaries),
            difference_cell(row.difference, row.p, decimals, row.key == reference),
            *(number_cell(measure.value(row), measure.decimals) for measure in others.values()),
            Cell(_losses(row)),
        ]

    rows = [cells(row) for row in comparison.rows]
    filled = [any(row[index].lines not in ((), (text.NOTHING,)) for row in rows) for index in range(len(heads))]
    kept = [list(itertools.compress(row, filled)) for row in rows]
    return Table(
        label=table_label(comparison.name),
        caption=_caption(comparison, list(chosen.values())),
        columns=list(itertools.compress(heads, filled)),
        body=kept[: len(comparison.competing)],
        aside=kept[len(comparison.competing) :],
        notes=[*notes(comparison, decimals), *(f"Flag: {flag}" for flag in red_flags(comparison))],
        records=[_record(row, comparison, chosen) for row in comparison.rows],
    )


def table_label(name: str) -> str:
    """`tab:...` with nothing in it that LaTeX or HTML would stumble over."""
    return "tab:" + re.sub(r"[^A-Za-z0-9.-]", "-", name)


def number_cell(value: float | None, decimals: int) -> Cell:
    if value is not None and math.isinf(value):
        return Cell(("not", "reached"), sort=value)
    return Cell((text.number(value, decimals),), sort=value)


def accuracy_lines(summary: Summary | None, decimals: int) -> tuple[str, ...]:
    """Mean ± standard deviation and, below, the t interval; what does not exist is left out."""
    if summary is None:
        return (text.NOTHING,)
    mean = text.percent(summary.mean, decimals)
    if summary.sd is None:
        return (mean,)
    spread = f"{mean} ± {text.percent(summary.sd, decimals)}"
    return (spread,) if summary.interval is None else (spread, text.interval(summary.interval, decimals))


def _accuracy(summary: Summary | None, n: int, decimals: int, bold: bool) -> Cell:
    """With its own n where that is not the row's."""
    lines = accuracy_lines(summary, decimals)
    if summary and summary.n != n:
        lines += (f"n = {summary.n}",)
    return Cell(lines, bold, sort=summary.mean if summary else None)


def _name(row: Row) -> tuple[str, ...]:
    title = f"{row.title} {MARK}" if row.tuned else row.title
    if not row.changes:
        return title, row.digest
    *first, last = row.changes
    changes = [*(f"{change}," for change in first), f"{last}]"]
    return title, f"[{changes[0]}", *changes[1:], row.digest


def _losses(row: Row) -> tuple[str, ...]:
    """Count and kind on lines of their own, which keeps the column narrow in LaTeX."""
    lines = [part for loss in losses(row) for part in (loss.rpartition(" ")[0], loss.rpartition(" ")[2] + ",")]
    return (*lines[:-1], lines[-1].rstrip(",")) if lines else ()


def difference_cell(found: Difference | None, p: float | None, decimals: int, is_reference: bool) -> Cell:
    """Points, interval, and p after the correction that the caption names."""
    if is_reference:
        return Cell(("reference",), sort=0.0)
    if found is None:
        return Cell((text.NOTHING,))
    lines = [text.points(found.difference, decimals)]
    if found.interval is not None:
        lines.append(text.interval(found.interval, decimals))
    if p is not None:
        lines.append(text.p_value(p))
    return Cell(tuple(lines), sort=found.difference)


def _caption(comparison: Comparison, shown: Sequence[Measure]) -> str:
    versus = f" to {comparison.reference.label}" if comparison.reference else ""
    what = text.metric(comparison.metric)
    test = "the paired t test's" if comparison.paired else "Welch's"
    name = "the paired t test" if comparison.paired else "Welch's test"
    exact = "sign-flip" if comparison.paired else "permutation"
    explained = {
        "images_per_second": "images/s: median",
        "memory": "memory: peak",
        "minutes_to_knn": "minutes to kNN: of pretraining, to the declared validation kNN; median, where never counts",
        "hedges_g": "Hedges' g: difference in units of the pooled standard deviation over runs, corrected for few runs",
        "improvement": "P(better): probability that a run scores higher than one of the reference",
        "permutation_p_holm": f"exact p: of the {exact} test, Holm-corrected",
        "smallest_permutation_p_holm": "smallest exact p: the least that so many runs can give, Holm-corrected",
        "best_epoch_knn": "best epoch kNN: highest validation accuracy of any epoch, a teaching aid and no result",
    }
    parts = [words for key, words in explained.items() if MEASURES[key] in shown]
    places = [text.probe_and_place(measure.column.removeprefix("scores."))[1] for measure in shown if measure.accuracy]
    if any(" labels" in place for place in places):
        parts.append("at p % labels: probes fitted to and chosen on that share of the labels")
    if any(" on " in place for place in places):
        parts.append("on another dataset: frozen features, probes fitted to and tested on its own images")
    closing = "; ".join(parts)
    return (
        f"Accuracy on the test images of {comparison.title}. Mean ± sample standard deviation over n seeds and, "
        f"in brackets, the 95 % t interval of the mean; difference{versus} in {what} with {test} 95 % "
        f"interval and p after Holm's correction. Bold: the best {what} and all that {name} with Holm's "
        f"correction (α = 0.05) cannot tell from it, as if the best had been named before; none without a test."
        + (f" {closing[:1].upper()}{closing[1:]}." if closing else "")
    )


def _record(row: Row, comparison: Comparison, chosen: dict[str, Measure]) -> dict[str, Any]:
    record: dict[str, Any] = {"dataset": comparison.title, "fingerprint": comparison.fingerprint}
    record |= {"method": row.method, "hash": row.digest, "label": row.label, "recipe": row.recipe}
    statuses = {name: row.count(name) for name in ("completed", "diverged", "failed", "unfinished", "unreadable")}
    record |= {"runs": len(row.runs), **statuses, "collapsed": row.collapsed, **_success(statuses)}
    for name, measure in chosen.items():
        if measure.accuracy:
            record |= _summary_record(name, summary_of(row, measure.column))
            record[f"{name}_values"] = " ".join(map(repr, row.values(measure.column)))
    record["bold"] = row.bold
    if row.against is not None:
        record |= _against_record(row)
    return record | {name: measure.value(row) for name, measure in chosen.items() if not measure.accuracy}


def _success(statuses: dict[str, int]) -> dict[str, float | None]:
    """Share of the runs that ended which gave a score, with Wilson's interval."""
    ended = statuses["completed"] + statuses["diverged"] + statuses["failed"]
    if not ended:
        return {"success_rate": None, "success_low": None, "success_high": None}
    low, high = statistics.wilson(statuses["completed"], ended)
    return {"success_rate": statuses["completed"] / ended, "success_low": low, "success_high": high}


def _against_record(row: Row) -> dict[str, Any]:
    found = row.against
    assert found is not None
    low, high = found.difference.interval or (None, None)
    record = {"difference": found.difference.difference, "difference_low": low, "difference_high": high}
    record |= {"p": found.difference.p, "p_holm": found.p, "hedges_g": found.hedges_g}
    record |= {"improvement": found.improvement, "permutation_p_holm": found.permutation_p}
    record |= {"smallest_permutation_p_holm": found.smallest_permutation_p}
    record |= {"pairs": found.pairs, "correlation": found.correlation, "mcnemar_p": found.mcnemar_p}
    if found.equivalence:
        record |= {"margin": found.equivalence.margin, "equivalent_p": found.equivalence.p_equivalent}
        record |= {"not_inferior_p": found.equivalence.p_not_inferior}
    if found.seeds_needed:
        needed = found.seeds_needed
        record |= {"seeds_needed_low": needed.low, "seeds_needed": needed.estimate, "seeds_needed_high": needed.high}
    if found.pictures:
        both = found.pictures
        record |= {"seeds_error": both.seeds_error, "pictures_error": both.pictures_error}
        record |= {"both_low": both.interval[0], "both_high": both.interval[1]}
    return record


def _summary_record(name: str, summary: Summary | None) -> dict[str, Any]:
    if summary is None:
        return {f"{name}_n": 0}
    low, high = summary.interval or (None, None)
    values = {"n": summary.n, "mean": summary.mean, "sd": summary.sd, "low": low, "high": high}
    values |= {"median": summary.median, "minimum": summary.minimum}
    return {f"{name}_{key}": value for key, value in values.items()}
