"""Figures over the epochs of pretraining: learning curves and losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bench.reports.comparison import Comparison
from bench.reports.style import REFERENCE_COLORS, canvas, fill, legend_beside, name_axis, styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def learning_curves(comparison: Comparison, curves: pd.DataFrame) -> Figure | None:
    """kNN accuracy on validation images over epochs of completed runs; the random encoder, untrained, as a level.

    None where it was measured of no trained encoder.
    """
    import seaborn
    from matplotlib.ticker import MaxNLocator

    data = _curve(comparison, curves, "knn_validation", ("completed",))
    untrained = data[data["label"].isin([row.label for row in comparison.rows if row.method == "random"])]
    data = data.drop(untrained.index)
    if data.empty:
        return None
    figure, (axes,) = canvas(1, width=7.4, height=3.6)
    looks = styles(comparison.rows)
    order = [row.label for row in comparison.rows if row.label in set(data["label"])]
    seaborn.lineplot(
        data.assign(percent=100 * data["knn_validation"]),
        x="epoch",
        y="percent",
        hue="label",
        style="label",
        hue_order=order,
        style_order=order,
        palette={label: looks[label].color for label in order},
        markers={label: looks[label].marker for label in order},
        dashes={label: looks[label].dashes for label in order},
        errorbar=("pi", 100),
        err_kws={"alpha": min(0.15, 0.5 / len(order)), "lw": 0},  # many bands lie upon one another
        markersize=8,
        ax=axes,
    )
    if not untrained.empty:
        level = 100 * untrained["knn_validation"].mean()
        axes.axhline(level, color=REFERENCE_COLORS["random"], lw=1.2, dashes=(4, 3), label="random encoder")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.set(xlabel="epoch", ylabel=name_axis(f"kNN on {comparison.title} (% of validation images)", 3.0))
    legend_beside(axes)
    axes.grid(lw=0.4)
    return figure


def losses(comparison: Comparison, curves: pd.DataFrame) -> Figure | None:
    """A panel per trained row, since losses of different objectives are not comparable. None without any loss."""
    from matplotlib.collections import LineCollection
    from matplotlib.ticker import MaxNLocator

    data = _curve(comparison, curves, "loss", ("completed", "diverged"))
    rows = [row for row in comparison.rows if row.label in set(data["label"]) and row.method != "random"]
    if not rows:
        return None
    width = min(3, len(rows))
    figure, panels = canvas(len(rows), width=2.6 * width, height=2.1 * -(-len(rows) // width), columns=width)
    looks = styles(comparison.rows)
    for axes, row in zip(panels, rows, strict=True):
        own = data[data["label"] == row.label]
        shown = own[own["status"] == "completed"] if (own["status"] == "completed").any() else own
        low, high = shown["loss"].min(), shown["loss"].max()
        axes.set_ylim(*_padded(low, high))  # a diverged run leaves the panel instead of flattening the others
        diverged = own[own["status"] == "diverged"].groupby("id").tail(1)
        lines = [run[["epoch", "loss"]].to_numpy() for _, run in own.groupby("id")]
        axes.add_collection(LineCollection(lines, colors=looks[row.label].color, linewidths=1.1, alpha=0.8))
        axes.set_xlim(*_padded(own["epoch"].min(), own["epoch"].max()))
        axes.plot(diverged["epoch"], diverged["loss"].clip(low, high), "x", color="black", ms=6)
        axes.set_title(fill(row.label, 36), fontsize="small", loc="left")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4, integer=True))
        axes.yaxis.set_major_locator(MaxNLocator(nbins=4))
        axes.grid(lw=0.4)
    figure.supxlabel("epoch", fontsize="medium")
    figure.supylabel("loss", fontsize="medium")
    return figure


def _padded(low: float, high: float) -> tuple[float, float]:
    """The range with a margin, also where it is a single point."""
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def _curve(comparison: Comparison, curves: pd.DataFrame, column: str, statuses: tuple[str, ...]) -> pd.DataFrame:
    """Measured values of one column with the label and the status of their run."""
    labels = pd.concat([row.runs[["id", "status"]].assign(label=row.label) for row in comparison.rows])
    if column not in curves:
        return labels.iloc[:0]
    finite = curves[np.isfinite(curves[column].astype(float))]
    return finite.merge(labels[labels["status"].isin(statuses)], on="id")
