"""Figures of studies: effects of factors, curves along a grid, spread by source, rankings by variant."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from bench.reports import text
from bench.reports.declared import Analysis
from bench.reports.statistics import ALPHA, summary
from bench.reports.study import STUDY, Group, Options, Record, groups_of, variant_words
from bench.reports.study_factors import effects
from bench.reports.study_ranking import leads
from bench.reports.study_variance import components
from bench.reports.style import (
    Drawing,
    Style,
    canvas,
    distinct,
    fill,
    interval_bar,
    legend_beside,
    reference_line,
    rendered,
    style,
    upright_interval_bar,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Draw = Callable[[Sequence[Group], Record, Options], "Figure | None"]


def draw(analysis: Analysis, options: Options) -> list[Drawing]:
    """The figure of the study's section for every dataset; none where the section has no figure of its own."""
    record = analysis.study
    kinds: dict[str, tuple[Draw, str, str]] = {
        "factors": (
            _effects,
            "Effects of single factors",
            "First level less second, with Welch's 95 % interval; filled where significant after Holm's correction.",
        ),
        "grid": (_curves, "Along the grid", "Mean and 95 % t interval over seeds at every point of the grid."),
        "variance": (
            _spread,
            "Spread by source",
            "Standard deviation while one source of randomness varies, with its 95 % interval.",
        ),
        "ranking": (
            _leads,
            "Leads by variant",
            "Lead over the reference within each variant, with Welch's 95 % interval.",
        ),
    }
    if record is None or record.section not in kinds or not analysis.comparisons:
        return []
    make, title, caption = kinds[record.section]
    runs = pd.concat([comparison.runs for comparison in analysis.comparisons])
    drawings = []
    for dataset, groups in groups_of(runs, record).items():
        figure = make(groups, record, options)
        if figure is not None:
            name = f"{STUDY}-{record.section}-{groups[0].cell.key.partition('/')[0]}"
            what = text.metric(options.metric)
            drawings.append(
                rendered(figure, name, f"{title} on {dataset}", f"{caption} {what.capitalize()}, {dataset}.")
            )
    return drawings


def looks(groups: Sequence[Group]) -> dict[str, Style]:
    """A style for every arm: its method's colour, told apart by marker and dashes from the method's other arms."""
    methods: dict[str, list[str]] = {}
    for group in groups:
        if group.arm not in methods.setdefault(group.method, []):
            methods[group.method].append(group.arm)
    return distinct({arm: style(method, index) for method, arms in methods.items() for index, arm in enumerate(arms)})


def _curves(groups: Sequence[Group], record: Record, options: Options) -> Figure | None:
    """The first axis along the abscissa, a panel for each setting of the others."""
    axis = next(iter(groups[0].variant))
    panels: dict[str, dict[str, list[tuple[float, Group]]]] = {}
    for group in groups:
        held = variant_words({key: value for key, value in group.variant.items() if key != axis})
        if group.scores(options.column):
            lines = panels.setdefault(held, {})
            lines.setdefault(group.arm, []).append((float(group.variant[axis]), group))
    if not panels:
        return None
    figure, all_axes = canvas(len(panels), width=2.9 * len(panels) + 2.6, height=3.4, columns=len(panels))
    shown = looks(groups)
    ticks = sorted({float(group.variant[axis]) for group in groups})
    for axes, (held, lines) in zip(all_axes, panels.items(), strict=True):
        for index, (arm, line) in enumerate(lines.items()):
            aside = 2 ** (0.06 * (index - (len(lines) - 1) / 2))  # so that intervals do not hide one another
            line.sort(key=lambda point: point[0])
            look, values = shown[arm], [aside * value for value, _ in line]
            found = [summary(list(group.scores(options.column).values())) for _, group in line]
            for value, one in zip(values, found, strict=True):
                upright_interval_bar(axes, value, one.interval, look.color)
            means = [100 * one.mean for one in found]
            axes.plot(values, means, marker=look.marker, color=look.color, linestyle=look.line, label=arm)
        axes.set_xscale("log", base=2)
        axes.set_xlim(ticks[0] / 1.5, ticks[-1] * 1.5)  # one value alone has a width too
        axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        axes.minorticks_off()
        axes.set_xlabel(axis)
        axes.set_title(held, fontsize="medium")
        axes.grid(lw=0.4)
    for arm in dict.fromkeys(arm for lines in panels.values() for arm in lines):  # a panel need not have every arm
        look = shown[arm]
        all_axes[-1].plot([], [], marker=look.marker, color=look.color, linestyle=look.line, label=arm)
    all_axes[0].set_ylabel(f"{text.metric(options.metric)} (%)")
    legend_beside(all_axes[-1])
    return figure


def _effects(groups: Sequence[Group], record: Record, options: Options) -> Figure | None:
    found = [one for one in effects(groups, record.factors, options) if one.difference]
    if not found:
        return None
    labels = [fill(f"{one.factor}: {one.levels[0]} less {one.levels[1]} ({one.held})", 44) for one in found]
    lines = max(2, *(label.count("\n") + 1 for label in labels))
    figure, (axes,) = canvas(1, width=7.2, height=1.1 + (0.06 + 0.18 * lines) * len(found))
    for position, one in enumerate(found):
        assert one.difference is not None
        interval_bar(axes, position, one.difference.interval, style(one.first.method).color)
        face = style(one.first.method).color if one.p is not None and one.p < ALPHA else "white"
        axes.plot([100 * one.difference.difference], [position], "o", mec=style(one.first.method).color, mfc=face, ms=7)
    _finish(axes, labels, "no effect", f"difference in {text.metric(options.metric)} (points)")
    return figure


def _spread(groups: Sequence[Group], record: Record, options: Options) -> Figure | None:
    found = components(groups, options.column)
    if not found:
        return None
    figure, (axes,) = canvas(1, width=6.4, height=1.1 + 0.3 * len(found))
    for position, one in enumerate(found):
        interval_bar(axes, position, one.interval, "#444444")
        axes.plot([100 * one.sd], [position], "o", color="#444444", ms=6)
    axes.set_yticks(range(len(found)), [f"{one.arm}: {one.source}" for one in found])
    axes.set_ylim(len(found) - 0.4, -0.6)
    axes.set_xlim(left=0)
    axes.set_xlabel(f"standard deviation of {text.metric(options.metric)} (points)")
    axes.grid(axis="x", lw=0.4)
    return figure


def _leads(groups: Sequence[Group], record: Record, options: Options) -> Figure | None:
    table = {(group.variant["variant"], group.arm): group.scores(options.column) for group in groups if group.competes}
    found = [one for one in leads(table, record.reference, options.paired) if one.lead]
    if not found:
        return None
    shown = looks(groups)
    figure, (axes,) = canvas(1, width=6.4, height=1.1 + 0.34 * len(found))
    for position, one in enumerate(found):
        assert one.lead is not None
        look = shown[one.arm]
        interval_bar(axes, position, one.lead.interval, look.color)
        axes.plot([100 * one.lead.difference], [position], look.marker, color=look.color, ms=7)
    labels = [f"{one.variant}: {one.arm}" for one in found]
    _finish(axes, labels, record.reference or "", f"lead in {text.metric(options.metric)} (points)")
    return figure


def _finish(axes: Axes, labels: Sequence[str], zero: str, label: str) -> None:
    axes.set_yticks(range(len(labels)), labels)
    axes.set_ylim(len(labels) - 0.4, -0.6)
    reference_line(axes, 0.0, zero)
    axes.set_xlabel(label)
    axes.grid(axis="x", lw=0.4)
