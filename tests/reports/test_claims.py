"""Verdicts: worked by hand, and by simulation under the null; claims as they are read."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.commands.claims import CLAIMS
from bench.errors import UserError
from bench.reports.claims import (
    CONTRADICTED,
    NEGLIGIBLE,
    SUPPORTED,
    UNDECIDED,
    UNTESTED,
    Claim,
    Judged,
    Number,
    combined,
    confidence,
    interval,
    judge,
    judge_exact,
    read,
)
from bench.reports.statistics import Difference, welch

Make = Callable[..., Claim]


def seen(difference: float, error: float = 0.01, freedom: float = 8.0) -> Difference:
    half = stats.t.ppf(0.975, freedom) * error
    return Difference(difference, (difference - half, difference + half), None, freedom, error)


BOUND = stats.t.ppf(0.975, 8) * 0.01
"""Half the width of the 95 % interval of `seen`."""
ONE_SIDED = stats.t.ppf(0.95, 8) * 0.01


@pytest.mark.parametrize(
    ("test", "margin", "difference", "verdict"),
    [
        ("superiority", 0.0, BOUND + 1e-6, SUPPORTED),
        ("superiority", 0.0, BOUND - 1e-6, UNDECIDED),
        ("superiority", 0.0, -BOUND + 1e-6, UNDECIDED),
        ("superiority", 0.0, -BOUND - 1e-6, CONTRADICTED),
        ("superiority", 0.05, 0.05 - BOUND - 1e-6, NEGLIGIBLE),
        ("superiority", 0.05, 0.05 - BOUND + 1e-6, SUPPORTED),
        ("superiority", 0.02, 0.02 - BOUND - 1e-6, NEGLIGIBLE),
        ("superiority", 0.02, -BOUND - 1e-6, CONTRADICTED),
        ("superiority", 0.02, 0.02 - BOUND + 1e-6, UNDECIDED),
        ("non-inferiority", 0.02, -0.02 + ONE_SIDED + 1e-6, SUPPORTED),
        ("non-inferiority", 0.02, -0.02 + ONE_SIDED - 1e-6, UNDECIDED),
        ("non-inferiority", 0.02, -0.02 - ONE_SIDED - 1e-6, CONTRADICTED),
        ("equivalence", 0.03, 0.03 - ONE_SIDED - 1e-6, SUPPORTED),
        ("equivalence", 0.03, -0.03 + ONE_SIDED + 1e-6, SUPPORTED),
        ("equivalence", 0.03, 0.03 - ONE_SIDED + 1e-6, UNDECIDED),
        ("equivalence", 0.03, 0.03 + BOUND + 1e-6, CONTRADICTED),
        ("equivalence", 0.03, -0.03 - BOUND - 1e-6, CONTRADICTED),
        ("equivalence", 0.03, -0.03 - BOUND + 1e-6, UNDECIDED),
    ],
)
def test_a_verdict_changes_where_the_interval_says_so(
    claim: Make, test: str, margin: float, difference: float, verdict: str
) -> None:
    assert judge(seen(difference), 5, claim(test, margin=margin)).verdict == verdict
    lower = claim(test, margin=margin, better="lower")
    assert judge(seen(-difference), 5, lower).verdict == verdict


def test_without_a_test_there_is_no_verdict(claim: Make) -> None:
    for difference in (None, Difference(0.3), welch([0.5], [0.2, 0.3]), welch([0.5, 0.5], [0.2, 0.2])):
        assert judge(difference, 5, claim()).verdict == UNTESTED


@pytest.mark.parametrize(
    ("test", "better", "bound"),
    [
        ("non-inferiority", "higher", np.log(0.95)),
        ("non-inferiority", "lower", -np.log(1.05)),
        ("superiority", "higher", np.log(1.05)),
        ("superiority", "lower", -np.log(0.95)),
    ],
)
def test_a_ratio_has_its_margin_in_percent(claim: Make, test: str, better: str, bound: float) -> None:
    """A twentieth more, or less, of the opponent's: of a gain in time 0.95 of it, of a loss 1.05."""
    ratio = claim(test, ratio=True, margin=0.05, better=better)
    sign = 1 if better == "higher" else -1
    half, below = (-BOUND, NEGLIGIBLE) if test == "superiority" else (ONE_SIDED, UNDECIDED)
    assert judge(seen(sign * (bound + half + 1e-6)), 5, ratio).verdict == SUPPORTED
    assert judge(seen(sign * (bound + half - 1e-6)), 5, ratio).verdict == below


