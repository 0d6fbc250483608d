"""Figures of one comparison: accuracy with every seed, learning curves, losses; PDF and PNG."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bench.files import write_atomically
from bench.reports.comparison import DECISIVE, Comparison, Row

if TYPE_CHECKING:  # matplotlib takes a second to import and is needed only once something is drawn
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = ("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#56b4e9", "#332288", "#882255")
"""Seaborn's `colorblind` less its faint colours and its grey, with two dark ones of Paul Tol's `muted`."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "p")
DASHES: tuple[tuple[float, ...], ...] = ((), (5, 2), (2, 1), (6, 2, 1, 2))
REFERENCE_COLORS = {"random": "#666666", "supervised": "#000000"}
SALT = "79272"
"""Chosen so that eight methods that are often compared (smi, barlow, simclr, ...) have eight colours."""


@dataclass(frozen=True)
class Style:
    """How a method is drawn wherever it appears; `dashes` are on-off lengths in line widths, () for a solid line."""

    color: str
    marker: str
    dashes: tuple[float, ...]


def style(method: str, variant: int = 0) -> Style:
    """The method's colour, marker and dashes, from its name alone; further configurations keep only the colour."""
    digest = hashlib.sha256(f"{SALT}/{method}".encode()).digest()
    color = REFERENCE_COLORS.get(method, PALETTE[digest[0] % len(PALETTE)])
    marker = MARKERS[(digest[1] + variant) % len(MARKERS)]
    return Style(color, marker, DASHES[(digest[2] + variant) % len(DASHES)])


def styles(rows: Sequence[Row]) -> dict[str, Style]:
    """Style by row label."""
    variants = {method: sorted(row.key for row in rows if row.method == method) for method in {r.method for r in rows}}
    return {row.label: style(row.method, variants[row.method].index(row.key)) for row in rows}


def draw(comparison: Comparison, curves: pd.DataFrame, folder: Path) -> dict[str, list[Path]]:
    """Every figure that the runs allow, by its caption: the paths of its PDF and its PNG under `folder`.

    `curves` are the rows of `bench.reports.load.curves`. Each file appears whole or not at all.
    """
    figures = {
        "accuracy": ("Linear accuracy: every seed (open), mean and 95 % t interval (filled).", accuracy(comparison)),
        "curves": (
            "kNN accuracy on validation images during pretraining: mean, and the band from lowest to highest seed.",
            learning_curves(comparison, curves),
        ),
        "loss": (
            "Loss during pretraining, one line per seed; objectives differ in scale. A cross ends a diverged run.",
            losses(comparison, curves),
        ),
    }
    drawn = {}
    for name, (caption, figure) in figures.items():
        if figure is not None:
            drawn[caption] = [_save(figure, folder / f"{name}-{comparison.name}.{kind}") for kind in ("pdf", "png")]
    return drawn


