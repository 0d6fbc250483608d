"""How much of each difference to the reference hangs on the choice of test pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.reports.pictures import Correct, load_correct, mcnemar, resampled_pictures, two_sources
from bench.reports.rows import Row


def over_pictures(rows: Sequence[Row], reference: Row | None, paired: bool) -> list[Row]:
    """`rows` with the two-level bootstrap of their difference to the reference; McNemar's p where both have one run.

    Only between rows whose every score is borne out by stored predictions of equally many test pictures.
    """
    correct = {row.key: _correct(row) for row in rows}
    if reference is None or not correct[reference.key]:
        return list(rows)
    base = reference.key
    pictures = len(correct[base][0])
    usable = [row for row in rows if correct[row.key] and {len(run) for run in correct[row.key]} == {pictures}]
    if len(usable) < 2 or base not in {row.key for row in usable}:
        return list(rows)
    drawn = resampled_pictures([run for row in usable for run in correct[row.key]])
    resampled, first = {}, 0
    for row in usable:
        resampled[row.key] = drawn[:, first : first + len(correct[row.key])]
        first += len(correct[row.key])
    found = []
    for row in rows:
        if row.against and row.key in resampled:
            own, other = resampled[row.key], resampled[base]
            if paired:
                own, other = own[:, _shared(row, reference)], other[:, _shared(reference, row)]
            both = two_sources(row.against.difference, own, other, paired)
            single = len(correct[row.key]) == len(correct[base]) == 1
            p = mcnemar(correct[row.key][0], correct[base][0]) if single else None
            row = replace(row, against=replace(row.against, pictures=both, mcnemar_p=p))
        found.append(row)
    return found


def _shared(row: Row, other: Row) -> list[int]:
    """Which of the row's runs, in the order of their seeds, are at seeds that the other row has, too."""
    return [position for position, seed in enumerate(row.scores) if seed in other.scores]


def _correct(row: Row) -> list[Correct]:
    """For each run with a score which pictures it got right; empty unless all have it and it agrees with the score."""
    completed = row.completed
    folders = dict(zip(completed["seed"], completed["folder"], strict=True))
    found = []
    for seed, score in row.scores.items():
        correct = load_correct(Path(folders[seed]), row.metric)
        if correct is None or len(correct) == 0 or abs(correct.mean() - score) > 1e-6:
            return []
        found.append(correct)
    return found