def test_numbers_without_noise_are_compared_as_they_are(claim: Make) -> None:
    faster = claim("exact", better="lower", ratio=True, margin=0.05)
    one = Number.exactly(1.0)
    assert judge_exact(one, Number.exactly(1.06), faster).verdict == SUPPORTED
    assert judge_exact(one, Number.exactly(1.04), faster).verdict == NEGLIGIBLE
    assert judge_exact(one, Number.exactly(0.99), faster).verdict == NEGLIGIBLE
    assert judge_exact(one, Number.exactly(0.9), faster).verdict == CONTRADICTED
    assert judge_exact(one, one, claim("exact", better="lower", ratio=True)).verdict == CONTRADICTED  # no gain at all
    for test in ("non-inferiority", "equivalence"):  # of a cost that is the same at every seed
        same = claim(test, better="lower", ratio=True, margin=0.05)
        assert judge_exact(one, one, same).verdict == SUPPORTED
        assert judge_exact(Number.exactly(1.1), one, same).verdict == CONTRADICTED
    assert judge_exact(Number.exactly(0.6), Number.exactly(0.5), claim("exact", margin=0.05)).verdict == SUPPORTED


def test_measured_times_give_a_verdict_only_where_their_quartiles_agree_on_it_or_on_no_gain(claim: Make) -> None:
    faster = claim("exact", better="lower", ratio=True, margin=0.05)
    other = Number(1.2, 1.1, 1.3)
    assert judge_exact(Number(1.0, 0.9, 1.04), other, faster).verdict == SUPPORTED
    assert judge_exact(Number(1.5, 1.43, 1.6), other, faster).verdict == CONTRADICTED
    for high in (1.06, 1.2):  # too small to matter at the worst, and slower at the worst
        found = judge_exact(Number(1.0, 0.9, high), other, faster)
        assert found.verdict == UNDECIDED
        assert "quartiles" in found.reason
    alike = judge_exact(Number(1.0, 0.98, 1.02), Number(1.0, 0.99, 1.01), faster)  # by 3 % at most, either way
    assert (alike.verdict, alike.reason) == (NEGLIGIBLE, "")
    slower = judge_exact(Number(1.05, 0.98, 1.12), Number(1.0, 0.99, 1.01), faster)  # 13 % at the worst
    assert (slower.verdict, slower.reason) == (NEGLIGIBLE, "or a loss (quartiles)")


def test_a_claim_is_supported_where_all_its_parts_are(claim: Make) -> None:
    good, open_, bad = (judge(seen(value), 5, claim()) for value in (0.05, 0.0, -0.2))
    missing, small = Judged(UNTESTED, "no run"), Judged(NEGLIGIBLE, "")
    assert combined([good, small], claim())[0] == NEGLIGIBLE
    assert combined([small, open_], claim())[0] == NEGLIGIBLE
    assert combined([small, bad], claim())[0] == CONTRADICTED
    assert combined([small, missing], claim())[0] == NEGLIGIBLE
    assert combined([good, good], claim())[0] == SUPPORTED
    assert combined([good, open_], claim())[0] == UNDECIDED
    assert combined([good, bad], claim())[0] == CONTRADICTED
    assert combined([good, missing], claim())[0] == UNTESTED
    assert combined([bad, missing], claim())[0] == CONTRADICTED
    assert combined([], claim())[0] == UNTESTED


