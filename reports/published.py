"""Numbers that others published, in a block of their own: for orientation, never in a comparison with ours."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import yaml

from bench.reports import text
from bench.reports.comparison import Comparison
from bench.reports.results import table_label
from bench.reports.tables import Cell, Column, Table

SOURCES = Path(__file__).with_name("published.yaml")


@dataclass(frozen=True)
class Anchor:
    """One published list: top-1 accuracies in percent by method, with the digits that `source` reports.

    `datasets` are keys, as in `RunSpec.dataset.key`.
    """

    datasets: Sequence[str]
    source: str
    protocol: str
    metric: str
    values: Mapping[str, str]


@cache
def anchors() -> tuple[Anchor, ...]:
    """All of published.yaml."""
    entries = yaml.load(SOURCES.read_bytes(), Loader=yaml.BaseLoader)  # every value as text: 92.10 keeps its zero
    return tuple(Anchor(**entry) for entry in entries)


def published_table(comparison: Comparison) -> Table | None:
    """Methods x sources for the comparison's dataset; None for a dataset of which nothing is known."""
    key = comparison.runs["dataset"].iloc[0]  # a title would not do: `imagenet:100` is another dataset than `imagenet`
    known = [anchor for anchor in anchors() if key in anchor.datasets]
    if not known:
        return None
    methods = sorted({method for anchor in known for method in anchor.values}, key=str.lower)
    words = {"knn": "kNN", "linear": "linear"}
    heads = [Column(f"{words[anchor.metric]} [{index}]", "%") for index, anchor in enumerate(known, start=1)]
    return Table(
        label=table_label(f"{comparison.name}-published"),
        caption=(
            f"Published by others on {comparison.title}: not reproduced here, under protocols that differ from ours "
            "and from each other, so that no number here may be held against one of ours."
        ),
        columns=[Column("method", numeric=False), *heads],
        body=[[Cell((method,)), *(_cell(anchor.values.get(method)) for anchor in known)] for method in methods],
        aside=[],
        notes=[f"[{index}] {anchor.source}: {anchor.protocol}." for index, anchor in enumerate(known, start=1)],
        records=[
            {"method": method, "metric": anchor.metric, "percent": value, "source": anchor.source}
            | {"protocol": anchor.protocol}
            for anchor in known
            for method, value in anchor.values.items()
        ],
    )


def _cell(value: str | None) -> Cell:
    return Cell((text.NOTHING,)) if value is None else Cell((value,), sort=float(value))
