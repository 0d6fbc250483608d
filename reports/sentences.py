"""A comparison in sentences: the words are chosen by the numbers, and what they cannot say is said too."""

from __future__ import annotations

from bench.reports import text
from bench.reports.comparison import Comparison
from bench.reports.rows import Row
from bench.reports.statistics import ALPHA


def answer(comparison: Comparison) -> list[str]:
    """What the runs say about the deciding accuracy on this dataset, one sentence per competing method, best first."""
    reference = comparison.reference
    if reference is None:
        return [f"On {comparison.title} there is no run of the reference, so that nothing is compared."]
    if reference.score is None:
        return [f"On {comparison.title} no run of the reference {reference.label} has a score: nothing is compared."]
    sentences = []
    for row in comparison.competing:
        if row.key == reference.key:
            continue
        if row.score is None:
            sentences.append(f"{row.label} has no completed run on {comparison.title} ({', '.join(losses(row))}).")
        else:
            sentences.append(_sentence(row, reference, comparison))
    return sentences or [f"On {comparison.title} only {reference.label} was run: there is nothing to compare it with."]


def unseen(comparison: Comparison) -> list[str]:
    """A sentence on the differences that these runs would likely have missed; none where nothing was tested."""
    tested = any(row.difference and row.difference.interval for row in comparison.competing)
    if not tested or not comparison.detectable:
        return []
    decimals, unit = decimals_of(comparison), " pairs" if comparison.paired else ""
    sizes = [f"{text.percent(size, decimals)} points at n = {n}{unit}" for n, size in comparison.detectable.items()]
    return [
        f"On {comparison.title} a true difference in {text.metric(comparison.metric)} under {' or under '.join(sizes)} "
        "is found with less than 80 % probability (estimated from the spread seen, before Holm's correction): where "
        "none was found, there may be one."
    ]


def losses(row: Row) -> list[str]:
    """`2 of 5 diverged`, one entry for each kind of loss that happened."""
    counts = {status: row.count(status) for status in ("diverged", "failed", "unfinished", "unreadable")}
    counts["collapsed"] = row.collapsed
    return [f"{count} of {len(row.runs)} {kind}" for kind, count in counts.items() if count]


def decimals_of(comparison: Comparison) -> int:
    """One decimal of a percentage, two where a standard deviation would otherwise be printed as 0.0."""
    summaries = [summary for row in comparison.rows for summary in (row.score, row.linear, row.knn) if summary]
    return 2 if any(summary.sd and 100 * summary.sd < 0.05 for summary in summaries) else 1


def _sentence(row: Row, reference: Row, comparison: Comparison) -> str:
    assert row.score is not None
    assert reference.score is not None
    assert row.against is not None
    difference, p = row.against.difference, row.against.p
    where, what = comparison.title, text.metric(comparison.metric)
    n, fewest = _counts(row, reference)
    decimals = decimals_of(comparison)
    gap = text.points(difference.difference, decimals)
    if difference.interval is None or p is None:
        few = "one run says nothing about the spread" if fewest else "no seed in common"
        why = few if fewest < 2 else "the seeds show no spread"
        return (
            f"{row.label} against {reference.label} on {where}: {gap} points in {what}, "
            f"but no test is possible with {n} ({why})."
        )
    low, high = (text.percent(bound, decimals) for bound in difference.interval)
    evidence = f"{n}, Holm-corrected {text.p_value(p)}"
    if p < ALPHA:
        direction = "above" if difference.difference > 0 else "below"
        size = text.percent(abs(difference.difference), decimals)
        return (
            f"{row.label} is {size} points {direction} {reference.label} in {what} on {where} "
            f"(95 % interval {low} to {high}, {evidence}){_matching(row, decimals)}."
        )
    uncorrected = ""
    if difference.p is not None and difference.p < ALPHA:
        uncorrected = "; the interval leaves out 0, but not after Holm's correction for several comparisons"
    return (
        f"{row.label} cannot be told apart from {reference.label} in {what} on {where} with {n} "
        f"({gap} points, 95 % interval {low} to {high}, Holm-corrected {text.p_value(p)}{uncorrected})"
        f"{_matching(row, decimals)}."
    )


def _counts(row: Row, reference: Row) -> tuple[str, int]:
    """The numbers of runs in words, and the smaller one."""
    assert row.against is not None
    if row.against.pairs is not None:
        return f"n = {row.against.pairs} pairs", row.against.pairs
    ns = (len(row.scores), len(reference.scores))
    return f"n = {ns[0]}" if ns[0] == ns[1] else f"n = {ns[0]} against {ns[1]}", min(ns)


def _matching(row: Row, decimals: int) -> str:
    """What the declared margin lets one claim, behind the sentence; nothing where it lets one claim nothing."""
    found = row.against.equivalence if row.against else None
    if found is None or not (found.equivalent or found.not_inferior):
        return ""
    margin = text.percent(found.margin, decimals)
    if found.equivalent:
        p = text.p_value(found.p_equivalent)
        return f"; equivalent within the declared margin of {margin} points ({p}, uncorrected)"
    p = text.p_value(found.p_not_inferior)
    return f"; not inferior by the declared margin of {margin} points ({p}, uncorrected)"
