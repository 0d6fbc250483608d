"""Does a ranking survive: Kendall's tau with the first variant's, and every arm's lead over the reference.

With few seeds arms rank otherwise whatever a variant does. So tau stands beside what it would be by seeds alone.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np
from scipy import stats

from bench.reports import statistics, text
from bench.reports.against import Scores
from bench.reports.results import table_label
from bench.reports.statistics import ALPHA, Difference
from bench.reports.study import STUDY, Group, Options, Record, Section, contrast
from bench.reports.study_cells import accuracy_cell, detectable_lines, difference_cell, difference_record, in_words
from bench.reports.tables import Cell, Column, Table

DRAWS = 10_000
SEED = 0


class BySeeds(NamedTuple):
    """Tau where a variant changes nothing but the level: median and 95 % of the draws, and how many of them (`p`) are
    at most the tau that was seen."""

    median: float
    low: float
    high: float
    p: float


@dataclass(frozen=True)
class Agreement:
    """Kendall's tau-b between the mean scores of `arms` in the first variant and in `variant`; None where it does not
    exist (fewer than two arms, or means all equal)."""

    variant: str
    arms: Sequence[str]
    tau: float | None
    by_seeds: BySeeds | None


@dataclass(frozen=True)
class Lead:
    """An arm's lead over the reference in a variant, and, less the first variant's (None for the first), that lead and
    its own score (`change`).

    `groups` are the scores of the four cells of which the shift is made.
    """

    variant: str
    arm: str
    scores: Scores
    lead: Difference | None
    shift: Difference | None
    change: Difference | None = None
    groups: Sequence[Scores] = ()
    p: float | None = None


def section(datasets: Mapping[str, Sequence[Group]], record: Record, options: Options) -> Section:
    """For every dataset a table of tau and one of leads; sentences on both."""
    tables, answers = {}, []
    for dataset, groups in datasets.items():
        key = groups[0].cell.key.partition("/")[0]
        declared = {
            (group.variant["variant"], group.arm): group.scores(options.column) for group in groups if group.competes
        }
        run = {variant for (variant, _), scores in declared.items() if scores}
        if not run:
            continue
        variants = list(dict.fromkeys(variant for variant, _ in declared))
        missing = [variant for variant in variants if variant not in run]
        kept = {variants[0], *run}  # without the first there is nothing to hold the others against
        table = {place: scores for place, scores in declared.items() if place[0] in kept}
        agreed, found = agreements(table), leads(table, record.reference, options.paired)
        tables[f"{STUDY}-tau-{key}"] = _agreement_table(dataset, agreed, options)
        tables[f"{STUDY}-leads-{key}"] = _lead_table(dataset, found, record, options)
        arms = len(dict.fromkeys(arm for _, arm in table))
        answers += [_agreement_sentence(one, dataset, options, arms) for one in agreed if one.tau is not None]
        answers += _lead_sentences(found, dataset, record)
        answers += [f"Not run on {dataset}: {', '.join(missing)}."] if missing else []
    return Section(tables, answers)


def agreements(table: Mapping[tuple[str, str], Scores]) -> list[Agreement]:
    """Of every variant but the first with the first, over the arms that both have scores of."""
    base, *others = dict.fromkeys(variant for variant, _ in table)
    found = []
    for variant in others:
        arms = [arm for name, arm in table if name == base and table[base, arm] and table.get((variant, arm))]
        first, second = ([table[name, arm] for arm in arms] for name in (base, variant))
        found.append(Agreement(variant, arms, tau(first, second), tau_by_seeds(first, second)))
    return found


def tau(first: Sequence[Scores], second: Sequence[Scores]) -> float | None:
    """Kendall's tau-b of the means of two lists of equally many arms; None where it does not exist."""
    if len(first) < 2:
        return None
    value = stats.kendalltau(*([np.mean(list(runs.values())) for runs in side] for side in (first, second))).statistic
    return None if np.isnan(value) else float(value)


def tau_by_seeds(first: Sequence[Scores], second: Sequence[Scores]) -> BySeeds | None:
    """What `tau` would be if each arm were as good in both, but for what is common to all arms of a side.

    Means are drawn DRAWS times as normal, with their standard error, about the arms' means over both sides, of which
    the spread is first brought down to what it would be without that error (an estimate whose own error is left out).
    None where there is no tau or no spread.
    """
    seen = tau(first, second)
    squares, degrees = np.sum([_noise(side) for side in (first, second)], axis=0)
    if seen is None or not degrees or not squares:
        return None
    means = np.array([[np.mean(list(runs.values())) for runs in side] for side in (first, second)])
    errors = squares / degrees / np.array([[len(runs) for runs in side] for side in (first, second)])
    arms = (means - means.mean(axis=1, keepdims=True)).mean(axis=0)
    spread = arms.var(ddof=1)
    kept = max(0.0, 1 - errors.mean() / 2 / spread) if spread else 0.0
    drawn = np.sqrt(kept) * arms + np.random.default_rng(SEED).normal(size=(DRAWS, *means.shape)) * np.sqrt(errors)
    i, j = np.triu_indices(len(arms), 1)
    draws = np.sign(drawn[..., i] - drawn[..., j]).prod(axis=1).mean(axis=1)
    low, median, high = np.percentile(draws, [2.5, 50, 97.5])
    p = (1 + (draws <= seen + 1e-9).sum()) / (DRAWS + 1)
    return BySeeds(float(median), float(low), float(high), float(p))


