"""How figures look: a method's colour, marker and dashes from its name; canvases and forms."""

from __future__ import annotations

import base64
import hashlib
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from textwrap import wrap
from typing import TYPE_CHECKING

from bench.reports.rows import Row

if TYPE_CHECKING:  # matplotlib takes a second to import and is needed only once something is drawn
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

PALETTE = ("#0173b2", "#de8f05", "#029e73", "#d55e00", "#cc78bc", "#ca9161", "#56b4e9", "#332288", "#882255")
"""Seaborn's `colorblind` less its faint colours and its grey, with two dark ones of Paul Tol's `muted`."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "d", "p")
DASHES: tuple[tuple[float, ...], ...] = ((), (5, 2), (2, 1), (6, 2, 1, 2))
SHADES = (0.0, -0.45, 0.4, -0.25, 0.2, -0.65)
REFERENCE_COLORS = {"random": "#666666", "supervised": "#000000"}
SALT = "15912086"
"""Chosen so that methods that are often compared (smi, barlow, simclr, ...) have colours of their own."""
DENSE_PDF = 40_000
"""Bytes of a PDF beyond which the same figure as SVG, which is not compressed, is larger than its PNG."""


@dataclass(frozen=True)
class Style:
    """How a method is drawn wherever it appears; `dashes` are on-off lengths in line widths, () for a solid line."""

    color: str
    marker: str
    dashes: tuple[float, ...]

    @property
    def line(self) -> tuple[float, tuple[float, ...]] | str:
        """The dashes as matplotlib's `linestyle`."""
        return (0.0, self.dashes) if self.dashes else "-"


@dataclass(frozen=True)
class Drawing:
    """A figure as PDF, PNG and, unless that is large, SVG.

    `name` is for files, `title` a few words, `caption` says what is drawn, `width` is in CSS pixels.
    """

    name: str
    title: str
    caption: str
    width: int
    pdf: bytes
    png: bytes
    svg: bytes | None

    @property
    def address(self) -> str:
        """SVG, or else PNG, as a data: address."""
        kind, content = ("svg+xml", self.svg) if self.svg else ("png", self.png)
        return f"data:image/{kind};base64,{base64.b64encode(content).decode()}"


def style(method: str, variant: int = 0) -> Style:
    """The method's colour, marker and dashes, from its name alone; further configurations keep only the hue."""
    digest = hashlib.sha256(f"{SALT}/{method}".encode()).digest()
    color = _shade(REFERENCE_COLORS.get(method, PALETTE[digest[0] % len(PALETTE)]), SHADES[variant % len(SHADES)])
    marker = MARKERS[(digest[1] + variant) % len(MARKERS)]
    return Style(color, marker, DASHES[(digest[2] + variant) % len(DASHES)])


def _shade(color: str, amount: float) -> str:
    """The colour mixed with white (amount above 0) or black (below)."""
    goal = 255 if amount > 0 else 0
    parts = (int(color[start : start + 2], 16) for start in (1, 3, 5))
    return "#" + "".join(f"{round(part + abs(amount) * (goal - part)):02x}" for part in parts)


def styles(rows: Sequence[Row]) -> dict[str, Style]:
    """Style by label of the rows of one dataset; the configurations of a method are told apart by what they change."""
    variants: dict[str, list[Row]] = {}
    for row in sorted(rows, key=lambda row: (row.changes, row.digest)):
        variants.setdefault(row.method, []).append(row)
    places = {row.label: (index, row.method) for own in variants.values() for index, row in enumerate(own)}
    # By name and references last, so that a method mostly keeps its marker whichever others are there.
    order = sorted(places, key=lambda label: (places[label][1] in REFERENCE_COLORS, places[label]))
    return distinct({label: style(places[label][1], places[label][0]) for label in order})


def distinct(preferred: Mapping[str, Style]) -> dict[str, Style]:
    """The styles, each with the next free marker where an earlier one has taken its own: names can hash alike.

    Beyond as many styles as there are markers, colour and marker together are still taken once.
    """
    looks: dict[str, Style] = {}
    for label, look in preferred.items():
        start = MARKERS.index(look.marker)
        choices = [replace(look, marker=marker) for marker in MARKERS[start:] + MARKERS[:start]]
        markers = {other.marker for other in looks.values()}
        pairs = {(other.color, other.marker) for other in looks.values()}
        free = [one for one in choices if one.marker not in markers]
        unlike = [one for one in choices if (one.color, one.marker) not in pairs]
        looks[label] = (free or unlike or choices)[0]
    return looks