def test_a_contradiction_is_corrected_for_the_number_of_comparisons(claim: Make) -> None:
    weak = judge(seen(-BOUND - 1e-4), 5, claim())
    assert weak.verdict == CONTRADICTED
    word, parts = combined([weak, *[judge(seen(0.0), 5, claim())] * 4], claim())
    assert word == UNDECIDED
    assert "Holm" in parts[0].reason


def test_so_is_that_a_gain_is_too_small(claim: Make) -> None:
    asked = claim(margin=0.05)
    weak, wide = judge(seen(0.05 - BOUND - 1e-4), 5, asked), judge(seen(0.06), 5, asked)
    assert weak.verdict == NEGLIGIBLE
    word, parts = combined([weak, wide, wide], asked)
    assert word == SUPPORTED
    assert "Holm" in parts[0].reason


def simulated(claim: Make, test: str, margin: float, truth: float, parts: int, draws: int) -> dict[str, float]:
    """Share of each verdict where the arm's true lead is `truth`, standard deviation 1, five runs a side."""
    generator = np.random.default_rng(0)
    asked, counts = claim(test, margin=margin), dict.fromkeys((SUPPORTED, NEGLIGIBLE, CONTRADICTED, UNDECIDED), 0)
    for _ in range(draws):
        own = generator.normal(truth, 1, 5)
        judged = [judge(welch(own, generator.normal(0, 1, 5)), 5, asked) for _ in range(parts)]
        counts[combined(judged, asked)[0]] += 1
    return {verdict: count / draws for verdict, count in counts.items()}


