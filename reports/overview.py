"""Methods over several datasets: the accuracies side by side, and what they say together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.reports import aggregate, text
from bench.reports.aggregate import Estimate, Scores
from bench.reports.comparison import Comparison
from bench.reports.power import PAIRED, detectable_note, points
from bench.reports.ranks import Ranking, ranking
from bench.reports.results import accuracy_lines, table_label
from bench.reports.rows import Row
from bench.reports.sentences import decimals_of
from bench.reports.statistics import ALPHA
from bench.reports.tables import Cell, Column, Table

MEASURES: dict[str, tuple[str, Callable[[Scores], Any]]] = {
    "interquartile_mean": ("IQM", aggregate.interquartile_mean),
    "mean": ("mean", aggregate.mean),
    "optimality_gap": ("optimality gap", aggregate.optimality_gap),
}


@dataclass(frozen=True)
class Overview:
    """Competing methods (labels) with a score on every dataset, and what is computed over the datasets.

    `normalised` are their scores between random (0) and supervised encoder (1) on the datasets `scale`, by label;
    both empty where fewer than two datasets have both. `estimates` by label and by name of MEASURES, and
    `improvement` over the reference.
    """

    comparisons: Sequence[Comparison]
    methods: Sequence[str]
    scale: Sequence[Comparison]
    normalised: Mapping[str, Scores]
    ranking: Ranking | None
    estimates: dict[str, dict[str, Estimate]]
    reference: str | None

    @property
    def left_out(self) -> list[str]:
        """Methods that lack a score somewhere."""
        everywhere = {row.label for comparison in self.comparisons for row in comparison.competing}
        return sorted(everywhere - set(self.methods))


def overview(comparisons: Sequence[Comparison]) -> Overview | None:
    """What several datasets say together; None for fewer than two datasets or no method that has a score on all."""
    if len(comparisons) < 2:
        return None
    scored = [{row.label: row for row in comparison.competing if row.score} for comparison in comparisons]
    methods = [label for label in scored[0] if all(label in rows for rows in scored)]
    if not methods:
        return None
    means = [[_mean(rows[label]) for rows in scored] for label in methods]
    ends = [_ends(comparison) for comparison in comparisons]
    scale = [comparison for comparison, end in zip(comparisons, ends, strict=True) if end]
    scale = scale if len(scale) > 1 else []  # over one dataset they would only restate its own table
    normalised = {label: _normalised(label, scored, ends) for label in methods} if scale else {}
    references = {comparison.reference.label for comparison in comparisons if comparison.reference}
    reference = references.pop() if len(references) == 1 else None
    raw = {label: [np.array(list(rows[label].scores.values())) for rows in scored] for label in methods}
    estimates: dict[str, dict[str, Estimate]] = {}
    for label in methods:
        found = {
            name: aggregate.bootstrap(measure, normalised[label]) for name, (_, measure) in MEASURES.items() if scale
        }
        if reference in raw and label != reference:
            found["improvement"] = aggregate.bootstrap(aggregate.improvement, raw[label], raw[reference])
        estimates[label] = found
    return Overview(
        comparisons=comparisons,
        methods=methods,
        scale=scale,
        normalised=normalised,
        ranking=ranking(means) if len(methods) > 1 else None,
        estimates=estimates,
        reference=reference if reference in raw else None,
    )


def overview_table(found: Overview) -> Table:
    """Methods x datasets, with the aggregates behind: competing rows by mean rank, reference rows below the rule."""
    comparisons = found.comparisons
    by_label = [{row.label: row for row in comparison.rows} for comparison in comparisons]
    ranks = dict(zip(found.methods, found.ranking.mean_ranks, strict=True)) if found.ranking else {}
    names = [name for name in (*MEASURES, "improvement") if any(name in one for one in found.estimates.values())]
    columns = [Column("method", numeric=False), *(Column(comparison.title, "%") for comparison in comparisons)]
    columns += [Column("mean rank")] if ranks else []
    columns += [Column(MEASURES[name][0] if name in MEASURES else "P(improvement)") for name in names]

    def cells(label: str) -> list[Cell]:
        line = [Cell((label,))]
        for comparison, rows in zip(comparisons, by_label, strict=True):
            line.append(_accuracy(rows.get(label), decimals_of(comparison)))
        if ranks:
            rank = ranks.get(label)
            line.append(Cell((text.number(rank),), sort=rank))
        return line + [_estimate(found.estimates.get(label, {}).get(name)) for name in names]

    competing = dict.fromkeys(row.label for comparison in comparisons for row in comparison.competing)
    aside = dict.fromkeys(row.label for comparison in comparisons for row in comparison.aside)
    order = sorted(competing, key=lambda label: (ranks.get(label, np.inf), label))
    return Table(
        label=table_label("datasets"),
        caption=_caption(comparisons[0].metric, found.reference, names, bool(ranks)),
        columns=columns,
        body=[cells(label) for label in order],
        aside=[cells(label) for label in sorted(aside)],
        notes=_notes(found),
        records=[_record(label, by_label, found, ranks) for label in (*order, *sorted(aside))],
    )


def _normalised(
    label: str, scored: Sequence[dict[str, Row]], ends: Sequence[tuple[float, float] | None]
) -> list[NDArray[np.float64]]:
    scores = [
        aggregate.normalised(list(rows[label].scores.values()), *end)
        for rows, end in zip(scored, ends, strict=True)
        if end
    ]
    return [one for one in scores if one is not None]


def _mean(row: Row) -> float:
    assert row.score is not None
    return row.score.mean


def _ends(comparison: Comparison) -> tuple[float, float] | None:
    """Means of the random and of the best supervised row; None unless the second lies above the first."""
    means: dict[str, list[float]] = {"random": [], "supervised": []}
    for row in comparison.aside:
        if row.score:
            means[row.method].append(row.score.mean)
    if not all(means.values()) or max(means["supervised"]) <= max(means["random"]):
        return None
    return max(means["random"]), max(means["supervised"])


def _accuracy(row: Row | None, decimals: int) -> Cell:
    if row is None or row.score is None:
        return Cell((text.NOTHING,))
    n = (f"n = {row.score.n}",)
    return Cell((accuracy_lines(row.score, decimals)[0], *n), row.bold, sort=row.score.mean)


def _estimate(estimate: Estimate | None) -> Cell:
    if estimate is None:
        return Cell((text.NOTHING,))
    lines = [text.number(estimate.value, 2)]
    if estimate.interval is not None:
        lines.append(f"[{text.number(estimate.interval[0], 2)}, {text.number(estimate.interval[1], 2)}]")
    return Cell(tuple(lines), sort=estimate.value)


def _caption(metric: str, reference: str | None, names: Sequence[str], ranked: bool) -> str:
    what = text.metric(metric)
    words = [
        f"Every dataset's {what} on its test images: mean ± sample standard deviation over n seeds. Bold: as in the "
        "dataset's own table."
    ]
    if ranked:
        words.append("Mean rank: over datasets, by mean accuracy, 1 is best.")
    if "interquartile_mean" in names:
        words.append(
            "IQM (interquartile mean), mean and optimality gap of accuracies normalised to 0 at the random and 1 at "
            "the supervised encoder; gap: how far they fall short of 1."
        )
    if "improvement" in names:
        words.append(f"P(improvement): probability that a run scores higher than one of {reference}.")
    if names:
        words.append("In brackets: 95 % intervals by the stratified bootstrap over runs.")
    return " ".join(words)


def _notes(found: Overview) -> list[str]:
    lines = []
    if found.normalised:
        scaled = {one.name for one in found.scale}
        unscaled = [one.title for one in found.comparisons if one.name not in scaled]
        if unscaled:
            lines.append(f"Not in IQM, mean and gap for want of both ends of the scale: {text.listed(unscaled)}.")
    else:
        lines.append("No IQM: it takes two datasets with runs of the random encoder and of a better supervised one.")
    rows = [row for comparison in found.comparisons for row in comparison.competing if row.label in found.methods]
    fewest = min(len(row.scores) for row in rows)
    if fewest < 10 and any(found.estimates.values()):
        lines.append(
            f"With {text.runs(fewest)} on a dataset the bootstrap's intervals are too narrow (at 3 runs they cover the "
            "truth 8 to 9 times in 10); they hold for these datasets, not for others."
        )
    if found.left_out:
        lines.append(f"Not ranked, since a dataset is missing: {text.listed(found.left_out)}.")
    lines += _ranking_notes(found.ranking, found.methods) if found.ranking else []
    return [*lines, _detectable(found.comparisons)]


def _detectable(comparisons: Sequence[Comparison]) -> str:
    """Of every dataset's accuracies; aggregates over datasets have intervals by the bootstrap, and no known power."""
    groups = PAIRED if comparisons[0].paired else 2
    sizes = [
        f"{size} on {comparison.title}"
        for comparison in comparisons
        for size in points(comparison.detectable, decimals_of(comparison))
    ]
    spread = "each dataset's competing rows" if groups == 2 else "each dataset's paired differences to the reference"
    return detectable_note(sizes, spread, "Holm's correction", groups)


