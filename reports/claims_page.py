"""The verdicts as a page: a table, a sentence for each comparison, and what the reader must know of SMI."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from bench.errors import UserError
from bench.files import write_text
from bench.reports import analysis, text
from bench.reports.claims import (
    CONTRADICTED,
    NEGLIGIBLE,
    SUPPORTED,
    UNDECIDED,
    UNTESTED,
    Claim,
    Needed,
    confidence,
    interval,
)
from bench.reports.claims_evidence import Evidence, Part, Verdict
from bench.reports.figure_claims import draw
from bench.reports.power import MOST_SEEDS
from bench.reports.results import table_label
from bench.reports.statistics import ALPHA, Difference
from bench.reports.style import Drawing
from bench.reports.tables import Cell, Column, Table
from bench.reports.verify_records import records_drifts
from bench.reports.verify_text import html_lines, markdown_lines, text_drifts

ORDER = (SUPPORTED, NEGLIGIBLE, CONTRADICTED, UNDECIDED, UNTESTED)
STEM = "claims"


def table(verdicts: Sequence[Verdict]) -> Table:
    """A row per claim; the records have every comparison at full precision."""
    return Table(
        label=table_label(STEM),
        caption=(
            "Verdicts on the declared claims; what of one was declared or changed after a look at runs is said with "
            "it. Supported: every comparison of the claim is. Contradicted, or too small to matter: one of them is, "
            "after Holm's correction over them, where the contrary is shown, or that a gain is below the declared "
            "margin. Superiority at 2.5 % on each side, non-inferiority and equivalence at 5 % on one: intervals are "
            "of 95 and of 90 % by that, and over seeds: with the choice of test pictures they may be wider. Nothing "
            "is corrected over the claims."
        ),
        columns=[
            Column("claim", numeric=False),
            Column("verdict", numeric=False),
            Column("test", numeric=False),
            Column("study", numeric=False),
        ],
        body=[
            [
                Cell((one.claim.name,)),
                Cell((one.verdict,), bold=one.verdict not in (UNDECIDED, UNTESTED)),
                Cell((one.claim.test, _margin(one.claim))),
                Cell((one.claim.study,)),
            ]
            for one in verdicts
        ],
        aside=[],
        notes=[],
        records=[_record(one, part) for one in verdicts for part in one.parts],
    )


def sentences(one: Verdict) -> list[str]:
    """The claim's words and hypothesis, what every comparison says, and what tests it elsewhere."""
    claim = one.claim
    lines = [f"“{claim.words}” ({claim.source}).", f"Tested: {claim.hypothesis}"]
    lines += [f"Changed: {claim.changed}"] if claim.changed else []
    lines += [_sentence(claim, part) for part in one.parts]
    if one.command:
        lines.append(f"From: {one.command}")
    if one.verdict == UNTESTED and not claim.only_there and not any(part.judged.insensitive for part in one.parts):
        lines.append(f"To test it on a CPU: python -m bench study {claim.study}")
    if one.verdict in (UNTESTED, UNDECIDED) or claim.table.endswith("cost.json"):  # a GPU's times are others
        lines.append(f"To test it on a GPU: {claim.elsewhere}")
    return lines


def reconstruction(evidence: Sequence[Evidence]) -> str:
    """What stands above all verdicts."""
    groups = (group for one in evidence for groups in one.groups.values() for group in groups)
    arms = sorted({group.arm for group in groups if not group.runs.empty})
    forms = [arm for arm in arms if arm.partition(":")[0] == "smi"]
    return (
        "SMI here is a reconstruction: the paper's equation is not public, and its authors' code neither. What is "
        "judged is the arm that a claim names, `smi` in its default form, not the paper's own runs: a claim that fails "
        "here may still hold of the original, or of another form. Forms and ablations in the studies' reports: "
        f"{text.listed(forms) if forms else 'none yet'}."
    )


def markdown(verdicts: Sequence[Verdict], evidence: Sequence[Evidence], figure: Drawing | None = None) -> str:
    """The whole page; `figure` lies beside it in figures/."""
    parts = ["# Claims", text.markdown(reconstruction(evidence)), table(verdicts).markdown().strip()]
    parts += [analysis.figure(figure)] if figure else []
    for one in verdicts:
        lines = "\n".join(f"- {text.markdown(line)}" for line in sentences(one))
        parts.append(f"## {text.markdown(one.claim.name)}: {one.verdict}\n\n{lines}")
    return "\n\n".join(parts) + "\n"


