"""Figures of what was measured, readable in grey."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.cost import growth, table
from bench.cost.record import Record, Row
from bench.reports.analysis import write_figure
from bench.reports.style import Drawing, Style, canvas, distinct, legend_beside, rendered, style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

HATCHES = ("", "///", "", "...", "xxx", "\\\\\\")


def write(record: Record, destination: Path) -> None:
    """figures/*.pdf and *.png under `destination`, of all that the record has rows for."""
    for drawing in _drawings(record):
        write_figure(drawing, destination)


def _drawings(record: Record) -> Iterator[Drawing]:
    kind = table.clock(record)
    if rows := record.of("step"):
        yield rendered(_steps(rows, kind), "step", "Step", "Stages of a step beside the whole and the floor.")
    if rows := record.of("objective"):
        for column, unit in ((kind, "ms"), ("memory_mib", "MiB")):
            figure = _objectives(rows, column, unit)
            yield rendered(figure, f"objective-{unit.lower()}", "Objectives", f"Objectives alone, {unit}.")
    if len(rows := record.of("growth")) > len(growth.CAUSES[kind]):
        yield rendered(_growth(rows, kind), "growth", "Growth", "Steps as measured and as the fitted model has them.")
        about = "Time and memory along each axis, over those at its smallest value: geometric means over settings."
        yield rendered(_curves(rows, kind), "growth-curves", "Growth along each axis", about)


def _steps(rows: Sequence[Row], kind: str) -> Figure:
    import seaborn

    methods = table.by_method(rows)
    figure, (axes,) = canvas(1, width=7.5, height=max(2.4, 1.2 + 0.32 * len(methods)))
    greys = seaborn.color_palette("crest", len(table.STAGES))
    for position, own in enumerate(methods.values()):
        left = 0.0
        for stage, color, hatch in zip(table.STAGES, greys, HATCHES, strict=True):
            width = max(0.0, table.shares(own, kind)[stage])
            axes.barh(position, width, left=left, color=color, hatch=hatch, edgecolor="white", lw=0.5, label=stage)
            left += width
        for stage, label, dashes in (("floor", "floor", "-"), ("step", "whole step", ":")):
            time = next(row[kind] for row in own if row["stage"] == stage)
            axes.plot([time, time], [position - 0.45, position + 0.45], color="black", ls=dashes, lw=2, label=label)
    axes.set_yticks(range(len(methods)), list(methods))
    axes.invert_yaxis()
    axes.set_xlabel(f"{_axis(kind)} per step")
    legend_beside(axes)
    return figure


def _objectives(rows: Sequence[Row], column: str, unit: str) -> Figure:
    import pandas
    import seaborn

    batches = sorted({row["batch"] for row in rows})
    frame = pandas.DataFrame(rows)
    looks = _looks(list(dict.fromkeys(frame["method"])))
    height = max(4.2, 0.8 + 0.21 * len(looks))
    figure, panels = canvas(len(batches), width=3.0 * len(batches) + 2.2, height=height, columns=len(batches))
    for axes, batch in zip(panels, batches, strict=True):
        seaborn.lineplot(
            frame[frame["batch"] == batch],
            x="width",
            y=column,
            hue="method",
            style="method",
            palette={name: look.color for name, look in looks.items()},
            markers={name: look.marker for name, look in looks.items()},
            dashes={name: look.dashes for name, look in looks.items()},
            markersize=6,
            errorbar=None,
            ax=axes,
        )
        axes.set_xscale("log", base=2)
        axes.set_yscale("log")
        axes.set(title=f"B = {batch}", xlabel="width D", ylabel=_axis(column))
        axes.grid(lw=0.4)
        if axes is not panels[-1] and axes.legend_ is not None:
            axes.legend_.remove()
    for axes in panels:
        axes.set_ylim(0.6 * frame[column].min(), 1.6 * frame[column].max())
        axes.set_xticks(sorted(frame["width"].unique()), [str(width) for width in sorted(frame["width"].unique())])
        axes.minorticks_off()
    for axes in panels[1:]:
        axes.set_ylabel("")
    legend_beside(panels[-1])
    return figure


def _looks(names: Sequence[str]) -> dict[str, Style]:
    """Implementations and forms of one method have its colour, and markers and dashes of their own."""
    families: dict[str, list[str]] = {}
    for name in names:
        families.setdefault(name.rpartition("/")[2].partition(",")[0], []).append(name)
    return distinct({name: style(family, place) for family, own in families.items() for place, name in enumerate(own)})


def _growth(rows: Sequence[Row], kind: str) -> Figure:
    import seaborn
    from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter

    figure, panels = canvas(2, width=7.5, height=3.4, columns=2)
    for axes, quantity in zip(panels, (kind, "memory_mib"), strict=True):
        model = growth.fit(rows, quantity)
        measured = [row[quantity] for row in rows]
        predicted = [row[quantity] * (1 + error) for row, error in zip(rows, model.errors, strict=True)]
        batches = [f"batch {row['batch']}" for row in rows]
        seaborn.scatterplot(x=measured, y=predicted, style=batches, color="black", ax=axes)
        limits = [0.9 * min(measured), 1.1 * max(measured)]
        axes.plot(limits, limits, color="grey", lw=1, zorder=0)
        axes.set(xscale="log", yscale="log", xlabel=f"{_axis(quantity)}, measured", ylabel="predicted (left out)")
        for axis in (axes.xaxis, axes.yaxis):  # a decade or less: powers of ten would be too few labels, all too many
            axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axis.set_minor_formatter(NullFormatter())
    return figure


def _curves(rows: Sequence[Row], kind: str) -> Figure:
    from matplotlib.ticker import NullFormatter, StrMethodFormatter

    along = growth.varied(rows)
    figure, panels = canvas(len(along), width=1.5 + 2.2 * len(along), height=3.0, columns=len(along))
    for axes, axis in zip(panels, along, strict=True):
        for quantity, label, line in ((kind, "time", "o-"), ("memory_mib", "memory", "s--")):
            curve = growth.curve(rows, quantity, axis)
            first, *_ = curve.values()
            means = [mean / first for mean in curve.values()]
            axes.plot(list(curve), means, line, color="black", mfc="white", label=label)
        values = sorted({row[axis] for row in rows})
        axes.plot(values, [value / values[0] for value in values], ":", color="grey", label="proportional")
        axes.set(xscale="log", yscale="log", xlabel=growth.AXES[axis])
        axes.set_xticks(values, [str(value) for value in values])
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
        axes.yaxis.set_minor_formatter(StrMethodFormatter("{x:g}"))
    highest = max(axes.get_ylim()[1] for axes in panels)
    for axes in panels:
        axes.set_ylim(0.9, highest)
    panels[0].set_ylabel("over that at the smallest")
    legend_beside(panels[-1])
    return figure


def _axis(column: str) -> str:
    return {"cpu_ms": "CPU time (ms)", "wall_ms": "time (ms)", "memory_mib": "peak memory of tensors (MiB)"}[column]
