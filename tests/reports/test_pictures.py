"""McNemar's test, and the errors from seeds and from pictures, against SciPy, by hand and by simulation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.reports.pictures import TwoSources, load_correct, mcnemar, spoiled, two_sources
from bench.reports.statistics import paired, welch


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=60))
def test_mcnemar_is_the_binomial_test_of_the_discordant_pictures(pairs: list[tuple[bool, bool]]) -> None:
    a, b = (np.array(side) for side in zip(*pairs, strict=True))
    first, second = pairs.count((True, False)), pairs.count((False, True))
    tail = stats.binom.cdf(min(first, second), first + second, 0.5)
    assert mcnemar(a, b) == pytest.approx(min(1.0, 2 * tail))
    assert mcnemar(a, b) == mcnemar(b, a)


def found(a: list[np.ndarray], b: list[np.ndarray]) -> TwoSources | None:
    return two_sources(welch([run.mean() for run in a], [run.mean() for run in b]), a, b)


def test_runs_of_different_test_sets_are_refused() -> None:
    run = np.arange(9) < 5
    with pytest.raises(ValueError, match="same test pictures"):
        two_sources(welch([0.5, 0.6], [0.3, 0.4]), [run, run], [run, run[:8]])


def simulated(generator: np.random.Generator, slope: float, shift: float, n: int) -> list[list[np.ndarray]]:
    """n runs of two methods with equal expected accuracy: pictures differ in difficulty, and methods in which pictures
    suit them; runs differ by an offset of their own, and by chance the more the less `slope` is.
    """
    easy = generator.normal(0.5, 1.0, 400)
    suits = generator.normal(0, 0.7, (2, 400))
    logits = [[easy + suits[side] + generator.normal(0, shift) for _ in range(n)] for side in range(2)]
    return [[generator.random(400) < stats.logistic.cdf(slope * one) for one in side] for side in logits]


@pytest.mark.parametrize("n", [3, 5])
@pytest.mark.parametrize(("slope", "shift"), [(6.0, 0.03), (2.0, 0.15), (0.0, 0.0)])
def test_the_error_over_seeds_and_pictures_is_the_spread_over_both(slope: float, shift: float, n: int) -> None:
    """Where pictures make most of it, where seeds do, and where neither does: each run errs by itself."""
    generator = np.random.default_rng(n)
    differences, squares, covered = [], [], []
    for _ in range(300):
        result = found(*simulated(generator, slope, shift, n))
        assert result is not None
        differences.append(result.difference)
        squares.append(result.error**2)
        covered.append(result.interval[0] <= 0 <= result.interval[1])
    assert np.sqrt(np.mean(squares)) == pytest.approx(np.std(differences), rel=0.2)
    assert 0.92 < np.mean(covered) < 0.995


def test_the_interval_over_seeds_alone_misses_what_pictures_do() -> None:
    generator = np.random.default_rng(0)
    covered = []
    for _ in range(300):
        a, b = simulated(generator, 6.0, 0.03, 3)
        interval = welch([run.mean() for run in a], [run.mean() for run in b]).interval
        covered.append(interval is not None and interval[0] <= 0 <= interval[1])
    assert np.mean(covered) < 0.90


def test_errors_of_a_case_worked_by_hand() -> None:
    """Runs that are right on nested sets of pictures: the seeds' error is Welch's, the pictures' that of a share."""
    pictures = 1000
    runs = {name: [np.arange(pictures) < right for right in counts] for name, counts in SIDES.items()}
    result = found(runs["a"], runs["b"])
    assert result is not None
    assert result.difference == pytest.approx(0.1)
    assert result.seeds_error == pytest.approx(np.sqrt(2 * 0.01**2 / 3))  # both sides: 0.01 either side of the mean
    gaps = np.mean(runs["a"], axis=0) - np.mean(runs["b"], axis=0)
    assert result.pictures_error == pytest.approx(gaps.std(ddof=1) / np.sqrt(pictures))
    # Pictures in dispute, 20 a side: means of 2/3, 2/3 and 1/3, 1/3 about which runs differ by 1/3 and 2/3 squared.
    totals = 20 * (1 / 3) * (2 / 3) * 3 - 3 * pictures * (2 / 3) * 0.01**2  # within pictures, less what seeds make
    rest = 2 * totals / (2 * (pictures - 1)) / (3 * pictures)
    assert result.error == pytest.approx(np.sqrt(result.seeds_error**2 + result.pictures_error**2 - rest))
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
    assert spoiled(tmp_path) == ""
    (tmp_path / "predictions.npz").write_bytes(b"PK\x03\x04 cut short")
    assert load_correct(tmp_path, "linear") is None
    assert spoiled(tmp_path)
    np.savez_compressed(tmp_path / "predictions.npz", linear=np.arange(999), labels=np.arange(999))
    whole = (tmp_path / "predictions.npz").read_bytes()
    found = []
    for place in range(40, 400, 9):  # some are in a time stamp, which no checksum covers
        (tmp_path / "predictions.npz").write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        found.append(spoiled(tmp_path))
    assert sum(map(bool, found)) > len(found) / 2


def test_pairs_share_their_seed() -> None:
    """A seed that makes both encoders better is in neither the paired test nor its interval over pictures too."""
    generator = np.random.default_rng(1)
    hard = generator.normal(size=4000)
    a, b = [], []
    for quality in (0.2, 0.6, 1.0, 1.4):
        own = generator.normal(size=(2, 4000)) * 0.1
        a.append(hard + own[0] < quality + 0.05)
        b.append(hard + own[1] < quality)
    means = [run.mean() for run in a], [run.mean() for run in b]
    together = two_sources(paired(*means).difference, a, b, paired=True)
    apart = two_sources(welch(*means), a, b)
    assert together is not None
    assert apart is not None
    assert together.difference == pytest.approx(apart.difference)
    assert together.error < 0.1 * apart.error
    assert together.pictures_error == apart.pictures_error
    assert together.error >= max(together.seeds_error, together.pictures_error)