def to_html(verdicts: Sequence[Verdict], evidence: Sequence[Evidence], figure: Drawing | None = None) -> str:
    """The same as one file that needs no network."""
    sections = []
    for one in verdicts:
        lines = "".join(f"<li>{html.escape(line)}</li>" for line in sentences(one))
        sections.append(f"<h2>{html.escape(one.claim.name)}: {one.verdict}</h2>\n<ul>{lines}</ul>")
    style = (
        "body{font:16px/1.5 sans-serif;max-width:60em;margin:2em auto;padding:0 1em}"
        "td,th{padding:.2em .8em;text-align:left}"
    )
    return "\n".join(
        [
            '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>Claims</title>',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<style>{style}</style>\n</head>\n<body>\n<h1>Claims</h1>",
            f"<p>{html.escape(reconstruction(evidence))}</p>",
            table(verdicts).to_html(),
            *([_figure(figure)] if figure else []),
            *sections,
            "</body>\n</html>",
        ]
    )


def write(verdicts: Sequence[Verdict], evidence: Sequence[Evidence], destination: Path) -> list[Path]:
    """claims.md, claims.html and claims.csv under `destination`, and where accuracies were compared their figure."""
    figure = draw(verdicts)
    files = {
        f"{STEM}.md": markdown(verdicts, evidence, figure),
        f"{STEM}.html": to_html(verdicts, evidence, figure),
        f"{STEM}.csv": table(verdicts).csv(),
    }
    for name, body in files.items():
        write_text(destination / name, body)
    if figure:
        analysis.write_figure(figure, destination)
    return [destination / name for name in files]


def drifts(folder: Path, verdicts: Sequence[Verdict], evidence: Sequence[Evidence]) -> list[str]:
    """A line for each number or sentence of claims.csv and the pages that does not follow from the studies."""
    found = [f"{STEM}.csv: {line}" for line in records_drifts(folder / f"{STEM}.csv", table(verdicts), True)]
    pages = {
        f"{STEM}.md": (markdown(verdicts, evidence), markdown_lines),
        f"{STEM}.html": (to_html(verdicts, evidence), lambda page: html_lines(page, files=True)),
    }
    for name, (expected, lines) in pages.items():
        if (folder / name).is_file():
            page = (folder / name).read_text(encoding="utf-8")
            found += [f"{name}: {line}" for line in text_drifts(lines(expected), lines(page))]
    return found


def datasets_of(folder: Path, declared: Sequence[Claim]) -> list[str]:
    """The datasets that claims.csv judges all claims on instead of those they declare; none where it does not."""
    free = {claim.name: set(claim.datasets) for claim in declared if claim.datasets and not claim.only_there}
    path = folder / f"{STEM}.csv"
    try:
        known = pd.read_csv(path, dtype={"dataset": str})[["claim", "dataset"]]
    except (ValueError, KeyError) as error:
        raise UserError(f"{path} is no table of verdicts ({error}).") from error
    found = {name: set(rows["dataset"]) for name, rows in known.groupby("claim") if name in free}
    judged = list(dict.fromkeys(known.loc[known["claim"].isin(free), "dataset"]))
    return judged if found != free and all(one == set(judged) for one in found.values()) else []


def _figure(figure: Drawing) -> str:
    words = f"{html.escape(figure.title)}; the numbers are below"
    image = f'<img src="{figure.address}" alt="{words}" width="{figure.width}" style="max-width:100%">'
    return f"<figure>{image}<figcaption>{html.escape(figure.caption)}</figcaption></figure>"


def _margin(claim: Claim) -> str:
    if not claim.margin:
        return ""
    return f"margin {_size(claim, claim.margin)}"


def _size(claim: Claim, value: float) -> str:
    if claim.metric == "ratio":
        return f"{100 * value:g} % of a step"
    if claim.ratio:
        return f"{100 * value:g} %"
    return f"{100 * value:g} points" if claim.is_accuracy else f"{value:g}"


