"""Does a ranking survive: Kendall's tau with the first variant's, and every arm's lead over the reference."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy import stats

from bench.reports import statistics, text
from bench.reports.against import Scores
from bench.reports.results import table_label
from bench.reports.statistics import ALPHA, Difference, Interval
from bench.reports.study import STUDY, Group, Options, Record, Section, contrast
from bench.reports.study_cells import accuracy_cell, detectable_lines, difference_cell, difference_record, in_words
from bench.reports.tables import Cell, Column, Table

DRAWS = 2000
SEED = 0


@dataclass(frozen=True)
class Agreement:
    """Kendall's tau-b between the mean scores of `arms` arms in the first variant and in `variant`.

    `interval` is its 95 % percentile interval when the runs of every cell are drawn again; None where tau does not
    exist (fewer than two arms, or means all equal) or a cell has one run.
    """

    variant: str
    arms: int
    tau: float | None
    interval: Interval | None


@dataclass(frozen=True)
class Lead:
    """An arm's lead over the reference in a variant, and that lead less the first variant's (None for the first).

    `groups` are the scores of the four cells of which the shift is made.
    """

    variant: str
    arm: str
    scores: Scores
    lead: Difference | None
    shift: Difference | None
    groups: Sequence[Scores] = ()
    p: float | None = None


def section(datasets: Mapping[str, Sequence[Group]], record: Record, options: Options) -> Section:
    """For every dataset a table of tau and one of leads; sentences on both."""
    tables, answers = {}, []
    for dataset, groups in datasets.items():
        key = groups[0].cell.key.partition("/")[0]
        table = {
            (group.variant["variant"], group.arm): group.scores(options.column) for group in groups if group.competes
        }
        agreed, found = agreements(table), leads(table, record.reference, options.paired)
        tables[f"{STUDY}-tau-{key}"] = _agreement_table(dataset, agreed, options)
        tables[f"{STUDY}-leads-{key}"] = _lead_table(dataset, found, record, options)
        answers += [_agreement_sentence(one, dataset, options) for one in agreed if one.tau is not None]
        answers += [_lead_sentence(one, dataset, record) for one in found if one.p is not None and one.p < ALPHA]
    return Section(tables, answers)


def agreements(table: Mapping[tuple[str, str], Scores]) -> list[Agreement]:
    """Of every variant but the first with the first, over the arms that both have scores of."""
    base, *others = dict.fromkeys(variant for variant, _ in table)
    found = []
    for variant in others:
        arms = [arm for name, arm in table if name == base and table[base, arm] and table.get((variant, arm))]
        first, second = ([list(table[name, arm].values()) for arm in arms] for name in (base, variant))
        found.append(Agreement(variant, len(arms), tau(first, second), tau_interval(first, second)))
    return found


def tau(first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]) -> float | None:
    """Kendall's tau-b of the means of two lists of equally many arms; None where it does not exist."""
    if len(first) < 2:
        return None
    value = stats.kendalltau(*([np.mean(runs) for runs in side] for side in (first, second))).statistic
    return None if np.isnan(value) else float(value)


def tau_interval(first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]) -> Interval | None:
    """95 % percentile interval of `tau` over DRAWS bootstrap draws of the runs within every arm and side."""
    if tau(first, second) is None or any(len(runs) < 2 for runs in (*first, *second)):
        return None
    generator = np.random.default_rng(SEED)
    means = [
        np.stack([generator.choice(np.asarray(runs), (DRAWS, len(runs))).mean(axis=1) for runs in side], axis=1)
        for side in (first, second)
    ]
    draws = [float(stats.kendalltau(a, b).statistic) for a, b in zip(*means, strict=True)]
    low, high = np.nanpercentile(draws, [2.5, 97.5])
    return float(low), float(high)


