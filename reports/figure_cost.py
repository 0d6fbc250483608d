"""Figures of what accuracy costs: against time and memory with the Pareto front, and over batch size or width."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bench.reports import text
from bench.reports.comparison import Comparison
from bench.reports.rows import Row, leaves
from bench.reports.style import Style, canvas, legend_beside, name_axis, styles, upright_interval_bar

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COSTS = {"cost.seconds_pretrain": "pretraining time (s)", "cost.peak_memory_mib": "peak memory (MiB)"}
SWEEPS = {
    "batch_size": "batch size",
    "projector.output": "width of the embedding",
    "backbone.width": "width of the encoder",
}
"""Settings whose effect is drawn as a curve, where runs differ in one of them alone."""


def accuracy_against_cost(comparison: Comparison) -> Figure | None:
    """A panel for each cost known of at least two trained rows; None where there is none."""
    rows = [row for row in comparison.rows if row.score and row.method != "random"]
    known = {column: [row for row in rows if row.values(column)] for column in COSTS}
    panels = [column for column, measured in known.items() if len(measured) > 1]
    if not panels:
        return None
    figure, all_axes = canvas(len(panels), width=3.2 * len(panels) + 2.4, height=3.2, columns=len(panels))
    looks = styles(comparison.rows)
    for axes, column in zip(all_axes, panels, strict=True):
        _against(axes, column, known[column], looks)
    all_axes[0].set_ylabel(name_axis(f"{text.metric(comparison.metric)} on {comparison.title} (%)", 2.6))
    legend_beside(all_axes[-1])
    return figure


def pareto_front(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """Of (cost, accuracy) pairs those that no other beats at the same or a lower cost, by rising cost."""
    front: list[tuple[float, float]] = []
    for cost, accuracy in sorted(points, key=lambda point: (point[0], -point[1])):
        if not front or accuracy > front[-1][1]:
            front.append((cost, accuracy))
    return front


def sweeps(comparison: Comparison) -> Figure | None:
    """A panel for each setting of SWEEPS over which some method has a curve; None where there is none."""
    found = {field: lines for field in SWEEPS if (lines := sweep_lines(comparison.competing, field))}
    if not found:
        return None
    figure, panels = canvas(len(found), width=3.2 * len(found) + 2.4, height=3.2, columns=len(found))
    looks = styles([line[0][1] for lines in found.values() for line in lines])
    for axes, (field, lines) in zip(panels, found.items(), strict=True):
        for line in lines:
            first = line[0][1]
            label = first.title if len(lines) == len({other[0][1].title for other in lines}) else first.label
            _plot_sweep(axes, line, looks[first.label], label)
        ticks = sorted({value for line in lines for value, _ in line})
        axes.set_xscale("log", base=2)
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel(SWEEPS[field])
        axes.grid(lw=0.4)
    panels[0].set_ylabel(name_axis(f"{text.metric(comparison.metric)} on {comparison.title} (%)", 2.6))
    legend_beside(panels[-1])
    return figure


def sweep_lines(rows: Sequence[Row], field: str) -> list[list[tuple[float, Row]]]:
    """Rows with a score that differ in `field` alone, by its rising value; at least two make a line."""
    fields = leaves(rows)
    lines: dict[tuple[object, ...], list[tuple[float, Row]]] = {}
    for row in rows:
        value = fields.get(field, {}).get(row.label)
        if row.score and isinstance(value, int | float) and value > 0:
            others = (repr(values.get(row.label)) for name, values in sorted(fields.items()) if name != field)
            lines.setdefault((row.method, *others), []).append((float(value), row))
    return [sorted(line, key=lambda point: point[0]) for line in lines.values() if len(line) > 1]


def _against(axes: Axes, column: str, rows: Sequence[Row], looks: Mapping[str, Style]) -> None:
    points = {row.label: (float(np.median(row.values(column))), 100 * _mean(row)) for row in rows}
    front = pareto_front([points[row.label] for row in rows if row.competes])
    if len(front) > 1:
        axes.step(*zip(*front, strict=True), where="post", color="#999999", lw=1.4, zorder=0, label="Pareto front")
    for row in rows:
        cost, mean = points[row.label]
        look = looks[row.label]
        upright_interval_bar(axes, cost, row.score.interval if row.score else None, look.color)
        axes.plot([cost], [mean], look.marker, color=look.color, ms=8, linestyle="none", label=row.label)
    costs = [cost for cost, _ in points.values()]
    if min(costs) > 0 and max(costs) > 10 * min(costs):
        axes.set_xscale("log")
    else:
        axes.set_xlim(0, 1.05 * max(costs))  # so that a small difference in cost looks small
    axes.set_xlabel(COSTS[column])
    axes.grid(lw=0.4)


def _plot_sweep(axes: Axes, line: Sequence[tuple[float, Row]], look: Style, label: str) -> None:
    for value, row in line:
        upright_interval_bar(axes, value, row.score.interval if row.score else None, look.color)
    values, means = [value for value, _ in line], [100 * _mean(row) for _, row in line]
    axes.plot(values, means, marker=look.marker, color=look.color, linestyle=look.line, label=label)


def _mean(row: Row) -> float:
    assert row.score is not None
    return row.score.mean
