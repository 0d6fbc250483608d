"""The figures of a comparison; this file: which there are, every seed with its interval, and the forest plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd

from bench.reports import text
from bench.reports.comparison import Comparison
from bench.reports.declared import OVERVIEW
from bench.reports.figure_cost import accuracy_against_cost, sweeps
from bench.reports.figure_curves import learning_curves, losses
from bench.reports.figure_datasets import critical_difference, profiles
from bench.reports.overview import Overview
from bench.reports.statistics import ALPHA
from bench.reports.style import Drawing, canvas, fill, interval_bar, name_axis, reference_line, rendered, styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(comparison: Comparison, curves: pd.DataFrame) -> list[Drawing]:
    """Every figure that the runs allow; `curves` are the rows of `bench.reports.load.curves`."""
    where, metric = comparison.title, text.metric(comparison.metric)
    interval = "the 95 % interval of pairs" if comparison.paired else "Welch's 95 % interval"
    figures = {
        "accuracy": (
            f"Accuracy on {where}",
            f"Every seed (open), mean and 95 % t interval (filled) of {metric}.",
            accuracy(comparison),
        ),
        "differences": (
            f"Differences on {where}",
            f"Difference to the reference in {metric} with {interval}, before Holm's correction; "
            "filled where it remains significant (α = 0.05) after it.",
            differences(comparison),
        ),
        "cost": (
            f"Accuracy against cost on {where}",
            f"What pretraining took (median over seeds) and the {metric} it gave (mean, 95 % t interval). Grey steps: "
            "the Pareto front of the competing methods. Costs compare on equal hardware only.",
            accuracy_against_cost(comparison),
        ),
        "sweeps": (
            f"Accuracy by setting on {where}",
            f"Configurations that differ in one setting alone: mean and 95 % t interval of {metric}.",
            sweeps(comparison),
        ),
        "curves": (
            f"Learning curves on {where}",
            "kNN accuracy on validation images during pretraining: mean, and the band from lowest to highest seed.",
            learning_curves(comparison, curves),
        ),
        "loss": (
            f"Losses on {where}",
            "Loss during pretraining, one line per seed; objectives differ in scale. A cross ends a diverged run.",
            losses(comparison, curves),
        ),
    }
    return _rendered(figures, comparison.name)


def draw_overview(found: Overview) -> list[Drawing]:
    """Every figure over several datasets that the runs allow."""
    figures = {
        "profiles": (
            "Performance profiles",
            "Performance profiles: share of runs whose score, normalised between the random and the supervised "
            "encoder, lies above t, averaged over datasets. A curve above another is better at every t.",
            profiles(found),
        ),
        "ranks": (
            "Critical-difference diagram",
            "Mean ranks over datasets. A bar joins methods of which no pair differs by Wilcoxon's signed-rank test "
            "with Holm's correction (α = 0.05).",
            critical_difference(found),
        ),
    }
    return _rendered(figures, OVERVIEW)


def _rendered(figures: Mapping[str, tuple[str, str, Figure | None]], where: str) -> list[Drawing]:
    return [
        rendered(figure, f"{name}-{where}", title, caption)
        for name, (title, caption, figure) in figures.items()
        if figure is not None
    ]


def accuracy(comparison: Comparison) -> Figure | None:
    """Rows by falling mean; the random encoder as a dashed line. None where no run has a score."""
    rows = [row for row in comparison.rows if row.score and row.method != "random"]
    if not rows:
        return None
    names = [fill(row.label, 30) for row in rows]
    figure, (axes,) = canvas(1, width=6.4, height=1.1 + _row_height(names, least=0.42) * len(rows))
    looks = styles(comparison.rows)
    for position, row in enumerate(rows):
        assert row.score is not None
        look, mean = looks[row.label], 100 * row.score.mean
        values = [100 * value for value in row.scores.values()]
        axes.plot(values, [position + 0.22] * len(values), "o", mfc="none", mec=look.color, ms=4, mew=0.9)
        interval_bar(axes, position, row.score.interval, look.color)
        axes.plot([mean], [position], look.marker, color=look.color, ms=7)
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    for row in comparison.rows:
        if row.method == "random" and row.score:
            reference_line(axes, 100 * row.score.mean, "random encoder")
    axes.set_xlabel(name_axis(f"{text.metric(comparison.metric)} on {comparison.title} (% of test images)", 4.4))
    axes.grid(axis="x", lw=0.4)
    return figure


def differences(comparison: Comparison) -> Figure | None:
    """A forest plot of the competing rows against the reference, in the table's order. None without a difference."""
    rows = [row for row in comparison.competing if row.difference]
    if not rows or comparison.reference is None:
        return None
    names = [fill(row.label, 30) for row in rows]
    figure, (axes,) = canvas(1, width=6.4, height=1.1 + _row_height(names, least=0.36) * len(rows))
    looks = styles(comparison.rows)
    for position, row in enumerate(rows):
        assert row.difference is not None
        look = looks[row.label]
        interval_bar(axes, position, row.difference.interval, look.color)
        face = look.color if row.p is not None and row.p < ALPHA else "white"
        axes.plot([100 * row.difference.difference], [position], look.marker, mec=look.color, mfc=face, ms=7.5, mew=1.4)
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(len(rows) - 0.4, -0.6)
    reference_line(axes, 0.0, comparison.reference.label)
    axes.set_xlabel(name_axis(f"difference in {text.metric(comparison.metric)} on {comparison.title} (points)", 4.4))
    axes.grid(axis="x", lw=0.4)
    return figure


def _row_height(names: Sequence[str], least: float) -> float:
    """Inches for a row whose name may have several lines."""
    return max(least, *(0.1 + 0.17 * (1 + name.count("\n")) for name in names))
