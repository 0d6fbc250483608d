"""How much of each difference to the reference hangs on the choice of test pictures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from bench.reports.pictures import Correct, load_correct, mcnemar, two_sources
from bench.reports.rows import Row


def over_pictures(rows: Sequence[Row], reference: Row | None, paired: bool) -> list[Row]:
    """`rows` with the error of their difference to the reference from seeds and pictures; McNemar's p where both have
    one run.

    Only between rows whose every score is borne out by stored predictions of equally many test pictures.
    """
    correct = {row.key: _correct(row) for row in rows}
    if reference is None or not correct[reference.key]:
        return list(rows)
    pictures = {key: {len(run) for run in runs} for key, runs in correct.items()}
    found = []
    for row in rows:
        if row.against and pictures[row.key] == pictures[reference.key] and len(pictures[row.key]) == 1:
            own, other = correct[row.key], correct[reference.key]
            p = mcnemar(own[0], other[0]) if len(own) == len(other) == 1 else None
            if paired:
                own = [own[position] for position in _shared(row, reference)]
                other = [other[position] for position in _shared(reference, row)]
            both = two_sources(row.against.difference, own, other, paired)
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
