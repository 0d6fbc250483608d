"""The finite test set as a source of error beside the seeds, from the stored predictions for each test picture."""

from __future__ import annotations

import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from bench.reports.statistics import CONFIDENCE, Difference, Interval
from bench.store import is_changed

DRAWS = 1000
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

    None where predictions.npz is missing, damaged, or without the labels that newer runs store.
    """
    if is_changed(folder, "predictions.npz"):
        return None
    try:
        with np.load(folder / "predictions.npz", allow_pickle=False) as arrays:
            return np.asarray(arrays[classifier] == arrays["labels"])
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile):
        return None


def mcnemar(a: Correct, b: Correct) -> float:
    """Exact two-sided McNemar p for two encoders on the same test pictures (N,): are these two, not their methods,
    equally accurate? The binomial test of the pictures that exactly one of them gets right (1 if there is none).
    """
    only_a, only_b = int(np.sum(a & ~b)), int(np.sum(~a & b))
    return float(stats.binomtest(only_a, only_a + only_b).pvalue) if only_a + only_b else 1.0


def resampled_pictures(correct: Sequence[Correct], seed: int = 0) -> NDArray[np.float64]:
    """Accuracies (DRAWS, runs) of runs on DRAWS test sets drawn with replacement, the same draws for every run.

    Raises ValueError for runs of different test sets.
    """
    if len({len(run) for run in correct}) != 1:
        raise ValueError("runs compared picture by picture need the same test pictures")
    right = np.stack(correct).T.astype(np.float32)
    pictures = len(right)
    generator = np.random.default_rng(seed)
    at_a_time = max(1, 4_000_000 // pictures)  # so that the counts stay within some 50 MB
    parts = []
    for first in range(0, DRAWS, at_a_time):
        draws = min(at_a_time, DRAWS - first)
        drawn = generator.integers(pictures, size=(draws, pictures)) + pictures * np.arange(draws)[:, None]
        counts = np.bincount(drawn.ravel(), minlength=draws * pictures).reshape(draws, pictures)
        parts.append(counts.astype(np.float32) @ right)  # exact: whole numbers below 2^24
    return np.concatenate(parts).astype(np.float64) / pictures


def two_sources(
    over_seeds: Difference,
    resampled_a: NDArray[np.float64],
    resampled_b: NDArray[np.float64],
    paired: bool = False,
    seed: int = 0,
) -> TwoSources | None:
    """Two-level bootstrap, over seeds and test pictures, of a difference in mean accuracy that was tested over seeds.

    `resampled_a` (DRAWS, n_a) and `resampled_b` (DRAWS, n_b) come from one call of `resampled_pictures`; `paired`, they
    are of the same n seeds, which are drawn together. On top of the pictures every draw resamples, on each side, n - 1
    of the n runs with replacement: with n - 1 the bootstrap variance of a mean is s^2 / n, where resampling all n would
    give (n - 1) / n of it (Rao and Wu 1988), a third too little at three seeds. The interval is Student's around the
    difference, with the degrees of freedom of the test for the seeds' share of the variance, since percentiles over
    three runs cover far less than they say.

    None where no test over seeds exists.
    """
    if over_seeds.error is None or over_seeds.degrees_of_freedom is None:
        return None
    generator = np.random.default_rng(seed)
    pictures_alone = resampled_a.mean(axis=1) - resampled_b.mean(axis=1)
    if paired:
        both = _resampled_runs(resampled_a - resampled_b, generator)
    else:
        both = _resampled_runs(resampled_a, generator) - _resampled_runs(resampled_b, generator)
    error = float(both.std(ddof=1))
    seeds_share = min(1.0, (over_seeds.error / error) ** 2)
    degrees_of_freedom = over_seeds.degrees_of_freedom / seeds_share**2  # Satterthwaite; the pictures' own are many
    half_width = float(stats.t.ppf((1 + CONFIDENCE) / 2, degrees_of_freedom)) * error
    return TwoSources(
        difference=over_seeds.difference,
        seeds_error=over_seeds.error,
        pictures_error=float(pictures_alone.std(ddof=1)),
        error=error,
        interval=(over_seeds.difference - half_width, over_seeds.difference + half_width),
    )


def _resampled_runs(accuracies: NDArray[np.float64], generator: np.random.Generator) -> NDArray[np.float64]:
    """Mean accuracy (draws,) over n - 1 of the n runs of accuracies (draws, n), drawn anew with replacement."""
    draws, n = accuracies.shape
    chosen = generator.integers(n, size=(draws, n - 1))
    means: NDArray[np.float64] = np.take_along_axis(accuracies, chosen, axis=1).mean(axis=1)
    return means
