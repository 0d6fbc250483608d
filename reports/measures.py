"""What a table can show of a row, by the name it is asked for: accuracies, cost, geometry, effect sizes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from bench.errors import UserError, suggest
from bench.reports.against import Against
from bench.reports.rows import Row
from bench.reports.text import probe_and_place


@dataclass(frozen=True)
class Measure:
    """A column of numbers: `column` of the run table, put together over a row's completed runs by `over_runs`.

    `scale` takes the stored unit to the printed one; an accuracy is shown with its spread, anything else as one
    number with `decimals`. With `against` the number is one of the row's comparison with the reference instead.
    """

    heading: str
    unit: str
    column: str
    over_runs: Callable[[Sequence[float]], float] = np.median
    decimals: int = 1
    scale: float = 1.0
    accuracy: bool = False
    against: Callable[[Against], float | None] | None = None

    def value(self, row: Row) -> float | None:
        """In the printed unit; None where no completed run has it."""
        if self.against:
            return self.against(row.against) if row.against else None
        values = row.values(self.column)
        return self.scale * float(self.over_runs(values)) if values else None


MEASURES = {
    "linear": Measure("linear", "%", "scores.linear", accuracy=True),
    "knn": Measure("kNN", "%", "scores.knn", accuracy=True),
    "effective_rank": Measure("effective", "rank", "geometry.effective_rank", np.mean),
    "embedding_rank": Measure("embedding", "rank", "geometry.effective_rank_embedding", np.mean),
    "alignment": Measure("alignment", "", "geometry.alignment", np.mean, 3),
    "uniformity": Measure("uniformity", "", "geometry.uniformity", np.mean, 3),
    "images_per_second": Measure("images", "/ s", "cost.images_per_second", decimals=0),
    "memory": Measure("memory", "MiB", "cost.peak_memory_mib", np.max, 0),
    "device_hours": Measure("device", "hours", "cost.device_hours", decimals=2),
    "minutes_to_knn": Measure("minutes", "to kNN", "cost.minutes_to_knn"),
    "parameters": Measure("parameters", "millions", "cost.parameters_trained", decimals=2, scale=1e-6),
    "hedges_g": Measure("Hedges'", "g", "", decimals=2, against=lambda found: found.hedges_g),
    "improvement": Measure("P(better)", "", "", decimals=2, against=lambda found: found.improvement),
    "permutation_p_holm": Measure("exact", "p", "", decimals=5, against=lambda found: found.permutation_p),
    "smallest_permutation_p_holm": Measure(
        "smallest", "exact p", "", decimals=5, against=lambda found: found.smallest_permutation_p
    ),
    "best_epoch_knn": Measure("best epoch kNN", "%, teaching aid", "curve.best_epoch_knn", np.mean, scale=100),
}
DEFAULT = ("effective_rank", "images_per_second", "memory")
"""Shown beside the accuracies unless columns are chosen."""


def measures(columns: Sequence[str] | None, runs: pd.DataFrame) -> dict[str, Measure]:
    """The measures named by `columns`, or by default every accuracy on test images, rank, rate and memory.

    A score without an entry in MEASURES is an accuracy under its own name. Raises UserError for an unknown name.
    """
    scores = dict.fromkeys(_scores(runs.columns))
    if columns is None:
        columns = [*(name for name in scores if not name.endswith("_validation")), *DEFAULT]
    known = {name: Measure("".join(probe_and_place(name)), "%", f"scores.{name}", accuracy=True) for name in scores}
    known |= MEASURES
    for name in columns:
        if name not in known:
            raise UserError(f"There is no column '{name}'.{suggest(name, known)}")
    return {name: known[name] for name in dict.fromkeys(columns)}


def _scores(columns: Iterable[object]) -> list[str]:
    """Names of the scores that runs have, linear and kNN first, the others by name."""
    found = [str(column).removeprefix("scores.") for column in columns if str(column).startswith("scores.")]
    return sorted(found, key=lambda name: (name != "linear", name != "knn", name))


def with_derived(runs: pd.DataFrame, curves: pd.DataFrame, knn_target: float | None = None) -> pd.DataFrame:
    """`runs` with the columns that need more than result.json.

    `cost.device_hours`: seconds of pretraining times devices. `curve.best_epoch_knn`: the highest validation kNN of
    any epoch, which flatters noisy curves and is never a result. `cost.minutes_to_knn`: minutes of pretraining until
    validation kNN first reached `knn_target` (a fraction), infinite for a completed run that never did.
    """
    runs = runs.copy()
    if "cost.seconds_pretrain" in runs:
        devices = runs["config.world_size"].astype(float).fillna(1) if "config.world_size" in runs else 1.0
        runs["cost.device_hours"] = runs["cost.seconds_pretrain"] * devices / 3600
    if "knn_validation" not in curves:
        return runs
    identifiers = runs["id"]
    runs["curve.best_epoch_knn"] = identifiers.map(curves.groupby("id")["knn_validation"].max())
    if knn_target is not None and "config.batch_size" in runs:
        reached = _minutes(curves, runs)[curves["knn_validation"] >= knn_target].groupby(curves["id"]).min()
        minutes = identifiers.map(reached)
        runs["cost.minutes_to_knn"] = minutes.where(minutes.notna() | (runs["status"] != "completed"), np.inf)
    return runs


def _minutes(curves: pd.DataFrame, runs: pd.DataFrame) -> pd.Series[float]:
    """Minutes of pretraining up to the end of each epoch, from its steps, the batch size and its rate."""
    batch = curves["id"].map(runs.set_index("id")["config.batch_size"]).astype(float)
    steps = curves["step"] - curves.groupby("id")["step"].shift(fill_value=0)
    return (steps * batch / curves["images_per_second"]).groupby(curves["id"]).cumsum() / 60