def _noise(side: Sequence[Scores]) -> tuple[float, int]:
    """Sum of squares and degrees of freedom of what moves one arm's runs against the others'.

    Where all arms have the same seeds what a seed does to all of them is taken out: it changes no rank.
    """
    if len({tuple(sorted(runs)) for runs in side}) == 1:
        scores = np.array([[runs[seed] for seed in sorted(runs)] for runs in side])
        rest = scores - scores.mean(axis=1, keepdims=True) - scores.mean(axis=0) + scores.mean()
        return float((rest**2).sum()), (scores.shape[0] - 1) * (scores.shape[1] - 1)
    return sum(float(np.var(list(runs.values()))) * len(runs) for runs in side), sum(len(runs) - 1 for runs in side)


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
        change = contrast([scores, before[0]], [1, -1], paired) if variant != base else None
        found.append(Lead(variant, arm, scores, lead, shift, change, groups))
    adjusted = statistics.holm([one.shift.p if one.shift else None for one in found])
    return [replace(one, p=p) for one, p in zip(found, adjusted, strict=True)]


def _agreement_table(dataset: str, found: Sequence[Agreement], options: Options) -> Table:
    """No line on what it could detect: tau's own value by seeds alone says what it can."""
    return Table(
        label=table_label(f"{STUDY}-tau-{dataset}"),
        caption=(
            f"Does the ranking by mean {text.metric(options.metric)} on {dataset} survive? Kendall's tau-b with the "
            "first variant's ranking (1: the same, 0: unrelated, −1: reversed). By seeds alone: what it would be were "
            "the variant to change all arms alike, median and 95 % of draws; p, uncorrected: the share of these that "
            "are at most tau."
        ),
        columns=[
            Column("variant", numeric=False),
            Column("arms", numeric=False),
            Column("tau"),
            Column("by seeds alone"),
            Column("p"),
        ],
        body=[
            [
                Cell((one.variant,)),
                Cell((", ".join(one.arms) or text.NOTHING,)),
                Cell((text.number(one.tau, 2),), sort=one.tau),
                Cell(_by_seeds_lines(one.by_seeds), sort=one.by_seeds.median if one.by_seeds else None),
                Cell((text.p_value(one.by_seeds.p) if one.by_seeds else text.NOTHING,)),
            ]
            for one in found
        ],
        aside=[],
        notes=[
            "Arms that differ by little beside their spread over seeds rank otherwise with other seeds, whatever the "
            f"variant does: hold tau against its value by seeds alone ({DRAWS:,} normal draws about the arms' means "
            "over both variants, drawn together by what seeds add to their spread; what a seed does to all arms that "
            "have it is left out)."
        ],
        records=[
            {
                "dataset": dataset,
                "variant": one.variant,
                "arms": len(one.arms),
                "tau": one.tau,
                **(one.by_seeds._asdict() if one.by_seeds else {}),
            }
            for one in found
        ],
    )


def _lead_table(dataset: str, found: Sequence[Lead], record: Record, options: Options) -> Table:
    return Table(
        label=table_label(f"{STUDY}-leads-{dataset}"),
        caption=(
            f"{text.metric(options.metric).capitalize()} on {dataset}, the lead over {record.reference} within each "
            "variant, and how the accuracy (change) and that lead (shift) differ from the first variant's: 95 % "
            f"intervals by Welch's test, the shift's p after Holm's correction over the {_tested(found)} shifts here."
        ),
        columns=[
            Column("variant", numeric=False),
            Column("arm", numeric=False),
            Column("n"),
            Column("accuracy", "%"),
            Column("change", "points"),
            Column("lead", "points"),
            Column("shift", "points"),
        ],
        body=[
            [
                Cell((one.variant,)),
                Cell((one.arm,)),
                Cell((str(len(one.scores)),), sort=len(one.scores)),
                accuracy_cell(one.scores),
                difference_cell(one.change, None),
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
                **difference_record("change", one.change, None),
                **difference_record("lead", one.lead, None),
                **difference_record("shift", one.shift, one.p),
            }
            for one in found
        ],
    )


def _by_seeds_lines(found: BySeeds | None) -> tuple[str, ...]:
    if found is None:
        return (text.NOTHING,)
    return text.number(found.median, 2), f"[{text.number(found.low, 2)}, {text.number(found.high, 2)}]"


def _agreement_sentence(one: Agreement, dataset: str, options: Options, arms: int) -> str:
    named = f" ({', '.join(one.arms)})" if len(one.arms) < arms else ""
    alone = ""
    if one.by_seeds:
        low, median, high = (text.number(end, 2) for end in (one.by_seeds.low, one.by_seeds.median, one.by_seeds.high))
        alone = f"; by seeds alone it would be {median} (95 %: {low} to {high})"
    return (
        f"The ranking of {len(one.arms)} arms{named} by {text.metric(options.metric)} on {dataset} with {one.variant} "
        f"agrees with the first variant's by tau = {text.number(one.tau, 2)}{alone}."
    )


def _tested(found: Sequence[Lead]) -> int:
    return sum(one.p is not None for one in found)


def _lead_sentences(found: Sequence[Lead], dataset: str, record: Record) -> list[str]:
    shown = [one for one in found if one.p is not None and one.p < ALPHA]
    if not shown and _tested(found):
        return [
            f"No lead over {record.reference} is shown to shift on {dataset} ({_tested(found)} shifts, Holm's "
            "correction over them)."
        ]
    return [
        f"With {one.variant} on {dataset} {one.arm}'s lead over {record.reference} shifts by "
        f"{in_words(one.shift, one.p)}."
        for one in shown
        if one.shift
    ]