def _ranking_notes(found: Ranking, methods: Sequence[str]) -> list[str]:
    if not found.pairs:
        return [
            f"{found.datasets} datasets cannot show any difference between {len(methods)} methods over datasets: "
            f"Wilcoxon's signed-rank test with Holm's correction needs at least {found.fewest_datasets}."
        ]
    apart = [f"{methods[i]} and {methods[j]} ({text.p_value(p)})" for (i, j), p in found.pairs.items() if p < ALPHA]
    lines = []
    if found.friedman_p is not None and found.iman_davenport_p is not None:
        lines.append(
            f"Against all methods being equal over datasets: Friedman {text.p_value(found.friedman_p)}, Iman-Davenport "
            f"{text.p_value(found.iman_davenport_p)}."
        )
    which = (
        f"{'; '.join(apart)} differ"
        if apart
        else f"no pair of methods is shown to differ with {found.datasets} datasets"
    )
    return [*lines, f"Over datasets, by Wilcoxon's signed-rank test with Holm's correction: {which}."]


def _record(label: str, by_label: Sequence[dict[str, Row]], found: Overview, ranks: dict[str, float]) -> dict[str, Any]:
    record: dict[str, Any] = {"label": label}
    for comparison, rows in zip(found.comparisons, by_label, strict=True):
        score = rows[label].score if label in rows else None
        record |= {f"{comparison.name}_mean": score.mean if score else None, f"{comparison.name}_n": score and score.n}
    record["mean_rank"] = ranks.get(label)
    for name, estimate in found.estimates.get(label, {}).items():
        low, high = estimate.interval or (None, None)
        record |= {name: estimate.value, f"{name}_low": low, f"{name}_high": high}
    return record
