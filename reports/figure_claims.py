"""The verdicts on claims about accuracy, drawn: every comparison with its interval and what the claim asks for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.reports.claims import CONTRADICTED, NEGLIGIBLE, SUPPORTED, UNDECIDED, interval
from bench.reports.claims_evidence import Part, Verdict
from bench.reports.style import (
    REFERENCE_COLORS,
    Drawing,
    Style,
    canvas,
    fill,
    interval_bar,
    legend_beside,
    reference_line,
    rendered,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes

LOOKS = {
    SUPPORTED: Style("#0173b2", "o", ()),
    NEGLIGIBLE: Style("#029e73", "D", ()),
    UNDECIDED: Style("#666666", "s", ()),
    CONTRADICTED: Style("#d55e00", "X", ()),
}
"""By shape too, for print in grey; open where nothing is decided."""
CAPTION = (
    "Claims about accuracy: difference to each opponent in points (of changes, where a claim is about one), with the "
    "interval over seeds that its test is about (95 % of superiority, 90 % of non-inferiority), turned so that right "
    "is what the claim says. Grey bars: the margin, right of zero the gain that was declared to matter, left of it the "
    "loss that counts as none."
)


def draw(verdicts: Sequence[Verdict]) -> Drawing | None:
    """Comparisons of accuracy that have a difference, claims in their order; None where there is none."""
    found = [
        (one, part)
        for one in verdicts
        if one.claim.is_accuracy and not one.claim.ratio
        for part in one.parts
        if part.judged.difference is not None and part.judged.verdict in LOOKS
    ]
    if not found:
        return None
    several = len({part.dataset for _, part in found}) > 1
    from matplotlib.ticker import MaxNLocator

    figure, (axes,) = canvas(1, width=8.4, height=1.2 + 0.3 * len(found))
    for position, (one, part) in enumerate(found):
        _row(axes, position, one, part)
    axes.set_yticks(range(len(found)), [_label(one, part, several) for one, part in found])
    axes.set_ylim(len(found) - 0.4, -0.6)
    reference_line(axes, 0.0, "no difference")
    axes.set_xlabel("points of accuracy, for the claim to the right")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=9))
    axes.grid(axis="x", lw=0.4)
    legend_beside(axes)
    return rendered(figure, "claims", "Claims about accuracy", CAPTION)


def _row(axes: Axes, position: int, one: Verdict, part: Part) -> None:
    claim, difference, look = one.claim, part.judged.difference, LOOKS[part.judged.verdict]
    assert difference is not None
    sign = 1 if claim.better == "higher" else -1
    ends = interval(difference, claim)
    if ends:
        interval_bar(axes, position, (sign * ends[0], sign * ends[1]), look.color)
    sides = {"superiority": [1], "non-inferiority": [-1]}.get(claim.test, [-1, 1])
    for margin in [100 * side * claim.margin for side in sides if claim.margin]:
        color = REFERENCE_COLORS["random"]
        axes.plot([margin] * 2, [position - 0.35, position + 0.35], color=color, lw=3, alpha=0.5, label="margin")
    face = "white" if part.judged.verdict == UNDECIDED else look.color
    point = [100 * sign * difference.difference]
    axes.plot(point, [position], look.marker, mec=look.color, mfc=face, ms=8, label=part.judged.verdict)


def _label(one: Verdict, part: Part, several_datasets: bool) -> str:
    where = f" ({part.dataset})" if several_datasets else ""
    return fill(f"{one.claim.name}: {part.opponent}{where}", 44)
