"""Localisation of encoders' evidence as a section of a report: a table per map, scores beside chance, overlays."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bench.errors import UserError
from bench.reports import analysis, text
from bench.reports.analysis import PREFIX, Quantity, compared, loaded, measures_of, read_csv
from bench.reports.comparison import Comparison
from bench.reports.rows import Row
from bench.reports.style import REFERENCE_COLORS, Drawing, canvas, fill, rendered, styles
from bench.reports.tables import Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAPS = {
    "class_activation": "class activation of the linear probe, for the image's own class",
    "activation": "squared activation, which no label enters",
    "seed_similarity": "similarity to the region that is like the fewest others, which no label enters",
}
SCORES = {
    "energy": Quantity("energy inside", 3, "share of the map inside the object."),
    "pointing": Quantity("pointing game", 3, "share of images whose map is highest inside the object."),
    "box_overlap": Quantity("box IoU", 3, "of the object's box and that of the map above half its maximum."),
    "gini": Quantity("Gini", 3, "concentration of the map whatever the object: 0 evenly spread, 1 in one place."),
    "entropy": Quantity("entropy", 3, "of the map over that of an even one: 1 evenly spread, 0 in one place."),
}
AGAINST_CHANCE = ("energy", "pointing", "box_overlap")
MOST_ROWS = 8
"""Configurations in the overlays: the first of the table, and the reference rows."""


def write_section(run_folders: Sequence[Path], destination: Path, reference: str | None) -> Path:
    """Draw what `bench.analysis.localisation` measured under `destination`; returns the path of section.md."""
    scores, chance = read_csv(destination / "scores.csv"), read_csv(destination / "chance.csv")
    (wide,) = measures_of(destination)
    values = wide.assign(images=scores.groupby("id")["images"].first()).reset_index()
    tables, drawings = [], []
    for comparison in compared(loaded(run_folders), values, reference):
        own = chance[chance["fingerprint"] == comparison.fingerprint]
        if own.empty:
            continue
        tables += [_table(comparison, name, own) for name in MAPS]
        drawings += _drawings(comparison, own, destination)
    return analysis.write(destination, "Localisation", tables, drawings)


def _table(comparison: Comparison, name: str, chance: pd.DataFrame) -> Table:
    images = int(comparison.runs[f"{PREFIX}images"].max())
    quantities = {f"{name}.{score}": quantity for score, quantity in SCORES.items()}
    notes = []
    for _, row in chance.iterrows():
        levels = [f"{SCORES[score].heading} {text.number(row[score], 3)}" for score in SCORES]
        which = str(row["map"]).replace("_", " ")
        notes.append(f"Chance at {row['image_size']} px: a {which} map scores {', '.join(levels)}.")
    caption = f"Where the evidence lies in {images} images of {comparison.title}: {MAPS[name]}."
    return analysis.table(comparison, quantities, caption, notes, name=f"{name}-{comparison.name}")


def _drawings(comparison: Comparison, chance: pd.DataFrame, destination: Path) -> list[Drawing]:
    where = comparison.title
    title = f"Localisation on {where}"
    caption = (
        f"{title}: every seed (open) and the mean (filled), by map and score. Dotted: a uniform map, which is chance; "
        "dashed: a map that always points at the centre."
    )
    drawings = [rendered(against_chance(comparison, chance), f"localisation-{comparison.name}", title, caption)]
    examples = _examples(destination / f"examples-{comparison.fingerprint[:8]}.npz")
    title = f"Class activation maps on {where}"
    caption = (
        f"{title}: some of the images, with the outline of the object, and below, for one seed of each "
        "configuration, the activation of the image's own class; bright is the strongest of the picture."
    )
    return [*drawings, rendered(overlays(comparison, examples), f"overlays-{comparison.name}", title, caption)]


def against_chance(comparison: Comparison, chance: pd.DataFrame) -> Figure:
    """Panels: a row per score, a column per map."""
    rows = [row for row in comparison.rows if row.values(f"{PREFIX}{next(iter(MAPS))}.energy")]
    figure, panels = canvas(
        len(AGAINST_CHANCE) * len(MAPS),
        width=10.4,
        height=len(AGAINST_CHANCE) * (0.75 + 0.24 * len(rows)),
        columns=len(MAPS),
    )
    for index, axes in enumerate(panels):
        score, name = AGAINST_CHANCE[index // len(MAPS)], list(MAPS)[index % len(MAPS)]
        _panel(axes, rows, comparison, f"{PREFIX}{name}.{score}")
        for prior, line in (("uniform", ":"), ("centre_prior", "--")):
            for level in chance.loc[chance["map"] == prior, score]:
                axes.axvline(level, color=REFERENCE_COLORS["random"], lw=1, ls=line, zorder=0)
        axes.set_xlabel(SCORES[score].heading)
        if index < len(MAPS):
            axes.set_title(name.replace("_", " "), fontsize="medium", loc="left")
        if index % len(MAPS):
            axes.set_yticklabels([])
    return figure


def _panel(axes: Axes, rows: Sequence[Row], comparison: Comparison, column: str) -> None:
    looks = styles(comparison.rows)
    for position, row in enumerate(rows):
        values, look = row.values(column), looks[row.label]
        axes.plot(values, [position] * len(values), "o", mfc="none", mec=look.color, ms=4, mew=0.9)
        axes.plot([np.mean(values)], [position], look.marker, color=look.color, ms=6.5)
    axes.set_yticks(range(len(rows)), [fill(row.label, 26) for row in rows], fontsize="small")
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.grid(axis="x", lw=0.4)


def overlays(comparison: Comparison, examples: dict[str, NDArray[Any]]) -> Figure:
    """A column per picture; a row of pictures, then a row of maps for the lowest seed of each configuration."""
    pictures, masks = examples["pictures"], examples["masks"]
    shown = {}
    for row in [*comparison.competing[: MOST_ROWS - 2], *comparison.aside]:
        known = [identifier for identifier in row.completed["id"] if f"map/{identifier}" in examples]
        if known:
            shown[row.label] = examples[f"map/{known[0]}"]
    columns = len(pictures)
    figure, panels = canvas(columns * (1 + len(shown)), 1.3 + 1.35 * columns, 1.4 * (1 + len(shown)), columns)
    for axes in panels:
        axes.set(xticks=[], yticks=[])
        axes.spines[:].set_visible(False)
    for index in range(columns):
        panels[index].imshow(pictures[index], interpolation="nearest")
        _outline(panels[index], masks[index], "yellow")
        for line, maps in enumerate(shown.values(), start=1):
            axes = panels[line * columns + index]
            grey = pictures[index].mean(axis=2)
            axes.imshow(grey, cmap="gray", vmin=0, vmax=255, interpolation="nearest")
            heat = maps[index] / maps[index].max()
            extent = (-0.5, grey.shape[1] - 0.5, grey.shape[0] - 0.5, -0.5)
            axes.imshow(heat, cmap="inferno", vmin=0, vmax=1, alpha=0.6, extent=extent, interpolation="bilinear")
            _outline(axes, masks[index], "white")
    for line, label in enumerate(["image", *shown]):
        panels[line * columns].set_ylabel(fill(label, 18), rotation=0, ha="right", va="center", fontsize="small")
    return figure


def _outline(axes: Axes, mask: NDArray[np.bool_], color: str) -> None:
    if mask.all():
        return
    axes.contour(np.pad(mask, 1).astype(float), [0.5], colors=color, linewidths=1.2, extent=_padded(mask))


def _padded(mask: NDArray[np.bool_]) -> tuple[float, float, float, float]:
    return -1.0, mask.shape[1], -1.0, mask.shape[0]


def _examples(path: Path) -> dict[str, NDArray[Any]]:
    try:
        with np.load(path, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} cannot be read ({error}); run the analysis again.") from error