def accuracy(comparison: Comparison) -> Figure | None:
    """Rows by falling mean; the random encoder as a dashed line. None where no run has a score."""
    rows = [row for row in comparison.rows if row.linear and row.method != "random"]
    if not rows:
        return None
    figure, (axes,) = _figure(1, width=6.4, height=1.1 + 0.42 * len(rows))
    looks = styles(comparison.rows)
    for position, row in enumerate(rows):
        assert row.linear is not None
        look, mean = looks[row.label], 100 * row.linear.mean
        values = [100 * value for value in row.values(DECISIVE)]
        axes.plot(values, [position + 0.22] * len(values), "o", mfc="none", mec=look.color, ms=4, mew=0.9)
        if row.linear.interval:
            ends = [100 * end for end in row.linear.interval]
            axes.plot(ends, [position, position], "|-", color=look.color, lw=1.6, ms=7, mew=1.6)
        axes.plot([mean], [position], look.marker, color=look.color, ms=5.5)
    axes.set_yticks(range(len(rows)), [fill(row.label, 30) for row in rows])
    axes.set_ylim(len(rows) - 0.4, -0.6)
    for row in comparison.rows:
        if row.method == "random" and row.linear:
            axes.axvline(100 * row.linear.mean, color=REFERENCE_COLORS["random"], lw=1.2, dashes=(4, 3), zorder=0)
            axes.annotate(
                "random encoder",
                (100 * row.linear.mean, 1),
                xycoords=("data", "axes fraction"),
                xytext=(0, 3),
                textcoords="offset points",
                ha="center",
                color=REFERENCE_COLORS["random"],
                fontsize="small",
            )
    axes.set_xlabel(f"linear accuracy on {comparison.title} (% of test images)")
    axes.grid(axis="x", lw=0.4)
    return figure


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
    figure, (axes,) = _figure(1, width=7.4, height=3.6)
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
        err_kws={"alpha": 0.15, "lw": 0},
        ax=axes,
    )
    if not untrained.empty:
        level = 100 * untrained["knn_validation"].mean()
        axes.axhline(level, color=REFERENCE_COLORS["random"], lw=1.2, dashes=(4, 3), label="random encoder")
    axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
    axes.set(xlabel="epoch", ylabel=f"kNN on {comparison.title}\n(% of validation images)")
    handles, labels = axes.get_legend_handles_labels()
    axes.legend(
        handles,
        [fill(label, 34) for label in labels],
        title=None,
        frameon=False,
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
        handlelength=3.2,
    )
    axes.grid(lw=0.4)
    return figure


def losses(comparison: Comparison, curves: pd.DataFrame) -> Figure | None:
    """A panel per trained row, since losses of different objectives are not comparable. None without any loss."""
    from matplotlib.ticker import MaxNLocator

    data = _curve(comparison, curves, "loss", ("completed", "diverged"))
    rows = [row for row in comparison.rows if row.label in set(data["label"]) and row.method != "random"]
    if not rows:
        return None
    width = min(3, len(rows))
    figure, panels = _figure(len(rows), width=2.6 * width, height=2.1 * -(-len(rows) // width), columns=width)
    looks = styles(comparison.rows)
    for axes, row in zip(panels, rows, strict=True):
        own = data[data["label"] == row.label]
        shown = own[own["status"] == "completed"] if (own["status"] == "completed").any() else own
        low, high = shown["loss"].min(), shown["loss"].max()
        margin = 0.05 * (high - low) or 0.5
        axes.set_ylim(low - margin, high + margin)  # a diverged run leaves the panel instead of flattening the others
        for _, run in own.groupby("id"):
            axes.plot(run["epoch"], run["loss"], color=looks[row.label].color, lw=1.1, alpha=0.8)
            if run["status"].iloc[0] == "diverged":
                axes.plot(run["epoch"].iloc[-1:], run["loss"].iloc[-1:].clip(low, high), "x", color="black", ms=6)
        axes.set_title(fill(row.label, 36), fontsize="small", loc="left")
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        axes.set(xlabel="epoch", ylabel="loss")
        axes.grid(lw=0.4)
    return figure


def _curve(comparison: Comparison, curves: pd.DataFrame, column: str, statuses: tuple[str, ...]) -> pd.DataFrame:
    """Measured values of one column with the label and the status of their run."""
    labels = pd.concat([row.runs[["id", "status"]].assign(label=row.label) for row in comparison.rows])
    if column not in curves:
        return labels.iloc[:0]
    finite = curves[np.isfinite(curves[column].astype(float))]
    return finite.merge(labels[labels["status"].isin(statuses)], on="id")


def _figure(panels: int, width: float, height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of its own (no pyplot, no global state) with `panels` axes and a height in inches that leaves room."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = [figure.add_subplot(-(-panels // columns), columns, index + 1) for index in range(panels)]
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Figure, path: Path) -> Path:
    """PDF or PNG after the suffix, without a date: the same runs give the same bytes."""
    kind = path.suffix[1:]
    metadata = {"CreationDate": None} if kind == "pdf" else {}
    write_atomically(path, lambda temporary: figure.savefig(temporary, format=kind, dpi=200, metadata=metadata))
    return path