def leads(table: Mapping[tuple[str, str], Scores], reference: str | None, paired: bool) -> list[Lead]:
    """Every arm against the reference in every variant; Holm's correction over the shifts."""
    base = next(iter(table))[0]
    found = []
    for (variant, arm), scores in table.items():
        versus = table.get((variant, reference or ""), {})
        before = [table.get((base, arm), {}), table.get((base, reference or ""), {})]
        is_reference = arm == reference
        lead = None if is_reference else contrast([scores, versus], [1, -1], paired)
        groups = [scores, versus, *before] if variant != base and not is_reference else []
        shift = contrast(groups, [1, -1, -1, 1], paired) if groups else None
        found.append(Lead(variant, arm, scores, lead, shift, groups))
    adjusted = statistics.holm([one.shift.p if one.shift else None for one in found])
    return [replace(one, p=p) for one, p in zip(found, adjusted, strict=True)]


def _agreement_table(dataset: str, found: Sequence[Agreement], options: Options) -> Table:
    """No line on what it could detect: tau has an interval by the bootstrap and no test whose power were known."""
    return Table(
        label=table_label(f"{STUDY}-tau-{dataset}"),
        caption=(
            f"Does the ranking by mean {text.metric(options.metric)} on {dataset} survive? Kendall's tau-b with the "
            "first variant's ranking (1: the same, 0: unrelated, −1: reversed); 95 % percentile interval over "
            f"{DRAWS} bootstrap draws of the runs."
        ),
        columns=[Column("variant", numeric=False), Column("arms"), Column("tau")],
        body=[
            [
                Cell((one.variant,)),
                Cell((str(one.arms),), sort=one.arms),
                Cell(_tau_lines(one), sort=one.tau),
            ]
            for one in found
        ],
        aside=[],
        notes=[
            "With few runs the bootstrap's interval is too narrow, and drawing again makes differences out of ties: "
            "read it beside the leads, which have a test."
        ],
        records=[
            {
                "dataset": dataset,
                "variant": one.variant,
                "arms": one.arms,
                "tau": one.tau,
                "low": one.interval[0] if one.interval else None,
                "high": one.interval[1] if one.interval else None,
            }
            for one in found
        ],
    )


def _lead_table(dataset: str, found: Sequence[Lead], record: Record, options: Options) -> Table:
    return Table(
        label=table_label(f"{STUDY}-leads-{dataset}"),
        caption=(
            f"{text.metric(options.metric).capitalize()} on {dataset}, the lead over {record.reference} within each "
            "variant, and how that lead differs from the first variant's: 95 % intervals by Welch's test, the shift's "
            "p after Holm's correction over the table."
        ),
        columns=[
            Column("variant", numeric=False),
            Column("arm", numeric=False),
            Column("accuracy", "%"),
            Column("lead", "points"),
            Column("shift", "points"),
        ],
        body=[
            [
                Cell((one.variant,)),
                Cell((one.arm,)),
                accuracy_cell(one.scores),
                difference_cell(one.lead, None, one.arm == record.reference),
                difference_cell(one.shift, one.p),
            ]
            for one in found
        ],
        aside=[],
        notes=detectable_lines([one.groups for one in found], [1, -1, -1, 1], options.paired),
        records=[
            {
                "dataset": dataset,
                "variant": one.variant,
                "arm": one.arm,
                "n": len(one.scores),
                "values": " ".join(map(repr, one.scores.values())),
                **difference_record("lead", one.lead, None),
                **difference_record("shift", one.shift, one.p),
            }
            for one in found
        ],
    )


def _tau_lines(one: Agreement) -> tuple[str, ...]:
    if one.interval is None:
        return (text.number(one.tau, 2),)
    return text.number(one.tau, 2), f"[{text.number(one.interval[0], 2)}, {text.number(one.interval[1], 2)}]"


def _agreement_sentence(one: Agreement, dataset: str, options: Options) -> str:
    within = ""
    if one.interval:
        within = f" (95 % bootstrap interval {text.number(one.interval[0], 2)} to {text.number(one.interval[1], 2)})"
    return (
        f"The ranking of {one.arms} arms by {text.metric(options.metric)} on {dataset} with {one.variant} agrees with "
        f"the first variant's by tau = {text.number(one.tau, 2)}{within}."
    )


def _lead_sentence(one: Lead, dataset: str, record: Record) -> str:
    assert one.shift is not None
    lead = f"{one.arm}'s lead over {record.reference}"
    return f"With {one.variant} on {dataset} {lead} shifts by {in_words(one.shift, one.p)}."
