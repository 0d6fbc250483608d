"""Dynamics of objectives as a section of a report: pulls by correlation, who gets the gradient, toys, terms of runs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from bench.reports import analysis, text
from bench.reports.analysis import Quantity, compared, loaded, long, read_csv
from bench.reports.comparison import Comparison
from bench.reports.load import curves
from bench.reports.style import DASHES, MARKERS, PALETTE, Drawing, Style, canvas, fill, legend_beside, rendered, styles
from bench.reports.tables import Cell, Column, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SHOWN = (0.01, 0.05, 0.1, 0.5)
"""Of the shares of pairs in shares.csv, those in the table."""
CORRELATIONS = {
    "positive_correlation": "mean correlation on the diagonal",
    "negative_correlation": "mean |correlation| off the diagonal",
}
"""Columns of metrics.csv that SMI records, whatever its form."""
Terms = Callable[[pd.DataFrame, Mapping[str, Any]], tuple["pd.Series[Any]", "pd.Series[Any]"]]
LOSS_TERMS: dict[str, Terms] = {
    "smi": lambda epochs, config: (epochs["alignment"], config["w"] * epochs["redundancy"]),
    "barlow": lambda epochs, config: (epochs["invariance"], config["lambda_"] * epochs["redundancy"]),
    "vicreg": lambda epochs, config: (
        config["invariance"] * epochs["invariance"],
        config["covariance"] * epochs["covariance"],
    ),
    "spectral": lambda epochs, config: (-2 * epochs["attraction"] / config["mu"], epochs["repulsion"] / config["mu"]),
}
"""By method: the diagonal part of its loss and the off-diagonal part, weights included, from metrics.csv."""


def write_section(run_folders: Sequence[Path], destination: Path, reference: str | None) -> Path:
    """Draw what `bench.analysis.dynamics` computed under `destination`; returns the path of section.md."""
    names = ("gradients", "shares", "related", "toy")
    gradients, shares, related, toys = (read_csv(destination / f"{name}.csv") for name in names)
    looks = _looks(gradients["objective"].tolist())
    drawings = [
        rendered(
            pulls(gradients, looks),
            "dynamics-gradients",
            "Pull at a pair by its correlation",
            "Pull at a pair of unit embeddings by their cosine, scaled to 1 at its largest: above 0 the pair is drawn "
            "together, below 0 driven apart. Marks: autograd on the whole objective; lines: closed form, or else "
            "between the marks. Left: two views of one image. Right: two images.",
        ),
        rendered(
            concentration(shares, looks),
            "dynamics-shares",
            "Who gets the gradient",
            "Share of the summed pull on negative pairs that goes to the most strongly correlated ones, in a batch of "
            "16 classes whose members have a mean cosine of 0.5 (one pair in sixteen). Dotted: every pair the same.",
        ),
        rendered(
            circles(toys),
            "dynamics-toy",
            "Points on a circle",
            "Six images, each a colour, with two views, as points on the circle under gradient descent: time runs "
            "outwards from the inner to the outer circle. All objectives start alike; the gradient is scaled by its "
            "largest entry at the start. Filled: where the views end.",
        ),
    ]
    tables = [_table(shares), _related(related)]
    if run_folders:
        runs = loaded(run_folders)
        epochs, _ = curves(runs)
        for comparison in compared(runs, runs[["id"]], reference):
            drawings += _over_training(comparison, epochs)
        ends = _last_correlations(epochs)
        analysis.write_csv(ends.to_dict("records"), destination / "measures.csv")
        for comparison in compared(runs[runs["id"].isin(ends["id"])], ends, reference):
            caption = f"Correlations at the end of pretraining on {comparison.title}, of the methods that record them."
            name = f"correlations-{comparison.name}"
            tables.append(analysis.table(comparison, _quantities(), caption, [], name=name))
    return analysis.write(destination, "Dynamics", tables, drawings)


def pulls(gradients: pd.DataFrame, looks: Mapping[str, Style]) -> Figure:
    """A panel for positive and one for negative pairs."""
    figure, panels = canvas(2, width=10.4, height=4.0, columns=2)
    for axes, pair in zip(panels, ("positive", "negative"), strict=True):
        for name, rows in gradients[gradients["pair"] == pair].groupby("objective", sort=False):
            look, largest = looks[str(name)], rows["attraction"].abs().max()
            line = rows["closed_form"].fillna(rows["attraction"])
            axes.plot(rows["cosine"], line / largest, color=look.color, ls=look.line, lw=1.3)
            axes.plot(rows["cosine"], rows["attraction"] / largest, look.marker, color=look.color, ms=3.5, markevery=4)
            axes.plot([], [], color=look.color, ls=look.line, marker=look.marker, ms=4, label=str(name))
        axes.axhline(0, color="black", lw=0.6)
        axes.set_title(f"{pair} pair", fontsize="medium", loc="left")
        axes.set(xlabel="cosine of the pair", ylabel="pull, relative to its largest", xlim=(-1, 1))
        axes.grid(lw=0.4)
    legend_beside(panels[1])
    return figure


def concentration(shares: pd.DataFrame, looks: Mapping[str, Style]) -> Figure:
    """Cumulative share of the pull over pairs from the strongest to the weakest."""
    figure, (axes,) = canvas(1, width=6.8, height=3.8)
    for name, rows in shares.groupby("objective", sort=False):
        look = looks[str(name)]
        axes.plot(
            100 * rows["top"],
            100 * rows["share"],
            color=look.color,
            ls=look.line,
            marker=look.marker,
            ms=4,
            label=str(name),
        )
    tops = np.geomspace(shares["top"].min(), 1, 50)
    axes.plot(100 * tops, 100 * tops, color="#666666", ls=":", lw=1)
    axes.set_xscale("log")
    axes.set_xticks([1, 2, 5, 10, 20, 50, 100], ["1", "2", "5", "10", "20", "50", "100"])
    axes.set(xlabel="most strongly correlated pairs (%)", ylabel="share of the pull (%)", ylim=(0, 102))
    axes.grid(lw=0.4)
    legend_beside(axes)
    return figure


def circles(toys: pd.DataFrame) -> Figure:
    """A panel per objective; radius is time."""
    names = list(dict.fromkeys(toys["objective"]))
    figure, panels = canvas(len(names), width=10.4, height=2.9 * -(-len(names) // 4), columns=4)
    last = toys["step"].max()
    for axes, name in zip(panels, names, strict=True):
        _circle(axes, toys[toys["objective"] == name], last)
        axes.set_title(fill(name, 24), fontsize="small", loc="center")
    return figure


def _circle(axes: Axes, rows: pd.DataFrame, last: int) -> None:
    turn = np.linspace(0, 2 * np.pi, 200)
    for radius in (0.35, 1.0):
        axes.plot(radius * np.cos(turn), radius * np.sin(turn), color="#cccccc", lw=0.8, zorder=0)
    for keys, path in rows.groupby(["image", "view"]):
        image, view = (int(str(key)) for key in keys)
        color, times = PALETTE[image % len(PALETTE)], 0.35 + 0.65 * path["step"] / last
        x, y = times * np.cos(path["angle"]), times * np.sin(path["angle"])
        axes.plot(x, y, color=color, lw=1.2, ls="-" if view == 0 else (0, (3, 1.5)))
        axes.plot(x.iloc[:1], y.iloc[:1], "o", mfc="white", mec=color, ms=3.5, mew=0.9)
        axes.plot(x.iloc[-1:], y.iloc[-1:], "o" if view == 0 else "s", color=color, ms=5, alpha=0.8)
    axes.set_aspect("equal")
    axes.set_axis_off()


def terms(comparison: Comparison, epochs: pd.DataFrame) -> Figure | None:
    """A panel per row whose method has LOSS_TERMS: both parts over epochs. None where there is none."""
    rows = [row for row in comparison.rows if row.method in LOSS_TERMS and len(row.completed)]
    if not rows or "epoch" not in epochs:
        return None
    width = min(3, len(rows))
    figure, panels = canvas(len(rows), width=1.2 + 2.8 * width, height=2.4 * -(-len(rows) // width), columns=width)
    for axes, row in zip(panels, rows, strict=True):
        own = long(epochs, comparison)
        own = own[own["label"] == row.label]
        prefix = "config.method.config."
        first = row.completed.iloc[0]
        config = {str(key).removeprefix(prefix): first[key] for key in first.index if str(key).startswith(prefix)}
        parts = LOSS_TERMS[row.method](own, config)
        for part, name, color in zip(parts, ("diagonal", "off-diagonal"), PALETTE[:2], strict=True):
            by_epoch = part.groupby(own["epoch"]).agg(["mean", "min", "max"])
            axes.plot(by_epoch.index, by_epoch["mean"], color=color, lw=1.4, label=name)
            axes.fill_between(by_epoch.index, by_epoch["min"], by_epoch["max"], color=color, alpha=0.2, lw=0)
        axes.set_title(fill(row.label, 36), fontsize="small", loc="left")
        axes.set(xlabel="epoch")
        axes.grid(lw=0.4)
    panels[0].set_ylabel("part of the loss")
    legend_beside(panels[width - 1])
    return figure


def correlations(comparison: Comparison, epochs: pd.DataFrame) -> Figure | None:
    """Mean correlation of positive and of negative pairs over epochs, of the rows that record them (CORRELATIONS)."""
    if not set(CORRELATIONS) <= set(epochs.columns):
        return None
    data = long(epochs, comparison).dropna(subset=list(CORRELATIONS))
    rows = [row for row in comparison.rows if row.label in set(data["label"])]
    if not rows:
        return None
    figure, panels = canvas(2, width=10.4, height=3.6, columns=2)
    looks = styles(comparison.rows)
    for axes, (column, name) in zip(panels, CORRELATIONS.items(), strict=True):
        for row in rows:
            own = data[data["label"] == row.label].groupby("epoch")[column].agg(["mean", "min", "max"])
            look = looks[row.label]
            axes.plot(own.index, own["mean"], marker=look.marker, color=look.color, ls=look.line, ms=5, label=row.label)
            axes.fill_between(own.index, own["min"], own["max"], color=look.color, alpha=0.1, lw=0)
        axes.set(xlabel="epoch", ylabel=name)
        axes.grid(lw=0.4)
    legend_beside(panels[1])
    return figure


def _last_correlations(epochs: pd.DataFrame) -> pd.DataFrame:
    """CORRELATIONS of the last epoch by `id`; of the runs that record them."""
    if not set(CORRELATIONS) <= set(epochs.columns):
        return pd.DataFrame(columns=["id", *CORRELATIONS])
    last = epochs.sort_values("epoch").groupby("id").tail(1)
    return last[["id", *CORRELATIONS]].dropna().reset_index(drop=True)


def _quantities() -> dict[str, Quantity]:
    return {column: Quantity(name, 3, "of the last epoch's batches.") for column, name in CORRELATIONS.items()}


def _over_training(comparison: Comparison, epochs: pd.DataFrame) -> list[Drawing]:
    figures = {
        "terms": (
            "Diagonal and off-diagonal over training",
            "What the diagonal (alignment) and the off-diagonal entries (redundancy) add to the loss, weights "
            "included: mean over seeds and the band from lowest to highest.",
            terms(comparison, epochs),
        ),
        "correlations": (
            "Correlations over training",
            "In one unit for all forms: how correlated two views of one picture are, and views of two pictures (with "
            "level=feature the same of features): mean over seeds and the band from lowest to highest.",
            correlations(comparison, epochs),
        ),
    }
    where = comparison.title
    return [
        rendered(figure, f"dynamics-{key}-{comparison.name}", f"{title} on {where}", f"{title} on {where}. {caption}")
        for key, (title, caption, figure) in figures.items()
        if figure is not None
    ]


def _table(shares: pd.DataFrame) -> Table:
    """Shares of the pull by objective, at SHOWN."""
    wide = shares.pivot_table(index="objective", columns="top", values="share", sort=False)
    body = [
        [Cell((str(name),)), *(Cell((text.percent(row[top]),), sort=float(row[top])) for top in SHOWN)]
        for name, row in wide.iterrows()
    ]
    return Table(
        label="tab:dynamics-shares",
        caption="Share (%) of the summed pull on negative pairs that goes to the most strongly correlated of them. "
        "Numerical, not statistical: one made-up batch, the same for all.",
        columns=[Column("objective", numeric=False), *(Column(f"top {100 * top:g} %") for top in SHOWN)],
        body=body,
        aside=[],
        notes=["For a loss that pulls at all pairs alike each number would be that of its heading."],
        records=[{str(key): value for key, value in row.items()} for row in shares.to_dict("records")],
    )


def _related(shares: pd.DataFrame) -> Table:
    """Shares of the pull by objective and by how alike the members of a class are."""
    wide = shares.pivot_table(index="objective", columns="same_class", values="share", sort=False)
    body = [
        [Cell((str(name),)), *(Cell((text.percent(share),), sort=float(share)) for share in row)]
        for name, row in wide.iterrows()
    ]
    return Table(
        label="tab:dynamics-related",
        caption="Share (%) of the summed pull on negative pairs that goes to the most strongly correlated tenth, in "
        "batches of 16 classes whose members have that mean cosine. Numerical, not statistical.",
        columns=[Column("objective", numeric=False), *(Column(f"cosine {cosine:g}") for cosine in wide.columns)],
        body=body,
        aside=[],
        notes=["For a loss that pulls at all pairs alike each number would be 10."],
        records=[{str(key): value for key, value in row.items()} for row in shares.to_dict("records")],
    )


def _looks(objectives: Sequence[str]) -> dict[str, Style]:
    """A colour of its own for every objective: several are of one method, whose colour elsewhere they would share."""
    names = list(dict.fromkeys(objectives))
    colors = (*PALETTE, "#000000", "#999999")
    return {
        name: Style(colors[index % len(colors)], MARKERS[index % len(MARKERS)], DASHES[index % len(DASHES)])
        for index, name in enumerate(names)
    }
