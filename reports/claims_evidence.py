"""Finds in the reports of studies what claims are about."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import mean

import pandas as pd

from bench.errors import UserError
from bench.reports import text
from bench.reports.against import Scores
from bench.reports.analysis import measures_of
from bench.reports.claims import UNTESTED, Claim, Judged, Number, combined, judge, judge_exact
from bench.reports.declared import DECLARED, read
from bench.reports.load import load
from bench.reports.records import from_csv
from bench.reports.rows import recipe_of
from bench.reports.statistics import ALPHA
from bench.reports.study import Group, Record, contrast, groups_of, runs_of


@dataclass(frozen=True)
class Evidence:
    """One study's report in `folder`: what it declared, and its cells by dataset."""

    folder: Path
    record: Record
    groups: Mapping[str, Sequence[Group]]


@dataclass(frozen=True)
class Part:
    """One comparison of a claim, with the numbers of runs of the arm and of its opponent, where their settings come
    from, the size of the runs or the machine of a timing, and the seeds; no `recipes` and `seeds` of what is no run."""

    dataset: str
    opponent: str
    n: tuple[int, int]
    judged: Judged
    recipes: tuple[str, ...] = ()
    scale: str = ""
    seeds: tuple[int, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """`folder` is that of the study's report, `command` what it was run by; None where there is none."""

    claim: Claim
    verdict: str
    parts: Sequence[Part]
    folder: Path | None
    command: str | None = None


def find(outputs: Sequence[Path]) -> list[Evidence]:
    """The studies reported below output folders, from their run folders or, where these are gone, from results.csv.

    Raises UserError for a folder that does not exist, and where no study has been reported.
    """
    found = []
    for output in outputs:
        if not output.is_dir():
            raise UserError(f"There is no output folder {output}.")
        runs = load([output])
        for path in sorted(output.glob(f"studies/*/{DECLARED}")):
            record = read(path).study
            if record is None:
                continue
            own = runs_of(runs, record) if not runs.empty else runs
            if own.empty and (path.parent / "results.csv").is_file():
                own = from_csv(path.parent / "results.csv")
            groups = groups_of(_measured(own, path.parent, record), record) if not own.empty else {}
            found.append(Evidence(path.parent, record, groups))
    if not found:
        folders = ", ".join(map(str, outputs))
        raise UserError(f"No study has been reported in {folders}: run `python -m bench study NAME`.")
    return found


def verdict_of(claim: Claim, evidence: Sequence[Evidence]) -> Verdict:
    """The verdict on one claim; of several reports of its study the first that has runs on its datasets counts."""
    reports = [one for one in evidence if one.record.name == claim.study]
    if claim.test == "exact":
        report = next(iter(reports), None)
        machine = _machine(report.folder / claim.table) if report else ""
        parts = [
            Part("", opponent, (1, 1), _exact(claim, opponent, report), scale=machine) for opponent in claim.against
        ]
    else:
        report = next((one for one in reports if any(_on(one, dataset) for dataset in claim.datasets)), None)
        parts = [
            _compared(claim, dataset, opponent, reports) for dataset in claim.datasets for opponent in claim.against
        ]
    word, judged = combined([part.judged for part in parts], claim)
    parts = [replace(part, judged=one) for part, one in zip(parts, judged, strict=True)]
    return Verdict(claim, word, parts, *((report.folder, report.record.command) if report else (None, None)))


def _compared(claim: Claim, dataset: str, opponent: str, reports: Sequence[Evidence]) -> Part:
    groups, seeds = next(((found, _judged(one, claim)) for one in reports if (found := _on(one, dataset))), (None, []))
    if groups is None:
        return Part(dataset, opponent, (0, 0), Judged(UNTESTED, f"no run of the study {claim.study} on {dataset}"))
    variants = [dict(claim.at), dict(claim.starting_from)] if claim.starting_from else [dict(claim.at)]
    sides = [[_values(groups, name, one, claim, seeds) for one in variants] for name in (claim.arm, opponent)]
    n = (min(map(len, sides[0])), min(map(len, sides[1])))
    if min(n) < claim.seeds:
        reason = f"{min(n)} of the {claim.seeds} declared seeds have a result"
        return Part(dataset, opponent, n, Judged(UNTESTED, reason))
    blind = _insensitive(claim, groups, seeds)
    if blind:
        return Part(dataset, opponent, n, Judged(UNTESTED, blind, insensitive=True))
    judged = _noiseless(claim, sides)
    if judged is None:
        weights = [1.0, -1.0, -1.0, 1.0] if claim.starting_from else [1.0, -1.0]
        judged = judge(contrast([*sides[0], *sides[1]], weights, False), min(n), claim)
    compared = [
        group
        for name in (claim.arm, opponent)
        for group in groups
        if group.arm == name and dict(group.variant) in variants and not group.runs.empty
    ]
    recipes = tuple(dict.fromkeys(recipe_of(group.runs) for group in compared))
    return Part(dataset, opponent, n, judged, recipes, _scale(compared), tuple(seeds))


def _judged(report: Evidence, claim: Claim) -> Sequence[int]:
    """The seeds that count: the first of those the report declares, as many as the claim does."""
    return report.record.seeds[: claim.seeds]


def _insensitive(claim: Claim, groups: Sequence[Group], seeds: Sequence[int]) -> str:
    """Why the metric decides nothing here; '' where the means of the two arms differ as much as they must, and more
    than chance lets them."""
    if not claim.sensitive:
        return ""
    sides = [_values(groups, arm, claim.at, claim, seeds) for arm in claim.sensitive]
    if not all(sides):
        return f"no run of {' or of '.join(claim.sensitive)}, by which the measure is checked"
    better, worse = (mean(one.values()) for one in sides)
    gain = (better - worse) * (1 if claim.better == "higher" else -1)
    p = judge(contrast(sides, [1.0, -1.0], False), min(map(len, sides)), replace(claim, test="superiority")).p_for
    if gain >= claim.margin and p is not None and p < ALPHA / 2:
        return ""
    tested = "no test is possible" if p is None else f"one-sided {text.p_value(p)}"
    return (
        f"the measure does not tell {claim.sensitive[0]} from {claim.sensitive[1]} by the margin of {claim.margin:g} "
        f"({better:.3g} and {worse:.3g}; {tested}), so that it decides nothing"
    )


def _noiseless(claim: Claim, sides: Sequence[Sequence[Scores]]) -> Judged | None:
    """The verdict where a cost is the same at every seed, as memory on a GPU is: there is nothing to test then."""
    found = [set(one.values()) for side in sides for one in side]
    if claim.starting_from or not claim.metric.startswith("cost.") or any(len(values) > 1 for values in found):
        return None
    own, other = (math.exp(value) if claim.ratio else value for (value,) in found)
    return judge_exact(Number.exactly(own), Number.exactly(other), claim)


def _scale(groups: Sequence[Group]) -> str:
    """Pictures, encoder and length of the runs, in words."""
    runs = pd.concat([group.runs for group in groups])
    epochs = sorted({int(value) for value in runs["config.epochs"]})
    first = runs.iloc[0]
    width = first.get("config.backbone.width")
    encoder = f"{first['config.backbone.name']}" + (f" of width {width:g}" if pd.notna(width) else "")
    lengths = f"{epochs[0]}" if len(epochs) == 1 else f"{epochs[0]} to {epochs[-1]}"
    return f"{first['config.image_size']:g} px, {encoder}, {lengths} epochs"


def _on(report: Evidence, dataset: str) -> Sequence[Group]:
    """The study's cells on a dataset, by its name as in `run` or, of a folder, by the folder's."""
    for name, groups in report.groups.items():
        if name == dataset or groups[0].cell.key.startswith(f"{dataset}-"):
            return groups
    return ()


def _values(
    groups: Sequence[Group], arm: str, variant: Mapping[str, str], claim: Claim, seeds: Sequence[int]
) -> Scores:
    """The metric at `seeds` and no others: more runs than declared do not count."""
    group = next((one for one in groups if one.arm == arm and dict(one.variant) == dict(variant)), None)
    known = group.scores(claim.metric) if group else {}
    if group and claim.minus:
        less = group.scores(claim.minus)
        known = {seed: value - less[seed] for seed, value in known.items() if seed in less}
    declared = {seed: value for seed, value in known.items() if seed in seeds}
    return {seed: math.log(value) for seed, value in declared.items()} if claim.ratio else declared


def _exact(claim: Claim, opponent: str, report: Evidence | None) -> Judged:
    path = report.folder / claim.table if report else None
    if path is None or not path.is_file():
        return Judged(UNTESTED, f"the study {claim.study} has no {claim.table} yet")
    if path.suffix == ".csv":
        table, chosen = pd.read_csv(path), dict(claim.rows)
    else:
        table, gpu = costs(path)
        chosen = {**claim.rows, **(claim.on_gpu if gpu else {})}
    for column in (*chosen, claim.metric):
        if column not in table:
            return Judged(UNTESTED, f"{claim.table} has no column {column}")
    for column, value in chosen.items():
        table = table[table[column] == value]
    table = table[table[claim.metric].notna()]
    sides = [table[table[claim.key] == name] for name in (claim.arm, opponent)]
    if any(len(one) != 1 for one in sides):
        return Judged(UNTESTED, f"{claim.table} has no such row for {claim.arm} and {opponent}")
    own, other = (_number(side.iloc[0], claim.metric) for side in sides)
    return judge_exact(own, other, claim)


def _number(row: pd.Series, metric: str) -> Number:
    """A metric with its quartiles, where the row has them."""
    quartiles = [f"{metric}_low", f"{metric}_high"]
    if not set(quartiles) <= set(row.index):
        return Number.exactly(float(row[metric]))
    low, high = (float(row[name]) for name in quartiles)
    return Number(float(row[metric]), low, high)


def costs(path: Path) -> tuple[pd.DataFrame, bool]:
    """The rows of a cost.json, with `ms` and its quartiles: of the clock on a GPU, else of the processor. Whether it
    was a GPU."""
    kept = json.loads(path.read_text())
    gpu = kept["environment"]["device"] == "cuda"
    clock = "wall_ms" if gpu else "cpu_ms"
    return pd.DataFrame(kept["rows"]).rename(columns=lambda name: name.replace(clock, "ms")), gpu


def _machine(path: Path) -> str:
    """What the times of a cost.json were taken on; '' of another table."""
    if path.suffix == ".csv" or not path.is_file():
        return ""
    return f"on {json.loads(path.read_text())['environment']['hardware']}"


def _measured(runs: pd.DataFrame, folder: Path, record: Record) -> pd.DataFrame:
    """`runs` with the numbers of the study's analyses as `analysis.<name>.<column>`, or `.<map>.<column>`."""
    found: dict[str, list[pd.DataFrame]] = {}
    for place in record.analyses:
        frames = measures_of(folder / "analysis" / place)
        if frames:  # variants have runs of their own
            found.setdefault(place.partition("/")[0], []).append(pd.concat(frames, axis=1))
    for name, parts in found.items():
        values = pd.concat(parts).add_prefix(f"analysis.{name}.")
        runs = runs.merge(values, left_on="id", right_index=True, how="left")
    return runs