def _amount(claim: Claim, value: float) -> str:
    if claim.metric == "ratio":
        return f"{100 * value:+.2f} % of a step".replace("-", "−")
    if claim.ratio:
        return f"{text.points(math.expm1(value))} %"
    if claim.is_accuracy:
        return f"{text.points(value)} points"
    return f"{value:+.3g}".replace("-", "−")


def _sentence(claim: Claim, part: Part) -> str:
    where = f" on {part.dataset}" if part.dataset else ""
    head = f"{claim.arm} against {part.opponent}{where}: {part.judged.verdict}"
    found = part.judged
    if found.difference is None:
        return f"{head}; {found.reason}."
    words = [f"{_column(claim)} {_amount(claim, found.difference.difference)}{_interval(claim, found.difference)}"]
    if claim.test != "exact":
        words.append(f"n = {part.n[0]} and {part.n[1]}, seeds {text.listed([*map(str, part.seeds)])}")
        if found.p_for is not None and found.p_against is not None:
            words.append(f"one-sided {text.p_value(found.p_for)} for it, {text.p_value(found.p_against)} against it")
        if found.p_margin is not None and found.verdict == SUPPORTED:
            reached = "shown" if found.p_margin < ALPHA / 2 else "not shown"
            words.append(
                f"above 0; that it reaches {_size(claim, claim.margin)} is {reached}, {text.p_value(found.p_margin)}"
            )
    words += [part.scale] if part.scale else []
    words += [f"settings {' and '.join(part.recipes)}"] if part.recipes else []
    if len(part.recipes) > 1:
        words.append("settings of unequal standing: tune both before believing it")
    words += [found.reason] if found.reason else []
    if found.verdict == NEGLIGIBLE:
        shown = f", {text.p_value(found.p_small)}" if found.p_small is not None else ""
        words.append(f"less than the {_size(claim, claim.margin)} that were declared to matter{shown}")
    if found.verdict == UNDECIDED and not found.reason:
        words.append(_needed(found.needed))
    return f"{head}; {'; '.join(words)}."


def _needed(needed: Needed | None) -> str:
    probable = "with 80 % probability, were this difference the true one"
    if needed is None:
        return f"more than {MOST_SEEDS} seeds would decide it {probable}"
    low, high = (f"over {MOST_SEEDS}" if count is None else count for count in (needed.low, needed.high))
    correction = "" if needed.verdict == SUPPORTED else ", before Holm's correction"
    return (
        f"about {needed.estimate} seeds ({low} to {high} by the interval of its spread{correction}) would find it "
        f"{needed.verdict} {probable}"
    )


def _column(claim: Claim) -> str:
    change = " (change)" if claim.starting_from else ""
    return claim.metric.rpartition(".")[2].replace("_", " ") + change


def _interval(claim: Claim, found: Difference) -> str:
    ends = interval(found, claim)
    if ends is None:
        return ""
    low, high = (_amount(claim, end).removesuffix(" points").removesuffix(" %") for end in ends)
    return f" ({confidence(claim)} % interval {low} to {high})"


def _record(one: Verdict, part: Part) -> dict[str, object]:
    found = part.judged
    low, high = (interval(found.difference, one.claim) if found.difference else None) or (None, None)
    needed = found.needed or Needed("", None, None, None)
    return {
        "claim": one.claim.name,
        "verdict": one.verdict,
        "arm": one.claim.arm,
        "opponent": part.opponent,
        "dataset": part.dataset,
        "metric": one.claim.metric,
        "test": one.claim.test,
        "margin": one.claim.margin,
        "part": found.verdict,
        "n_arm": part.n[0],
        "n_opponent": part.n[1],
        "seeds": " ".join(map(str, part.seeds)),
        "recipes": " / ".join(part.recipes),
        "scale": part.scale,
        "difference": found.difference.difference if found.difference else None,
        "low": low,
        "high": high,
        "confidence": confidence(one.claim) if low is not None else None,
        "p_for": found.p_for,
        "p_against": found.p_against,
        "p_margin": found.p_margin,
        "p_small": found.p_small,
        "seeds_needed_low": needed.low,
        "seeds_needed": needed.estimate,
        "seeds_needed_high": needed.high,
        "seeds_needed_for": needed.verdict,
        "reason": found.reason,
    }
