"""A study over a grid of settings: every arm at every point, and what going along an axis costs each arm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.reports import statistics, text
from bench.reports.against import Scores
from bench.reports.measures import MEASURES
from bench.reports.results import number_cell, table_label
from bench.reports.statistics import ALPHA, Difference
from bench.reports.study import STUDY, Group, Options, Record, Section, contrast, variant_words
from bench.reports.study_cells import accuracy_cell, detectable_lines, difference_cell, difference_record, in_words
from bench.reports.tables import Cell, Column, Table

COSTS = ("images_per_second", "memory")


@dataclass(frozen=True)
class Change:
    """What an arm gains on its way along an axis, from its largest value to its smallest, and the reference's gain.

    `less_reference` is the difference of the two, `p` its p after Holm's correction, `scores` are the four groups' of
    which it is made (none for the reference's own).
    """

    axis: str
    values: tuple[str, str]
    held: Mapping[str, str]
    arm: str
    change: Difference | None
    less_reference: Difference | None
    scores: Sequence[Scores] = ()
    p: float | None = None


def section(datasets: Mapping[str, Sequence[Group]], record: Record, options: Options) -> Section:
    """For every dataset a table of points and one of changes along the axes; sentences about the changes."""
    tables, answers = {}, []
    for dataset, groups in datasets.items():
        key = groups[0].cell.key.partition("/")[0]
        tables[f"{STUDY}-grid-{key}"] = _points(dataset, groups, record, options)
        found = changes(groups, record.reference, options)
        if found:
            tables[f"{STUDY}-changes-{key}"] = _changes(dataset, found, record, options)
            answers += [_sentence(one, dataset, record, options) for one in found if one.less_reference]
    return Section(tables, answers)


def changes(groups: Sequence[Group], reference: str | None, options: Options) -> list[Change]:
    """Of one dataset, along every numeric axis at every setting of the others; Holm's correction over all of them."""
    at = {(group.arm, tuple(group.variant.items())): group.scores(options.column) for group in groups}
    found = []
    for axis in groups[0].variant:
        small, large = ends(groups, axis)
        if small == large:
            continue
        for held in _held(groups, axis):
            for arm in dict.fromkeys(group.arm for group in groups if group.competes):

                def scores(
                    name: str, value: str, axis: str = axis, held: Mapping[str, str] = held
                ) -> Mapping[int, float]:
                    point = {key: value if key == axis else held[key] for key in groups[0].variant}
                    return at.get((name, tuple(point.items())), {})

                own = [scores(arm, small), scores(arm, large)]
                change = contrast(own, [1, -1], options.paired)
                less, base = None, []
                if reference is not None and arm != reference:
                    base = [scores(reference, small), scores(reference, large)]
                    less = contrast([*own, *base], [1, -1, -1, 1], options.paired)
                found.append(Change(axis, (large, small), held, arm, change, less, [*own, *base] if base else ()))
    adjusted = statistics.holm([one.less_reference.p if one.less_reference else None for one in found])
    return [replace(one, p=p) for one, p in zip(found, adjusted, strict=True)]


def ends(groups: Sequence[Group], axis: str) -> tuple[str, str]:
    """The smallest and the largest value of an axis."""
    values = sorted({group.variant[axis] for group in groups}, key=float)
    return values[0], values[-1]


def _held(groups: Sequence[Group], axis: str) -> Iterator[Mapping[str, str]]:
    """Every setting of the other axes."""
    others = [{key: value for key, value in group.variant.items() if key != axis} for group in groups]
    for words in dict.fromkeys(tuple(other.items()) for other in others):
        yield dict(words)


def _points(dataset: str, groups: Sequence[Group], record: Record, options: Options) -> Table:
    axes = list(groups[0].variant)
    by_point = {(group.arm, *group.variant.values()): group for group in groups}
    ordered = sorted(groups, key=lambda group: [float(value) for value in group.variant.values()])
    differences, pairs = [], []
    for group in ordered:
        base = by_point.get((record.reference or "", *group.variant.values()))
        pair = [group.scores(options.column), base.scores(options.column) if base else {}]
        differences.append(None if base is None or base is group else contrast(pair, [1, -1], options.paired))
        pairs += [pair] if differences[-1] and group.competes else []
    tested = [one.p if one and group.competes else None for one, group in zip(differences, ordered, strict=True)]
    adjusted = statistics.holm(tested)
    costs = {name: MEASURES[name] for name in COSTS}
    versus = f"; difference to {record.reference} at the same point, p after Holm's correction over the table"
    return Table(
        label=table_label(f"{STUDY}-grid-{dataset}"),
        caption=(
            f"{text.metric(options.metric).capitalize()} on the test images of {dataset} at every point of the grid: "
            f"mean ± sample standard deviation, 95 % t interval{versus if record.reference else ''}. Images/s: median, "
            "memory: peak."
        ),
        columns=[
            *(Column(axis) for axis in axes),
            Column("arm", numeric=False),
            Column("n"),
            Column("accuracy", "%"),
            Column("difference", "points"),
            *(Column(measure.heading, measure.unit) for measure in costs.values()),
        ],
        body=[
            [
                *(Cell((value,), sort=float(value)) for value in group.variant.values()),
                Cell((group.arm,)),
                Cell((str(len(group.scores(options.column))),), sort=len(group.scores(options.column))),
                accuracy_cell(group.scores(options.column)),
                difference_cell(found, p, group.arm == record.reference),
                *(number_cell(_cost(group, name), measure.decimals) for name, measure in costs.items()),
            ]
            for group, found, p in zip(ordered, differences, adjusted, strict=True)
        ],
        aside=[],
        notes=detectable_lines(pairs, [1, -1], options.paired),
        records=[
            {
                "dataset": dataset,
                **group.variant,
                "arm": group.arm,
                "n": len(group.scores(options.column)),
                "mean": _mean(group, options.column),
                "values": " ".join(map(repr, group.scores(options.column).values())),
                **difference_record("difference", found, p),
                **{name: _cost(group, name) for name in costs},
            }
            for group, found, p in zip(ordered, differences, adjusted, strict=True)
        ],
    )


def _changes(dataset: str, found: Sequence[Change], record: Record, options: Options) -> Table:
    return Table(
        label=table_label(f"{STUDY}-changes-{dataset}"),
        caption=(
            f"Change of {text.metric(options.metric)} on {dataset} along each axis, from its largest to its smallest "
            f"value, and how much more an arm gains (or less it loses) by that than {record.reference}: 95 % interval "
            "by Welch's test of the difference of differences, p after Holm's correction over the table."
        ),
        columns=[
            Column("axis", numeric=False),
            Column("at", numeric=False),
            Column("arm", numeric=False),
            Column("change", "points"),
            Column("less the reference's", "points"),
        ],
        body=[
            [
                Cell((f"{one.axis} {one.values[0]} to {one.values[1]}",)),
                Cell((variant_words(one.held),)),
                Cell((one.arm,)),
                difference_cell(one.change, None),
                difference_cell(one.less_reference, one.p, one.arm == record.reference),
            ]
            for one in found
        ],
        aside=[],
        notes=detectable_lines([one.scores for one in found], [1, -1, -1, 1], options.paired),
        records=[
            {
                "dataset": dataset,
                "axis": one.axis,
                "from": one.values[0],
                "to": one.values[1],
                **one.held,
                "arm": one.arm,
                **difference_record("change", one.change, None),
                **difference_record("less_reference", one.less_reference, one.p),
            }
            for one in found
        ],
    )


def _sentence(one: Change, dataset: str, record: Record, options: Options) -> str:
    assert one.less_reference is not None
    at = f" at {variant_words(one.held)}" if one.held else ""
    if one.p is None or one.p >= ALPHA:
        verdict = f"which cannot be told from {record.reference}'s change"
    else:
        verdict = f"{'better' if one.less_reference.difference > 0 else 'worse'} than {record.reference}"
    change = text.points(one.change.difference) if one.change else text.NOTHING
    return (
        f"{one.axis} from {one.values[0]} to {one.values[1]}{at} on {dataset}: {one.arm} changes by {change} points in "
        f"{text.metric(options.metric)}, {verdict}: {in_words(one.less_reference, one.p)}."
    )


def _cost(group: Group, name: str) -> float | None:
    measure = MEASURES[name]
    values = list(group.scores(measure.column).values())
    return measure.scale * float(measure.over_runs(values)) if values else None


def _mean(group: Group, column: str) -> float | None:
    values = list(group.scores(column).values())
    return float(np.mean(values)) if values else None
