"""Which source of randomness makes the spread: one axis varied at a time, the others fixed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from scipy import stats

from bench.reports import statistics, text
from bench.reports.results import table_label
from bench.reports.statistics import ALPHA, Interval
from bench.reports.study import STUDY, Group, Options, Record, Section
from bench.reports.tables import Cell, Column, Table

TOGETHER = "all"
"""The variant in which every axis follows the seed."""
POOLED = "all arms"


@dataclass(frozen=True)
class Component:
    """Spread of one arm's scores while `source` alone varies: `sd` in the scores' unit, with its 95 % interval.

    `share` of the sum of the single sources' variances; None for all sources together, and where nothing varies.
    """

    arm: str
    source: str
    n: int
    sd: float
    interval: Interval | None
    share: float | None
    freedom: int


def section(datasets: Mapping[str, Sequence[Group]], record: Record, options: Options) -> Section:
    """A table of standard deviations for every dataset; a sentence on the largest source, arms pooled."""
    tables, answers = {}, []
    for dataset, groups in datasets.items():
        found = components(groups, options.column)
        if found:
            key = groups[0].cell.key.partition("/")[0]
            tables[f"{STUDY}-variance-{key}"] = _table(dataset, found, options)
            answers += _sentences(dataset, [one for one in found if one.arm == POOLED], options)
    return Section(tables, answers)


def components(groups: Sequence[Group], column: str) -> list[Component]:
    """Of one dataset: every arm's, then those of all arms pooled by their degrees of freedom."""
    found = []
    values: dict[str, list[list[float]]] = {}
    for arm in dict.fromkeys(group.arm for group in groups):
        own = {group.variant["variant"]: list(group.scores(column).values()) for group in groups if group.arm == arm}
        own = {source: scores for source, scores in own.items() if len(scores) > 1}
        found += _of(arm, {source: [scores] for source, scores in own.items()})
        for source, scores in own.items():
            values.setdefault(source, []).append(scores)
    return [*found, *_of(POOLED, values)] if len({group.arm for group in groups}) > 1 else found


def _of(arm: str, values: Mapping[str, Sequence[Sequence[float]]]) -> list[Component]:
    sds = {source: statistics.pooled_sd(groups) or 0.0 for source, groups in values.items()}
    total = sum(sd**2 for source, sd in sds.items() if source != TOGETHER)
    found = []
    for source, groups in values.items():
        freedom = sum(len(scores) - 1 for scores in groups)
        sd = sds[source]
        found.append(
            Component(
                arm=arm,
                source=source,
                n=sum(map(len, groups)),
                sd=sd,
                interval=statistics.sd_interval(sd, freedom) if sd else None,
                share=sd**2 / total if total and source != TOGETHER else None,
                freedom=freedom,
            )
        )
    return found


def _table(dataset: str, found: Sequence[Component], options: Options) -> Table:
    """No line on the smallest detectable difference: no two means are compared, and each spread has its interval."""
    return Table(
        label=table_label(f"{STUDY}-variance-{dataset}"),
        caption=(
            f"Spread of {text.metric(options.metric)} on {dataset} while one source of randomness varies and the "
            f"others stay at seed 0; '{TOGETHER}': all vary. Standard deviation over n runs with its 95 % interval "
            "(chi-squared law), and its variance's share of the sum over the single sources."
        ),
        columns=[
            Column("arm", numeric=False),
            Column("source", numeric=False),
            Column("n"),
            Column("standard deviation", "points"),
            Column("share", "%"),
        ],
        body=[
            [
                Cell((one.arm,)),
                Cell((one.source,)),
                Cell((str(one.n),), sort=one.n),
                Cell(_sd_lines(one), sort=one.sd),
                Cell((text.percent(one.share, 0),), sort=one.share),
            ]
            for one in found
        ],
        aside=[],
        notes=[
            "A source that interacts with another shows only at the fixed value of that other: parts need not add up "
            "to the whole.",
            "An interval of a standard deviation from few runs is wide, and shares have no interval: what is shown of "
            "the largest source is in the answers.",
        ],
        records=[
            {
                "dataset": dataset,
                "arm": one.arm,
                "source": one.source,
                "n": one.n,
                "sd": one.sd,
                "low": one.interval[0] if one.interval else None,
                "high": one.interval[1] if one.interval else None,
                "share": one.share,
            }
            for one in found
        ],
    )


def _sd_lines(one: Component) -> tuple[str, ...]:
    sd = text.percent(one.sd, 2)
    return (sd, text.interval(one.interval, 2)) if one.interval else (sd,)


def _sentences(dataset: str, pooled: Sequence[Component], options: Options) -> list[str]:
    single = [one for one in pooled if one.source != TOGETHER and one.share is not None]
    if not single:
        return []
    parts = [f"{one.source} {text.percent(one.sd, 2)} {_between(one)}" for one in pooled]
    first = max(single, key=lambda one: one.sd)
    return [
        f"Standard deviation of {text.metric(options.metric)} on {dataset} by source, in points, arms pooled: "
        f"{text.listed(parts)}. {first.source} has the largest estimate, {text.percent(first.share, 0)} % of the sum "
        f"of the parts; {_larger(first, [one for one in single if one is not first])}."
    ]


def _larger(first: Component, others: Sequence[Component]) -> str:
    """Whether the largest variance is shown to be larger than the others: two-sided F tests with Holm's correction."""
    tests = {one.source: _f_test(first, one) for one in others if one.sd}
    adjusted = dict(zip(tests, statistics.holm(list(tests.values())), strict=True))
    words = [f"than {source} {text.p_value(p)}" for source, p in adjusted.items() if p is not None]
    if not words:
        return "there is no other to compare it with"
    shown = "shown" if all(p is not None and p < ALPHA for p in adjusted.values()) else "not shown"
    return f"that it is the largest is {shown} (larger {text.listed(words)}, F tests, Holm-corrected)"


def _f_test(a: Component, b: Component) -> float:
    ratio = (a.sd / b.sd) ** 2
    return float(2 * min(stats.f.sf(ratio, a.freedom, b.freedom), stats.f.cdf(ratio, a.freedom, b.freedom)))


def _between(one: Component) -> str:
    return f"({text.percent(one.interval[0], 2)} to {text.percent(one.interval[1], 2)})" if one.interval else "(none)"