@pytest.fixture
def without_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The numbers of seeds that would decide a claim take longer than the verdicts, on which they have no bearing."""
    monkeypatch.setattr("bench.reports.claims._needed", lambda *_: None)


@pytest.mark.usefixtures("without_needed")
@pytest.mark.parametrize(
    ("test", "margin", "truth", "level"),
    [
        ("superiority", 0.0, 0.0, 0.025),
        ("superiority", 1.0, 0.0, 0.025),
        ("non-inferiority", 1.0, -1.0, 0.05),
        ("equivalence", 3.0, 3.0, 0.05),
        ("equivalence", 3.0, -3.0, 0.05),
    ],
)
@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("draws", [200, pytest.param(4000, marks=pytest.mark.soak)])
def test_a_false_claim_is_seldom_supported(
    claim: Make, test: str, margin: float, truth: float, level: float, parts: int, draws: int
) -> None:
    slack = 4 * np.sqrt(level * (1 - level) / draws)
    assert simulated(claim, test, margin, truth, parts, draws)[SUPPORTED] <= level + slack


@pytest.mark.usefixtures("without_needed")
@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("draws", [200, pytest.param(4000, marks=pytest.mark.soak)])
def test_a_true_claim_is_seldom_contradicted(claim: Make, parts: int, draws: int) -> None:
    slack = 4 * np.sqrt(0.05 * 0.95 / draws)
    for margin in (0.0, 0.5):
        assert simulated(claim, "superiority", margin, 0.0, parts, draws)[CONTRADICTED] <= 0.025 + slack
    assert simulated(claim, "superiority", 1.0, 1.0, parts, draws)[NEGLIGIBLE] <= 0.025 + slack
    assert simulated(claim, "non-inferiority", 1.0, -1.0, parts, draws)[CONTRADICTED] <= 0.05 + slack
    assert simulated(claim, "equivalence", 1.0, 1.0, parts, draws)[CONTRADICTED] <= 0.05 + slack


@given(st.floats(-0.2, 0.2), st.sampled_from(["superiority", "non-inferiority", "equivalence"]))
def test_the_seeds_needed_are_more_than_there_were(claim: Make, difference: float, test: str) -> None:
    judged = judge(seen(difference), 5, claim(test, margin=0.05))
    if judged.needed is None:
        return
    assert judged.verdict == UNDECIDED
    low, estimate, high = (
        np.inf if one is None else one for one in (judged.needed.low, judged.needed.estimate, judged.needed.high)
    )
    assert 5 < low <= estimate <= high


def test_the_seeds_needed_have_the_power_that_simulation_finds(claim: Make) -> None:
    judged = judge(welch([1.6, 0.4, 1.1, 0.2, 1.2], [0.9, 0.1, -0.5, 0.8, 0.2]), 5, claim())
    assert judged.verdict == UNDECIDED
    assert judged.needed is not None
    assert judged.needed.verdict == SUPPORTED
    assert judged.difference is not None
    assert judged.difference.error is not None
    sd = judged.difference.error * np.sqrt(5 / 2)
    generator = np.random.default_rng(1)
    found = [
        judge(
            welch(*generator.normal([[judged.difference.difference], [0]], sd, (2, judged.needed.estimate))), 5, claim()
        )
        for _ in range(400)
    ]
    assert np.mean([one.verdict == SUPPORTED for one in found]) == pytest.approx(0.8, abs=0.08)


def test_the_seeds_that_equivalence_needs_have_that_power_on_both_sides_of_zero(claim: Make) -> None:
    equal = claim("equivalence", margin=1.0)
    judged = judge(seen(0.0, error=0.75), 5, equal)
    assert judged.needed is not None
    assert judged.needed.verdict == SUPPORTED
    assert judged.needed.estimate is not None
    sd = 0.75 * np.sqrt(5 / 2)
    generator = np.random.default_rng(2)
    draws = generator.normal(0, sd, (400, 2, judged.needed.estimate))
    found = [judge(welch(*one), judged.needed.estimate, equal).verdict == SUPPORTED for one in draws]
    assert np.mean(found) == pytest.approx(0.8, abs=0.08)


def test_the_interval_is_the_one_whose_ends_the_test_is_about(claim: Make) -> None:
    found = seen(0.03)
    assert interval(found, claim()) == pytest.approx(found.interval)
    assert confidence(claim()) == 95
    not_worse = claim("non-inferiority", margin=0.02)
    assert interval(found, not_worse) == pytest.approx((0.03 - ONE_SIDED, 0.03 + ONE_SIDED))
    assert confidence(not_worse) == 90


def test_the_suites_own_claims_can_be_read_and_name_what_there_is() -> None:
    from bench.study import names
    from bench.study import read as read_study

    for one in read(CLAIMS):
        assert one.study in names()
        study = read_study(one.study)
        if study.arms:
            for arm in [one.arm, *one.against] if one.test != "exact" else []:
                assert arm in study.arms
            assert study.seeds >= one.seeds or one.test == "exact"
            for variant in (one.at, one.starting_from):
                assert not variant or variant in [variant for variant, _ in study.cells()]
        if one.metric.startswith("analysis."):
            assert one.metric.split(".")[1] in study.analysis


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"test": "superior"}, "unknown test 'superior'"),
        ({"margn": 1}, "unknown key 'margn'"),
        ({"sensitive": ["smi"], "margin": 0.01}, "sensitive needs two arms"),
        ({"sensitive": ["smi", "random"]}, "sensitive needs two arms, the better first, a margin"),
        ({"test": "equivalence"}, "needs a margin"),
        ({"better": "up"}, "better is higher or lower"),
        ({"seeds": 1}, "at least two seeds"),
        ({"seeds": "five"}, "seeds and margin are numbers"),
        ({"against": "barlow"}, "are lists"),
        ({"against": []}, "needs `against`"),
    ],
)
def test_a_mistake_in_the_file_is_one_line(
    claim: Make, change: dict[str, object], message: str, tmp_path: Path
) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text(json.dumps([{**vars(claim()), **change}]))
    with pytest.raises(UserError, match=message):
        read(path)


def test_a_claim_without_its_words_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text("- {name: bare}\n")
    with pytest.raises(UserError, match="bare: missing"):
        read(path)
    path.write_text("name: bare\n")
    with pytest.raises(UserError, match="not a list"):
        read(path)