def canvas(panels: int, width: float, height: float, columns: int = 1) -> tuple[Figure, list[Axes]]:
    """A figure of its own (no pyplot, no global state) with `panels` axes; width and height in inches."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    axes = [figure.add_subplot(-(-panels // columns), columns, index + 1) for index in range(panels)]
    for one in axes:
        one.spines[["top", "right"]].set_visible(False)
    return figure, axes


def fill(words: str, width: int) -> str:
    """`words` in lines of at most `width` characters, broken at spaces and behind the colons of a method's settings."""
    lines = [""]
    for part in re.split(r"(?<=[: ])", words):
        *whole, last = wrap(part, width, drop_whitespace=False) or [""]
        if lines[-1] and len(lines[-1]) + len((whole or [last])[0].rstrip()) > width:
            lines.append("")
        for piece in whole:
            lines[-1] += piece
            lines.append("")
        lines[-1] += last
    return "\n".join(line.rstrip() for line in lines)


def legend_beside(axes: Axes) -> None:
    """A legend to the right of the axes, each label once, long ones broken into lines."""
    handles, labels = axes.get_legend_handles_labels()
    by_label = dict(zip(labels, handles, strict=True))
    axes.legend(
        list(by_label.values()),
        [fill(label, 34) for label in by_label],
        title=None,
        frameon=False,
        loc="center left",
        bbox_to_anchor=(1.01, 0.5),
        handlelength=3.2,
    )


def name_axis(words: str, inches: float) -> str:
    """An axis's name, in lines that fit beside `inches` of axis: broken before its unit first."""
    width = round(11.5 * inches)
    if len(words) <= width:
        return words
    what, bracket, unit = words.rpartition(" (")
    return f"{fill(what, width)}\n({unit}" if bracket else fill(words, width)


def interval_bar(axes: Axes, position: int, interval: tuple[float, float] | None, color: str) -> None:
    """An interval of fractions, in points, as a bar with ends at the height `position`; nothing for None."""
    if interval:
        axes.plot([100 * end for end in interval], [position, position], "|-", color=color, lw=1.6, ms=7, mew=1.6)


def upright_interval_bar(axes: Axes, x: float, interval: tuple[float, float] | None, color: str) -> None:
    """The same upright, at `x`."""
    if interval:
        axes.plot([x, x], [100 * end for end in interval], "_-", color=color, lw=1.2, ms=5)


def reference_line(axes: Axes, level: float, text: str) -> None:
    """A dashed vertical line at `level`, named above the axes."""
    axes.axvline(level, color=REFERENCE_COLORS["random"], lw=1.2, dashes=(4, 3), zorder=0)
    axes.annotate(
        text,
        (level, 1),
        xycoords=("data", "axes fraction"),
        xytext=(0, 3),
        textcoords="offset points",
        ha="center",
        color=REFERENCE_COLORS["random"],
        fontsize="small",
    )


def rendered(figure: Figure, name: str, title: str, caption: str) -> Drawing:
    """The figure in its forms, without a date: the same runs give the same bytes."""
    layout = figure.get_layout_engine()
    if layout is not None:
        layout.execute(figure)
        figure.set_layout_engine("none")  # laid out once; every form would repeat it
    pdf, png = _bytes(figure, "pdf"), _bytes(figure, "png")
    svg = _bytes(figure, "svg") if len(pdf) <= DENSE_PDF else None
    return Drawing(name, title, caption, round(96 * figure.get_figwidth()), pdf, png, svg)


def _bytes(figure: Figure, kind: str) -> bytes:
    from matplotlib import rc_context

    buffer = io.BytesIO()
    no_date = {"pdf": {"CreationDate": None}, "svg": {"Date": None}}.get(kind, {})
    with rc_context({"svg.hashsalt": "bench"}):
        figure.savefig(buffer, format=kind, dpi=200, metadata=no_date, transparent=kind == "svg")
    return buffer.getvalue()
