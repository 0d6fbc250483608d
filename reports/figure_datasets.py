"""Figures over several datasets: performance profiles and the critical-difference diagram."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from bench.reports.aggregate import performance_profile
from bench.reports.overview import Overview
from bench.reports.style import canvas, legend_beside, styles

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def profiles(found: Overview) -> Figure | None:
    """Share of runs above each normalised score, by method. None where nothing could be normalised."""
    if not found.normalised:
        return None
    figure, (axes,) = canvas(1, width=7.4, height=3.4)
    looks = styles(found.comparisons[0].rows)
    every = np.concatenate([array for scores in found.normalised.values() for array in scores])
    thresholds = np.linspace(min(0.0, every.min()), max(1.0, every.max()), 201)
    for label, scores in found.normalised.items():
        shares = performance_profile(scores, thresholds.tolist())
        look = looks[label]
        axes.plot(
            thresholds, shares, color=look.color, linestyle=look.line, marker=look.marker, markevery=20, label=label
        )
    axes.set(xlabel="normalised score t (0: random encoder, 1: supervised)", ylabel="share of runs above t")
    legend_beside(axes)
    axes.grid(lw=0.4)
    return figure


def critical_difference(found: Overview) -> Figure | None:
    """Mean ranks, with a bar over methods of which no pair differs. None where too few datasets allow any test."""
    if not found.ranking or not found.ranking.pairs:
        return None
    ranks = found.ranking.mean_ranks
    order = np.argsort(ranks, kind="stable")
    count = len(order)
    bars = found.ranking.cliques
    figure, (axes,) = canvas(1, width=7.0, height=1.0 + 0.16 * len(bars) + 0.24 * -(-count // 2))
    looks = styles(found.comparisons[0].rows)
    lowest = 0.5 + 0.5 * len(bars)
    for level, bar in enumerate(bars):
        ends = [ranks[bar[0]] - 0.03, ranks[bar[-1]] + 0.03]
        axes.plot(ends, [0.5 + 0.5 * level] * 2, color="black", lw=3, solid_capstyle="butt")
    for place, index in enumerate(order):
        label, left = found.methods[index], place < (count + 1) // 2
        depth = lowest + 0.8 * (place if left else count - 1 - place) + 0.4
        edge = 0.8 if left else count + 0.2
        look = looks[label]
        axes.plot([ranks[index], ranks[index], edge], [0, depth, depth], color=look.color, lw=1.1)
        axes.plot([ranks[index]], [0], look.marker, color=look.color, ms=7, clip_on=False, zorder=3)
        axes.annotate(
            f"{label} ({ranks[index]:.2f})",
            (edge, depth),
            xytext=(-4 if left else 4, 0),
            textcoords="offset points",
            ha="right" if left else "left",
            va="center",
            annotation_clip=False,
        )
    axes.set_ylim(lowest + 0.8 * -(-count // 2), 0)
    axes.set_xlim(0.8, count + 0.2)
    axes.set_xticks(range(1, count + 1))
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.set_xlabel(f"mean rank over {found.ranking.datasets} datasets (1 is best)")
    axes.spines["top"].set_visible(True)
    axes.spines[["left", "bottom"]].set_visible(False)
    axes.yaxis.set_visible(False)
    return figure
