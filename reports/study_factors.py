"""The factors of an ablation taken apart: every pair of arms of one method that differ in one factor alone."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from bench.reports import statistics, text
from bench.reports.results import table_label
from bench.reports.statistics import ALPHA, Difference
from bench.reports.study import STUDY, Group, Options, Record, Section, contrast
from bench.reports.study_cells import accuracy_cell, detectable_lines, difference_cell, difference_record, in_words
from bench.reports.tables import Cell, Column, Table


@dataclass(frozen=True)
class Effect:
    """`first` less `second`, which differ in `factor` alone; `held` says at which levels of the others."""

    factor: str
    levels: tuple[str, str]
    held: str
    first: Group
    second: Group
    difference: Difference | None
    p: float | None = None


def section(datasets: Mapping[str, Sequence[Group]], record: Record, options: Options) -> Section:
    """A table of effects for every dataset; a sentence for each effect that has a test."""
    tables, answers = {}, []
    for dataset, groups in datasets.items():
        found = effects(groups, record.factors, options)
        if found:
            tables[f"{STUDY}-factors-{groups[0].cell.key.partition('/')[0]}"] = _table(dataset, found, options)
            answers += [_sentence(one, dataset, options) for one in found if one.difference]
    return Section(tables, answers)


def effects(groups: Sequence[Group], factors: Sequence[str], options: Options) -> list[Effect]:
    """All of one dataset, with Holm's correction over them; the arm that stands first in the study comes first."""
    levels = {group.arm: _levels(group, factors) for group in groups}
    found = []
    for first, second in itertools.combinations(groups, 2):
        own, other = levels[first.arm], levels[second.arm]
        if first.method != second.method or own is None or other is None:
            continue
        shared = [factor for factor in factors if factor in own and factor in other]
        differing = [factor for factor in shared if own[factor] != other[factor]]
        if len(differing) == 1:
            factor = differing[0]
            held = [f"{name} {own[name]}" for name in shared if name != factor]
            # Two arms may differ in this alone: a factor that has no meaning at the other's level.
            held += [
                f"{name} {(own | other)[name]} at {own[factor] if name in own else other[factor]}"
                for name in factors
                if (name in own) != (name in other)
            ]
            scores = [first.scores(options.column), second.scores(options.column)]
            difference = contrast(scores, [1, -1], options.paired)
            found.append(Effect(factor, (own[factor], other[factor]), ", ".join(held), first, second, difference))
    found.sort(key=lambda one: factors.index(one.factor))
    adjusted = statistics.holm([one.difference.p if one.difference else None for one in found])
    return [replace(one, p=p) for one, p in zip(found, adjusted, strict=True)]


def _levels(group: Group, factors: Sequence[str]) -> dict[str, str] | None:
    """The arm's level of every factor that it has, from its runs' configuration (a factor may have no meaning at some
    level of another); None where it has none of them or no run."""
    columns = {f"config.method.config.{factor}": factor for factor in factors}
    if group.runs.empty or not all(column in group.runs for column in columns):
        return None
    values = group.runs.iloc[0][list(columns)].dropna()
    return {columns[str(column)]: str(value) for column, value in values.items()} or None


def _table(dataset: str, found: Sequence[Effect], options: Options) -> Table:
    what = text.metric(options.metric)
    test = "the paired t test" if options.paired else "Welch's test"
    return Table(
        label=table_label(f"{STUDY}-factors-{dataset}"),
        caption=(
            f"Effects of single factors on {dataset}: {what} of the first level less that of the second, everything "
            f"else equal but for what each arm was tuned to. 95 % interval and p of {test}, after Holm's correction "
            "over all effects of this table."
        ),
        columns=[
            Column("factor", numeric=False),
            Column("levels", numeric=False),
            Column("held", numeric=False),
            Column("first", "%"),
            Column("second", "%"),
            Column("difference", "points"),
        ],
        body=[
            [
                Cell((one.factor,)),
                Cell((f"{one.levels[0]} less {one.levels[1]}",)),
                Cell((one.held,)),
                accuracy_cell(one.first.scores(options.column)),
                accuracy_cell(one.second.scores(options.column)),
                difference_cell(one.difference, one.p),
            ]
            for one in found
        ],
        aside=[],
        notes=detectable_lines(
            [[one.first.scores(options.column), one.second.scores(options.column)] for one in found],
            [1, -1],
            options.paired,
        ),
        records=[
            {
                "dataset": dataset,
                "factor": one.factor,
                "first": one.first.arm,
                "second": one.second.arm,
                "n_first": len(one.first.scores(options.column)),
                "n_second": len(one.second.scores(options.column)),
                **difference_record("difference", one.difference, one.p),
            }
            for one in found
        ],
    )


def _sentence(one: Effect, dataset: str, options: Options) -> str:
    assert one.difference is not None
    n = (len(one.first.scores(options.column)), len(one.second.scores(options.column)))
    counts = f"n = {n[0]}" if n[0] == n[1] else f"n = {n[0]} and {n[1]}"
    verdict = "" if one.p is not None and one.p < ALPHA else ": cannot be told apart"
    return (
        f"{one.factor} {one.levels[0]} less {one.levels[1]} at {one.held} on {dataset}: "
        f"{in_words(one.difference, one.p)} in {text.metric(options.metric)}, {counts}{verdict}."
    )
