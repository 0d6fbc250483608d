"""The finite test set as a source of error beside the seeds, from the stored predictions for each test picture."""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy import stats

from bench.reports.statistics import CONFIDENCE, Difference, Interval
from bench.store import is_changed

PREDICTIONS = "predictions.npz"
Correct = NDArray[np.bool_]


@dataclass(frozen=True)
class TwoSources:
    """A difference of mean accuracies with its standard errors (fractions): from seeds, from pictures, from both.

    `interval` is the 95 % one for new seeds and new test pictures of the same kind.
    """

    difference: float
    seeds_error: float
    pictures_error: float
    error: float
    interval: Interval


def load_correct(folder: Path, classifier: str) -> Correct | None:
    """Whether each test picture (N,) was classified rightly by `linear` or `knn` in a run folder.

    None where there is no predictions.npz, or one `spoiled`, or without the labels that newer runs store.
    """
    path = folder / PREDICTIONS
    if not path.exists() or spoiled(folder):
        return None
    with np.load(path, allow_pickle=False) as arrays:
        return np.asarray(arrays[classifier] == arrays["labels"]) if {classifier, "labels"} <= set(arrays) else None


def spoiled(folder: Path) -> str:
    """Why a run's predictions.npz is of no use; '' where it is, or was never written."""
    try:
        if is_changed(folder, PREDICTIONS):
            return "it is not the file with which the run ended"
        if (folder / PREDICTIONS).exists():
            with np.load(folder / PREDICTIONS, allow_pickle=False) as arrays:
                for name in arrays:
                    arrays[name]
    except (OSError, ValueError, EOFError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        return " ".join(str(error).split())
    return ""


def problems(runs: pd.DataFrame) -> list[str]:
    """A line for each completed run (rows of bench.reports.load.load) whose predictions are spoiled."""
    completed = runs[runs["status"] == "completed"]
    found = {key: spoiled(Path(folder)) for key, folder in zip(completed["id"], completed["folder"], strict=True)}
    return [f"{identifier}: {PREDICTIONS} cannot be read ({why})" for identifier, why in found.items() if why]


def mcnemar(a: Correct, b: Correct) -> float:
    """Exact two-sided McNemar p for two encoders on the same test pictures (N,): are these two, not their methods,
    equally accurate? The binomial test of the pictures that exactly one of them gets right (1 if there is none).
    """
    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(~a & b))
    return float(stats.binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def two_sources(
    over_seeds: Difference, a: Sequence[Correct], b: Sequence[Correct], paired: bool = False
) -> TwoSources | None:
    """Error, for new seeds and new test pictures, of a difference in mean accuracy that was tested over seeds.

    `a` and `b` are the runs of either side on the same pictures (N,); `paired`, they are of the same n seeds. Whether a
    run is right about a picture is a mean, an effect of the seed, one of the picture and a rest, whose variance over
    n runs and N pictures is in the error over seeds and in that over pictures both: it is taken off once, as in a
    crossed two-way layout (resampling seeds and pictures would count it three times: Owen 2007). Not less than the
    larger of the two errors. The interval is Student's, with the degrees of freedom of the test over seeds for their
    share of the variance (Satterthwaite); the pictures' own are many.

    None where no test over seeds exists. Raises ValueError for runs of different test sets.
    """
    if not over_seeds.error or over_seeds.degrees_of_freedom is None:
        return None
    if len({len(run) for run in (*a, *b)}) != 1:
        raise ValueError("runs compared picture by picture need the same test pictures")
    first, second = (np.stack(side).astype(np.float64) for side in (a, b))
    sides = [first - second] if paired else [first, second]
    gaps = first.mean(0) - second.mean(0)
    of_pictures = float(gaps.var(ddof=1)) / gaps.size
    of_seeds = over_seeds.error**2
    variance = max(of_seeds, of_pictures, of_seeds + of_pictures - sum(map(_rest, sides)))
    degrees_of_freedom = over_seeds.degrees_of_freedom * (variance / of_seeds) ** 2
    half_width = float(stats.t.ppf((1 + CONFIDENCE) / 2, degrees_of_freedom)) * variance**0.5
    return TwoSources(
        difference=over_seeds.difference,
        seeds_error=over_seeds.error,
        pictures_error=of_pictures**0.5,
        error=variance**0.5,
        interval=(over_seeds.difference - half_width, over_seeds.difference + half_width),
    )


def _rest(values: NDArray[np.float64]) -> float:
    """Variance of the mean of `values` (n, N) from neither rows nor columns alone: the residual mean square of the
    two-way analysis of variance over n N; 0 for one row, where it cannot be told from the columns."""
    n, pictures = values.shape
    if n == 1:
        return 0.0
    residual = values - values.mean(0) - values.mean(1, keepdims=True) + values.mean()
    return float((residual**2).sum()) / ((n - 1) * (pictures - 1) * n * pictures)
