"""The lines under a table of one dataset: what its numbers can and cannot say."""

from __future__ import annotations

from collections.abc import Sequence

from bench.reports import text
from bench.reports.comparison import Comparison
from bench.reports.power import MOST_SEEDS, PAIRED, detectable_note, points
from bench.reports.rows import DEFAULT_RECIPE, Row
from bench.reports.statistics import ALPHA

MARK = "†"
"""Stands behind a method whose hyperparameters were tuned on validation data."""
MOST_NAMED = 6
"""Rows that one note names; the CSV has them all."""
BOTH_SOURCES = "Standard errors of the difference in points from seeds and from test images"
MCNEMAR = "One run each: McNemar's test"
"""How the words begin that rest on the predictions in run folders."""


def notes(comparison: Comparison, decimals: int) -> list[str]:
    """What the intervals cover, detectable differences, checks of the tests, recipes, and the choice of reference."""
    others = [row for row in comparison.competing if row.against]
    return [
        _coverage(others, decimals),
        _detectable(comparison, decimals),
        *_seeds_needed(others, comparison.paired),
        *_permutation(others, comparison.paired),
        *_pairing(others, comparison.paired),
        *_margin(others, comparison.margin, decimals),
        *_mcnemar(others),
        *_recipes(comparison.competing),
        *_reference(comparison),
    ]


def recipes(rows: Sequence[Row]) -> dict[str, list[str]]:
    """Labels of the rows by their recipe."""
    found: dict[str, list[str]] = {}
    for row in rows:
        found.setdefault(row.recipe, []).append(row.label)
    return found


def _coverage(rows: Sequence[Row], decimals: int) -> str:
    found = [(row.label, row.against.pictures) for row in rows if row.against and row.against.pictures]
    collapsed = "Collapsed runs are in the means."
    if not found:
        return f"Intervals cover the choice of seed, not the choice of test images. {collapsed}"
    parts = [
        f"{label} {text.percent(both.seeds_error, 2)} and {text.percent(both.pictures_error, 2)}, "
        f"together {text.interval(both.interval, decimals)}"
        for label, both in found
        if both
    ]
    return (
        f"Intervals cover the choice of seed, not the choice of test images. {collapsed} {BOTH_SOURCES}, and the 95 % "
        f"interval over both (crossed effects): {_some(parts)}."
    )


def _detectable(comparison: Comparison, decimals: int) -> str:
    groups = PAIRED if comparison.paired else 2
    spread = "the paired differences of competing rows to the reference" if comparison.paired else "the competing rows"
    return detectable_note(points(comparison.detectable, decimals), spread, "Holm's correction", groups)


def _seeds_needed(rows: Sequence[Row], paired: bool) -> list[str]:
    """For the rows that could not be told from the reference."""
    parts = []
    for row in rows:
        needed = row.against.seeds_needed if row.against else None
        if needed and (row.p is None or row.p >= ALPHA):
            low, estimate, high = map(_seeds, (needed.low, needed.estimate, needed.high))
            parts.append(f"{row.label} {estimate}" + (f" ({low} to {high})" if low != high else ""))
    if not parts:
        return []
    each, spread = ("shared with the reference", "differences' standard") if paired else ("per method", "standard")
    return [
        f"Estimated seeds {each} to show the difference seen to the reference with 80 % probability before Holm's "
        f"correction, were it the true one (range: 95 % interval of the {spread} deviation): {_some(parts)}."
    ]


def _seeds(count: int | None) -> str:
    return f"over {MOST_SEEDS}" if count is None else str(count)


