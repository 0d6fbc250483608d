"""Geometry of encoders as a section of a report: table, balance, spectra, CKA between methods, and over training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from bench.reports import analysis
from bench.reports.analysis import PREFIX, Quantity, compared, loaded, long, read_csv
from bench.reports.comparison import Comparison
from bench.reports.load import curves
from bench.reports.style import Drawing, canvas, fill, legend_beside, rendered, styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure

QUANTITIES = {
    "effective_rank": Quantity(
        "effective rank", 1, "exp of the entropy of the singular values (RankMe, centred); more is more diverse."
    ),
    "alignment": Quantity("alignment", 3, "mean squared distance of two views' unit features, 0 to 4; less is closer."),
    "uniformity": Quantity(
        "uniformity", 2, "log mean exp(-2 d²) over pairs of unit features, -8 to 0; less is more evenly spread."
    ),
    "redundancy": Quantity(
        "redundancy",
        4,
        "mean squared correlation of different features over two views, 0 to 1; independent features of N images give "
        "about 1/N.",
    ),
    "class_separation": Quantity(
        "class separation",
        3,
        "1 - cosine distance within classes over that of all classes; 1 where classes are points, about (K - 1)/N "
        "for labels without meaning. It uses the labels of the test images.",
    ),
}
TRAINING = ("effective_rank", "alignment", "uniformity", "redundancy")
"""What runs record at the epochs of their learning curve, as `geometry.<name>` in metrics.csv."""


def write_section(run_folders: Sequence[Path], destination: Path, reference: str | None) -> Path:
    """Draw what `bench.analysis.geometry` measured under `destination`; returns the path of section.md."""
    runs = loaded(run_folders)
    measures, spectrum, pairs = (read_csv(destination / f"{name}.csv") for name in ("measures", "spectrum", "cka"))
    epochs, problems = curves(runs)
    tables, drawings = [], []
    for comparison in compared(runs, measures, reference):
        if comparison.runs[f"{PREFIX}images"].isna().all():
            continue  # no run on this dataset has an encoder
        images = int(comparison.runs[f"{PREFIX}images"].max())
        caption = f"Geometry of the encoder's output on {images} test images of {comparison.title}."
        tables.append(analysis.table(comparison, QUANTITIES, caption, problems))
        drawings += _drawings(comparison, spectrum, pairs, epochs, images)
    return analysis.write(destination, "Geometry", tables, drawings)


def _drawings(
    comparison: Comparison, spectrum: pd.DataFrame, pairs: pd.DataFrame, epochs: pd.DataFrame, images: int
) -> list[Drawing]:
    first = {
        "balance": (
            "Alignment and redundancy",
            "Each run (small), and the mean over seeds (large). Down and left: views of an image agree and features "
            f"say different things. The dotted line is what independent features give by chance, 1/{images}.",
            balance(comparison, images),
        ),
    }
    last = {
        "training": (
            "Geometry over training",
            "On training images and their two views, at the epochs of the learning curve: mean, and the band from "
            "lowest to highest seed.",
            training(comparison, epochs),
        ),
    }
    return [
        *_rendered(comparison, first),
        *draw_encoders(comparison, spectrum, pairs),
        *_rendered(comparison, last),
    ]


def draw_encoders(comparison: Comparison, spectrum: pd.DataFrame, pairs: pd.DataFrame) -> list[Drawing]:
    """Spectra and CKA of the comparison's encoders, those of the two that were measured; for a report, too.

    `spectrum` and `pairs` are spectrum.csv and cka.csv of bench.analysis.geometry; runs of others are passed over.
    """
    figures = {
        "spectrum": (
            "Spectra",
            "Singular values of centred features as shares of their sum, in falling order: mean over seeds and the "
            "band from lowest to highest seed. A flatter line uses more directions.",
            spectra(comparison, spectrum),
        ),
        "cka": (
            "CKA between methods",
            "Debiased linear CKA between encoders of different seeds, averaged: 1 is the same representation up to "
            "rotation and scale. The diagonal says how alike two seeds of one method are.",
            similarity(comparison, pairs),
        ),
    }
    return _rendered(comparison, figures)


def measured(folders: Sequence[Path]) -> tuple[pd.DataFrame, pd.DataFrame]:
    """spectrum.csv and cka.csv of <folder>/analysis/geometry, of all folders that have them together.

    Of a run or a pair that stands in several the first counts; both are empty where there are none.
    """
    keys = {"spectrum": ["id", "index"], "cka": ["id_a", "id_b"]}
    found = []
    for name, columns in keys.items():
        paths = (folder / "analysis" / "geometry" / f"{name}.csv" for folder in dict.fromkeys(folders))
        frames = [frame for frame in (read_csv(path) for path in paths if path.is_file()) if len(frame)]
        found.append(pd.concat(frames).drop_duplicates(columns) if frames else pd.DataFrame())
    return found[0], found[1]


def _rendered(comparison: Comparison, figures: Mapping[str, tuple[str, str, Figure | None]]) -> list[Drawing]:
    where, name = comparison.title, comparison.name
    return [
        rendered(figure, f"geometry-{key}-{name}", f"{title} on {where}", f"{title} on {where}. {caption}")
        for key, (title, caption, figure) in figures.items()
        if figure is not None
    ]


def balance(comparison: Comparison, images: int) -> Figure | None:
    """Alignment against redundancy, both of two views. None where no run has both."""
    rows = [row for row in comparison.rows if row.values(f"{PREFIX}redundancy")]
    if not rows:
        return None
    figure, (axes,) = canvas(1, width=6.8, height=3.8)
    looks = styles(comparison.rows)
    for row in rows:
        x, y = row.values(f"{PREFIX}alignment"), row.values(f"{PREFIX}redundancy")
        look = looks[row.label]
        axes.plot(x, y, look.marker, mfc="none", mec=look.color, ms=4, mew=0.8)
        axes.plot([np.mean(x)], [np.mean(y)], look.marker, color=look.color, ms=8, label=row.label, ls="none")
    axes.axhline(1 / images, color="#666666", lw=1, ls=":")
    axes.set(xlabel="alignment: squared distance of two views", ylabel="redundancy: squared correlation\nof features")
    axes.grid(lw=0.4)
    legend_beside(axes)
    return figure


def spectra(comparison: Comparison, spectrum: pd.DataFrame) -> Figure | None:
    """Mean share over seeds by index; where a seed has fewer directions, the mean is of those that have it."""
    data = long(spectrum, comparison) if len(spectrum) else spectrum
    if data.empty:
        return None
    figure, (axes,) = canvas(1, width=6.8, height=3.6)
    looks = styles(comparison.rows)
    for place, row in enumerate(comparison.rows):
        own = data[data["label"] == row.label].groupby("index")["share"].agg(["mean", "min", "max"])
        if own.empty:
            continue
        look = looks[row.label]
        every = max(1, len(own) // 6)
        marks = (3 * place % every, every)  # aside of one another: in grey, dashes alone can be alike
        (line,) = axes.plot(own.index, own["mean"], color=look.color, ls=look.line, lw=1.5, label=row.label)
        line.set(marker=look.marker, markersize=5, markevery=marks)
        axes.fill_between(own.index, own["min"], own["max"], color=look.color, alpha=0.15, lw=0)
    axes.set_yscale("log")
    axes.set(xlabel="singular value, by size", ylabel="share of the sum")
    axes.grid(lw=0.4)
    legend_beside(axes)
    return figure


def similarity(comparison: Comparison, pairs: pd.DataFrame) -> Figure | None:
    """CKA between rows; pairs of one seed, which share their initial weights, count only where there are no others."""
    import seaborn

    matrix = similarities(comparison, pairs)
    if matrix.empty or matrix.isna().all(axis=None):
        return None
    size = len(matrix)
    figure, (axes,) = canvas(1, width=3.6 + 0.55 * size, height=1.9 + 0.45 * size)
    seaborn.heatmap(
        matrix,
        annot=size <= 14,
        fmt=".2f",
        vmin=0,
        vmax=1,
        cmap="viridis",
        cbar_kws={"label": "CKA"},
        linewidths=0.5,
        annot_kws={"fontsize": 8},
        ax=axes,
    )
    axes.set_xticklabels([fill(label, 24) for label in matrix.columns], rotation=40, ha="right")
    axes.set_yticklabels([fill(label, 24) for label in matrix.index], rotation=0)
    axes.set(xlabel="", ylabel="")
    return figure


def similarities(comparison: Comparison, pairs: pd.DataFrame) -> pd.DataFrame:
    """Mean CKA by label and label; NaN where no two runs compare."""
    runs = pd.concat([row.completed[["id", "seed"]].assign(label=row.label) for row in comparison.rows])
    if pairs.empty:
        return pd.DataFrame()
    both = pd.concat([pairs, pairs.rename(columns={"id_a": "id_b", "id_b": "id_a"})])
    for side in ("a", "b"):
        both = both.merge(runs.add_suffix(f"_{side}"), on=f"id_{side}")
    different = both[both["seed_a"] != both["seed_b"]]
    shown = different if len(different) else both
    order = [row.label for row in comparison.rows if row.label in set(both["label_a"])]
    return shown.pivot_table(index="label_a", columns="label_b", values="cka").reindex(index=order, columns=order)


def training(comparison: Comparison, epochs: pd.DataFrame) -> Figure | None:
    """A panel per measure over epochs. None where no run recorded any."""
    from matplotlib.ticker import MaxNLocator

    recorded = [name for name in TRAINING if f"geometry.{name}" in epochs]
    if not recorded:
        return None
    data = long(epochs, comparison).dropna(subset=[f"geometry.{name}" for name in recorded])
    figure, panels = canvas(len(recorded), width=8.4, height=2.3 * -(-len(recorded) // 2), columns=2)
    looks = styles(comparison.rows)
    for axes, name in zip(panels, recorded, strict=True):
        for row in comparison.rows:
            own = data[data["label"] == row.label].groupby("epoch")[f"geometry.{name}"].agg(["mean", "min", "max"])
            look = looks[row.label]
            if row.method == "random" and len(own):  # untrained: a level, not a curve
                axes.axhline(own["mean"].mean(), color=look.color, lw=1.2, dashes=(4, 3), label=row.label)
                continue
            axes.plot(own.index, own["mean"], color=look.color, ls=look.line, marker=look.marker, ms=4, label=row.label)
            axes.fill_between(own.index, own["min"], own["max"], color=look.color, alpha=0.15, lw=0)
        axes.set(xlabel="epoch", ylabel=QUANTITIES[name].heading)
        axes.xaxis.set_major_locator(MaxNLocator(nbins=6, integer=True))
        axes.grid(lw=0.4)
    legend_beside(panels[min(1, len(panels) - 1)])
    return figure
