"""Ranks over datasets: Demsar's worked example, SciPy, and the numbers of datasets below which nothing can show."""

import numpy as np
import pytest
from scipy import stats

from bench.reports.ranks import fewest_datasets, friedman_test, ranking

DEMSAR = np.array(
    [  # Demsar (2006), table 6: AUC of C4.5, C4.5+m, C4.5+cf, C4.5+m+cf on 14 data sets
        [0.763, 0.599, 0.954, 0.628, 0.882, 0.936, 0.661, 0.583, 0.775, 1.000, 0.940, 0.619, 0.972, 0.957],
        [0.768, 0.591, 0.971, 0.661, 0.888, 0.931, 0.668, 0.583, 0.838, 1.000, 0.962, 0.666, 0.981, 0.978],
        [0.771, 0.590, 0.968, 0.654, 0.886, 0.916, 0.609, 0.563, 0.866, 1.000, 0.965, 0.614, 0.9751, 0.946],
        [0.798, 0.569, 0.967, 0.657, 0.898, 0.931, 0.685, 0.625, 0.875, 1.000, 0.962, 0.669, 0.975, 0.970],
    ]
)


def test_demsars_worked_example() -> None:
    found = ranking(DEMSAR)
    assert found.mean_ranks == pytest.approx([3.143, 2.000, 2.893, 1.964], abs=5e-4)
    # His chi^2 of 9.28 and F of 3.69 leave ties uncorrected; Friedman's test corrects them, so that it is sharper.
    assert found.friedman_p == pytest.approx(stats.friedmanchisquare(*DEMSAR).pvalue)
    assert found.friedman_p is not None
    assert found.friedman_p < stats.chi2.sf(9.28, 3)
    assert found.iman_davenport_p is not None
    assert found.iman_davenport_p < 0.05


def test_without_ties_the_f_form_is_demsars_formula() -> None:
    scores = np.random.default_rng(0).normal(size=(4, 10)) + np.arange(4)[:, None] * 0.5
    chi2 = stats.friedmanchisquare(*scores).statistic
    expected = stats.f.sf(9 * chi2 / (10 * 3 - chi2), 3, 27)
    assert friedman_test(scores)[1] == pytest.approx(expected)


def test_the_f_form_at_its_ends() -> None:
    same_order = np.arange(3)[:, None] + np.zeros((3, 8))
    assert friedman_test(same_order)[1] == pytest.approx(0)
    assert friedman_test(np.ones((3, 8))) == (1.0, 1.0)


@pytest.mark.parametrize(("methods", "datasets"), [(2, 6), (3, 7), (5, 9), (6, 10)])
def test_fewest_datasets(methods: int, datasets: int) -> None:
    assert fewest_datasets(methods) == datasets
    generator = np.random.default_rng(0)
    apart = np.arange(methods)[:, None] + generator.uniform(0, 0.5, (methods, datasets))
    assert all(p < 0.05 for p in ranking(apart).pairs.values())  # the clearest case shows every difference
    below = ranking(apart[:, 1:])
    assert below.pairs == {}
    assert below.friedman_p is None
    assert below.cliques == []


def test_wilcoxon_with_holm_is_scipys() -> None:
    scores = np.random.default_rng(3).normal(size=(3, 12)) + np.array([[0.0], [0.3], [2.0]])
    found = ranking(scores)
    raw = {(i, j): stats.wilcoxon(scores[i], scores[j]).pvalue for i, j in [(0, 1), (0, 2), (1, 2)]}
    assert found.pairs == pytest.approx(holm_by_hand(raw))
    assert [set(bar) for bar in found.cliques] == [{0, 1}]


def holm_by_hand(raw: dict[tuple[int, int], float]) -> dict[tuple[int, int], float]:
    first, second, third = sorted(raw, key=lambda pair: raw[pair])
    adjusted = {first: 3 * raw[first]}
    adjusted[second] = max(adjusted[first], 2 * raw[second])
    adjusted[third] = max(adjusted[second], raw[third])
    return {pair: min(1.0, p) for pair, p in adjusted.items()}


def test_methods_that_tie_everywhere_share_a_bar() -> None:
    scores = np.vstack([np.arange(10.0), np.arange(10.0)])
    found = ranking(scores)
    assert found.mean_ranks.tolist() == [1.5, 1.5]
    assert found.cliques == [(0, 1)]