def _permutation(rows: Sequence[Row], paired: bool) -> list[str]:
    """Whether the exact test, which assumes no normal distribution, bears the deciding one out."""
    tested = [row for row in rows if row.against and row.against.permutation_p is not None and row.p is not None]
    if not tested:
        return []
    name = "exact sign-flip test" if paired else "exact permutation test"
    parts, blind, dissent = [], [], []
    for row in tested:
        assert row.against is not None
        assert row.against.smallest_permutation_p is not None
        assert row.against.permutation_p is not None
        assert row.p is not None
        p, floor = row.against.permutation_p, row.against.smallest_permutation_p
        parts.append(f"{row.label} {text.p_value(p)} ({floor:.2g})")
        if floor >= ALPHA:
            blind.append(row)
        elif (p < ALPHA) != (row.p < ALPHA):
            dissent.append(row.label)
    lines = [
        f"Check by the {name}, Holm-corrected (in brackets the smallest p that so many runs can give): {_some(parts)}."
    ]
    if blind:
        counts = sorted({row.against.pairs or len(row.scores) for row in blind if row.against})
        which = "" if len(blind) == len(tested) else f" for {_some([row.label for row in blind])}"
        lines.append(
            f"It cannot reach significance with n = {text.listed([str(count) for count in counts])}{which}; what is "
            "called a difference here rests on the t distribution."
        )
    if dissent:
        lines.append(f"It disagrees for {_some(dissent)}.")
    elif len(blind) < len(tested):
        lines.append("It agrees for every row that it can decide.")
    return [" ".join(lines)]


def _pairing(rows: Sequence[Row], paired: bool) -> list[str]:
    if not paired:
        return []
    parts = [
        f"{row.label} {text.number(row.against.correlation, 2)} (n = {row.against.pairs})"
        for row in rows
        if row.against and row.against.pairs is not None
    ]
    return [
        "Differences are paired by seed, as declared. Observed correlation with the reference over seeds: "
        f"{_some(parts)}; at n = 5 pairing is the sharper test only above 0.31."
    ]


def _margin(rows: Sequence[Row], margin: float | None, decimals: int) -> list[str]:
    if margin is None:
        return []
    parts = []
    for row in rows:
        found = row.against.equivalence if row.against else None
        if found is None:
            continue
        if found.equivalent:
            verdict = f"equivalent, {text.p_value(found.p_equivalent)}"
        elif found.not_inferior:
            verdict = f"not inferior, {text.p_value(found.p_not_inferior)}"
        else:
            verdict = "neither equivalence nor non-inferiority shown"
        parts.append(f"{row.label} {verdict}, 90 % interval {text.interval(found.interval, decimals)}")
    shown = "; ".join(parts[:MOST_NAMED]) or "no row has a spread to test with"
    return [
        f"Against the declared margin of {text.percent(margin, decimals)} points (two one-sided t tests, without "
        f"correction for several claims): {shown}."
    ]


def _mcnemar(rows: Sequence[Row]) -> list[str]:
    found = [
        f"{row.label} {text.p_value(row.against.mcnemar_p)}"
        for row in rows
        if row.against and row.against.mcnemar_p is not None
    ]
    if not found:
        return []
    return [
        f"{MCNEMAR} says whether these encoders, not their methods, differ from the reference's on these test images: "
        f"{_some(found)}."
    ]


def _recipes(rows: Sequence[Row]) -> list[str]:
    known = recipes(rows)
    if set(known) <= {DEFAULT_RECIPE}:
        return []
    mark = f"{MARK} tuned on validation data. " if any(row.tuned for row in rows) else ""
    return [f"{mark}Recipes: {'; '.join(f'{recipe}: {_some(labels)}' for recipe, labels in sorted(known.items()))}."]


def _reference(comparison: Comparison) -> list[str]:
    reference = comparison.reference
    variants = [row for row in comparison.rows if reference and row.method == reference.method]
    if reference is None or len(variants) < 2:
        return []
    return [
        f"{reference.method} has {len(variants)} configurations; the reference is {reference.digest}, "
        "declared or else the one with most completed runs."
    ]


def _some(parts: Sequence[str]) -> str:
    if len(parts) <= MOST_NAMED:
        return "; ".join(parts) if any("," in part for part in parts) else text.listed(parts)
    return f"{'; '.join(parts[:MOST_NAMED])} and {len(parts) - MOST_NAMED} more (CSV)"
