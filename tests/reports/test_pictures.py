"""McNemar's test and the two-level bootstrap, against SciPy, by hand and by simulated coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.reports.pictures import TwoSources, load_correct, mcnemar, resampled_pictures, two_sources
from bench.reports.statistics import paired, welch


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_mcnemar_is_the_binomial_test_of_the_discordant_pictures(pairs: list[tuple[bool, bool]]) -> None:
    a, b = (np.array(side) for side in zip(*pairs, strict=True))
    first, second = pairs.count((True, False)), pairs.count((False, True))
    tail = stats.binom.cdf(min(first, second), first + second, 0.5)
    assert mcnemar(a, b) == pytest.approx(min(1.0, 2 * tail))
    assert mcnemar(a, b) == mcnemar(b, a)


def test_resampled_test_sets_are_the_same_for_every_run() -> None:
    correct = np.random.default_rng(0).random(500) < 0.7
    drawn = resampled_pictures([correct, correct, ~correct])
    np.testing.assert_array_equal(drawn[:, 0], drawn[:, 1])
    np.testing.assert_allclose(drawn[:, 0] + drawn[:, 2], 1)
    share = correct.mean()
    assert drawn[:, 0].mean() == pytest.approx(share, abs=0.003)
    assert drawn[:, 0].std() == pytest.approx(np.sqrt(share * (1 - share) / 500), rel=0.1)


def test_runs_of_different_test_sets_are_refused() -> None:
    with pytest.raises(ValueError, match="same test pictures"):
        resampled_pictures([np.ones(3, bool), np.ones(4, bool)])


def simulated(generator: np.random.Generator, pictures: int, shift: float) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Three runs of two methods with equal expected accuracy: pictures differ in difficulty, and methods in which
    pictures suit them; runs differ by an offset of their own.
    """
    easy = generator.normal(0.5, 1.0, pictures)
    suits = generator.normal(0, 0.7, (2, pictures))
    sides = []
    for method in range(2):
        logits = [easy + suits[method] + generator.normal(0, shift) for _ in range(3)]
        sides.append([generator.random(pictures) < stats.logistic.cdf(6 * logit) for logit in logits])
    return sides[0], sides[1]


def found(a: list[np.ndarray], b: list[np.ndarray]) -> TwoSources | None:
    drawn = resampled_pictures([*a, *b])
    over_seeds = welch([run.mean() for run in a], [run.mean() for run in b])
    return two_sources(over_seeds, drawn[:, : len(a)], drawn[:, len(a) :])


def test_the_interval_over_seeds_and_pictures_covers_what_the_one_over_seeds_misses() -> None:
    generator = np.random.default_rng(0)
    both, seeds_alone = [], []
    for _ in range(300):
        a, b = simulated(generator, pictures=400, shift=0.03)
        result = found(a, b)
        assert result is not None
        both.append(result.interval[0] <= 0 <= result.interval[1])
        interval = welch([x.mean() for x in a], [x.mean() for x in b]).interval
        seeds_alone.append(interval is not None and interval[0] <= 0 <= interval[1])
    assert np.mean(seeds_alone) < 0.90
    assert 0.93 < np.mean(both) <= 1.0


def test_errors_of_a_case_worked_by_hand() -> None:
    """Runs that are right on nested sets of pictures: the seeds' error is Welch's, the pictures' that of a share."""
    pictures = 1000
    runs = {name: [np.arange(pictures) < right for right in counts] for name, counts in SIDES.items()}
    result = found(runs["a"], runs["b"])
    assert result is not None
    assert result.difference == pytest.approx(0.1)
    assert result.seeds_error == pytest.approx(np.sqrt(2 * 0.01**2 / 3))  # both sides: 0.01 either side of the mean
    gaps = np.mean(runs["a"], axis=0) - np.mean(runs["b"], axis=0)
    assert result.pictures_error == pytest.approx(gaps.std() / np.sqrt(pictures), rel=0.08)
    assert result.error == pytest.approx(np.hypot(result.seeds_error, result.pictures_error), rel=0.08)
    low, high = result.interval
    assert low < 0.1 < high


SIDES = {"a": (690, 700, 710), "b": (590, 600, 610)}


def test_one_run_has_no_interval() -> None:
    run = np.arange(10) < 6
    assert found([run], [run, ~run]) is None


def test_predictions_of_a_run_folder(tmp_path) -> None:
    assert load_correct(tmp_path, "linear") is None
    np.savez_compressed(tmp_path / "predictions.npz", linear=np.array([1, 2, 3]), labels=np.array([1, 2, 0]))
    correct = load_correct(tmp_path, "linear")
    assert correct is not None
    assert correct.tolist() == [True, True, False]
    assert load_correct(tmp_path, "knn") is None
    (tmp_path / "predictions.npz").write_bytes(b"PK\x03\x04 cut short")
    assert load_correct(tmp_path, "linear") is None


def test_pairs_are_drawn_together() -> None:
    """A seed that makes both encoders better is in neither the paired test nor its interval over pictures too."""
    generator = np.random.default_rng(1)
    hard = generator.normal(size=4000)
    a, b = [], []
    for quality in (0.2, 0.6, 1.0, 1.4):
        own = generator.normal(size=(2, 4000)) * 0.1
        a.append(hard + own[0] < quality + 0.05)
        b.append(hard + own[1] < quality)
    drawn = resampled_pictures([*a, *b])
    means = [run.mean() for run in a], [run.mean() for run in b]
    together = two_sources(paired(*means).difference, drawn[:, :4], drawn[:, 4:], paired=True)
    apart = two_sources(welch(*means), drawn[:, :4], drawn[:, 4:])
    assert together is not None
    assert apart is not None
    assert together.difference == pytest.approx(apart.difference)
    assert together.error < 0.1 * apart.error
    assert together.pictures_error == apart.pictures_error
    assert together.error >= 0.8 * np.hypot(together.seeds_error, together.pictures_error)
