"""Accuracies of finished encoders beyond their own result: with few labels, and on other datasets."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

import pandas as pd

from bench.errors import UserError
from bench.reports.analysis import read_csv

ANALYSES = ("semi", "transfer")
"""Of `python -m bench analyse`: each leaves a row per run in <output>/analysis/<name>/measures.csv, or, of a study with
variants, in a folder of each below that."""


def with_elsewhere(runs: pd.DataFrame, outputs: Sequence[Path], names: Collection[str]) -> pd.DataFrame:
    """`runs` with `scores.<name>` (fractions, NaN where not measured) for each of `names` that an analysis measured.

    A name is a column of measures.csv, such as `linear_1` or `digits.knn`; scores that runs have themselves stay.
    Where several output folders hold a run's number the first one counts. Raises UserError for a file that cannot be
    read or has something else than fractions.
    """
    found: dict[str, pd.Series[float]] = {}
    places = [output / "analysis" / name for output in outputs for name in ANALYSES]
    for path in (path for place in places for path in sorted(place.rglob("measures.csv"))):
        values = read_csv(path)
        for name in values.columns.intersection([name for name in names if f"scores.{name}" not in runs]):
            scores = values.drop_duplicates("id").set_index("id")[name].dropna()
            if not pd.api.types.is_numeric_dtype(scores) or not scores.between(0, 1).all():
                raise UserError(f"{path} has something else than fractions under '{name}'; run the analysis again.")
            found[name] = found[name].combine_first(scores) if name in found else scores
    completed = runs["status"] == "completed"
    return runs.assign(**{f"scores.{name}": runs["id"].map(scores).where(completed) for name, scores in found.items()})
