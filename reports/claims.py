"""Claims declared before the runs, and what finished runs let one say of each: the logic of the verdicts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from scipy import stats

from bench.errors import UserError, suggest
from bench.reports import statistics
from bench.reports.power import runs_needed
from bench.reports.statistics import ALPHA, Difference, Interval

SUPPORTED = "supported"
NEGLIGIBLE = "too small to matter"
CONTRADICTED = "contradicted"
UNDECIDED = "not distinguishable"
UNTESTED = "not testable here"
TESTS = ("superiority", "non-inferiority", "equivalence", "exact")


@dataclass(frozen=True)
class Claim:
    """One claim, of one arm against others, each on every dataset.

    `words` and `source` are the paper's, `hypothesis` is what is tested. `metric` is a column of results.csv or of an
    analysis (`analysis.geometry.redundancy`), less the column `minus`, run by run. `margin` is in the metric's unit: of
    non-inferiority and equivalence the largest loss that is none, of superiority the smallest gain that would matter
    (0: any). With `ratio` the metric is compared by its logarithm, and a margin of 0.05 is 5 %. `at` picks the study's
    variant; with `starting_from` what is compared is the change from that variant to `at`. `exact` compares numbers
    without noise: `metric` is then a column of `table`, a CSV or cost.json beside the study's report, in the row where
    `key` is the arm and the columns `rows` have their values; `ms` of a cost.json is the time that counts there, of
    the processor or on a GPU of the clock. `on_gpu`: columns of a cost.json that are to have other values than `rows`
    has there. `only_there`: of these datasets and no others, whatever a user asks for.
    `sensitive` are two arms, the first of which must be better than the second by the margin or more, and by a
    one-sided test: a metric that cannot tell these apart decides nothing. `changed` says what was declared otherwise
    before first results were known.
    """

    name: str
    words: str
    source: str
    hypothesis: str
    study: str
    arm: str
    against: Sequence[str]
    metric: str
    test: str
    elsewhere: str
    """The command that tests it where it cannot be tested here."""
    datasets: Sequence[str] = ()
    only_there: bool = False
    seeds: int = 1
    margin: float = 0.0
    better: str = "higher"
    ratio: bool = False
    minus: str = ""
    at: Mapping[str, str] = field(default_factory=dict)
    starting_from: Mapping[str, str] = field(default_factory=dict)
    table: str = ""
    key: str = ""
    rows: Mapping[str, float | str] = field(default_factory=dict)
    on_gpu: Mapping[str, float | str] = field(default_factory=dict)
    sensitive: Sequence[str] = ()
    changed: str = ""

    @property
    def is_accuracy(self) -> bool:
        """Whether the metric is an accuracy, a fraction that is printed in points."""
        return self.metric.startswith("scores.") or self.metric.endswith((".linear", ".knn"))


class Number(NamedTuple):
    """A number with the quartiles of what was measured; all three are the same where it carries no noise."""

    value: float
    low: float
    high: float

    @classmethod
    def exactly(cls, value: float) -> Number:
        """One without noise."""
        return cls(value, value, value)


@dataclass(frozen=True)
class Needed:
    """Runs on each side with which a comparison would come to `verdict` with 80 % probability, were the difference seen
    the true one: with the standard error seen, and with the ends of its 95 % interval (None: over MOST_SEEDS)."""

    verdict: str
    low: int | None
    estimate: int | None
    high: int | None


@dataclass(frozen=True)
class Judged:
    """What one comparison (arm, opponent, dataset) says. All p are one-sided: `p_for` and `p_against` for the claim and
    for its contrary; of superiority with a margin `p_margin` that the gain is above it, `p_small` that it is below."""

    verdict: str
    reason: str
    difference: Difference | None = None
    p_for: float | None = None
    p_against: float | None = None
    p_margin: float | None = None
    p_small: float | None = None
    needed: Needed | None = None
    insensitive: bool = False
    """Whether it is not tested because the metric fails the claim's `sensitive` arms."""


def read(path: Path) -> list[Claim]:
    """The claims in a YAML file. Raises UserError naming what is wrong with it."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"The claims {path} cannot be read: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(values, list) or not all(isinstance(one, dict) for one in values):
        raise UserError(f"{path} is not a list of claims.")
    claims = [_claim(path, one) for one in values]
    names = [claim.name for claim in claims]
    repeated = next((name for name in names if names.count(name) > 1), None)
    if repeated:
        raise UserError(f"{path} has two claims called '{repeated}'.")
    return claims


def on(datasets: Sequence[str], claims: Sequence[Claim]) -> list[Claim]:
    """The claims on other datasets than they declare, but for those that are about theirs alone."""
    return [one if one.only_there or not one.datasets else replace(one, datasets=datasets) for one in claims]


def judge(difference: Difference | None, n: int, claim: Claim) -> Judged:
    """The verdict on one tested difference, arm less opponent, in the metric's unit (logarithms with `ratio`).

    `n` is the number of runs of each group. Superiority is tested at 2.5 % on each side, as the tables' two-sided 5 %,
    non-inferiority and equivalence at 5 % on one side (bench.reports.equivalence): the chance of 'supported' where
    the claim is false is at most that. Superiority is contradicted where a loss is shown; where a gain of the margin is
    excluded, and no loss shown, any gain is too small to matter. Both are provisional until `combined` has corrected
    them.
    """
    if difference is None or difference.error is None or difference.degrees_of_freedom is None:
        return Judged(UNTESTED, "no test is possible: too few runs, or none of them differ", difference)
    sign = 1.0 if claim.better == "higher" else -1.0
    estimate = sign * difference.difference
    error, freedom = difference.error, difference.degrees_of_freedom
    p_for, p_against, p_small = _p_values(estimate, error, freedom, claim)
    verdict = _verdict(claim, p_for, p_against, p_small)
    needed = _needed(estimate, error, freedom, n, claim) if verdict == UNDECIDED else None
    p_margin = None if p_small is None else 1 - p_small
    return Judged(verdict, "", difference, p_for, p_against, p_margin, p_small, needed)


def interval(difference: Difference, claim: Claim) -> Interval | None:
    """The interval whose ends the claim's test is about: of 95 % for superiority, else of 90 %."""
    if difference.error is None or difference.degrees_of_freedom is None:
        return None
    half = float(stats.t.ppf(1 - _level(claim), difference.degrees_of_freedom)) * difference.error
    return difference.difference - half, difference.difference + half


def confidence(claim: Claim) -> int:
    """Of `interval`, in percent."""
    return round(100 * (1 - 2 * _level(claim)))


def judge_exact(own: Number, other: Number, claim: Claim) -> Judged:
    """The verdict on two numbers that carry no noise, or the one that all between their quartiles give.

    A gain or a loss within the margin is too small to matter, and so is one of which these say only that it is no gain
    beyond it.
    """
    difference = Difference(_exact_difference(own.value, other.value, claim))
    ends = [(own.low, other.high), (own.high, other.low)]
    least, most = (_exact_verdict(_exact_difference(*pair, claim), claim) for pair in ends)
    if least == most:
        return Judged(least, "", difference)
    if SUPPORTED in (least, most):
        return Judged(UNDECIDED, "measured times spread too far for a verdict (their quartiles)", difference)
    return Judged(NEGLIGIBLE, "or a loss (quartiles)", difference)


def _exact_difference(own: float, other: float, claim: Claim) -> float:
    return math.log(own / other) if claim.ratio else own - other


def _exact_verdict(difference: float, claim: Claim) -> str:
    gain, margin = difference if claim.better == "higher" else -difference, _margin(claim)
    if claim.test == "non-inferiority":
        return SUPPORTED if gain >= -margin else CONTRADICTED
    if claim.test == "equivalence":
        return SUPPORTED if abs(gain) <= margin else CONTRADICTED
    if gain > margin:
        return SUPPORTED
    return NEGLIGIBLE if margin and gain >= -margin else CONTRADICTED  # without noise the least loss would be shown


def combined(parts: Sequence[Judged], claim: Claim) -> tuple[str, list[Judged]]:
    """The claim's verdict from those of its parts, and the parts, what speaks against it corrected for their number.

    Supported where every part is, which needs no correction (an intersection-union test). Contradicted, or too small to
    matter, where one part is after Holm's correction over all of them. Not testable where a part is missing and none
    of these.
    """
    against = statistics.holm([part.p_against for part in parts])
    small = statistics.holm([part.p_small for part in parts])
    found = [_corrected(part, p, q, claim) for part, p, q in zip(parts, against, small, strict=True)]
    verdicts = [part.verdict for part in found]
    decisive = [word for word in (CONTRADICTED, NEGLIGIBLE, UNTESTED, UNDECIDED) if word in verdicts]
    return (decisive[0] if decisive else SUPPORTED if verdicts else UNTESTED), found


def _corrected(part: Judged, p_against: float | None, p_small: float | None, claim: Claim) -> Judged:
    if part.p_for is None or p_against is None:
        return part
    verdict = _verdict(claim, part.p_for, p_against, p_small)
    if verdict == part.verdict:
        return part
    return replace(part, verdict=verdict, reason=f"{part.verdict} before, but not after Holm's correction")


def _verdict(claim: Claim, p_for: float, p_against: float, p_small: float | None) -> str:
    level = _level(claim)
    if p_against < level:
        return CONTRADICTED
    if p_small is not None and p_small < level:
        return NEGLIGIBLE
    return SUPPORTED if p_for < level else UNDECIDED


def _margin(claim: Claim) -> float:
    """In the unit of `judge`; a gain of 5 % is, where lower is better, a ratio of 0.95."""
    if not claim.ratio:
        return claim.margin
    downwards = (claim.better == "lower") == (claim.test != "non-inferiority")
    return -math.log1p(-claim.margin) if downwards and claim.test != "equivalence" else math.log1p(claim.margin)


def _level(claim: Claim) -> float:
    return ALPHA / 2 if claim.test == "superiority" else ALPHA


def _p_values(estimate: float, error: float, freedom: float, claim: Claim) -> tuple[float, float, float | None]:
    """For the claim, for its contrary, and for a gain below the margin of superiority."""
    margin = _margin(claim)

    def above(bound: float) -> float:
        return float(stats.t.sf((estimate - bound) / error, freedom))

    def below(bound: float) -> float:
        return float(stats.t.cdf((estimate - bound) / error, freedom))

    if claim.test == "superiority":
        return above(0.0), below(0.0), below(margin) if margin else None
    if claim.test == "non-inferiority":
        return above(-margin), below(-margin), None
    return max(above(-margin), below(margin)), min(1.0, 2 * min(above(margin), below(-margin))), None


def _needed(estimate: float, error: float, freedom: float, n: int, claim: Claim) -> Needed | None:
    """For the verdict that takes the fewest; None where none is within MOST_SEEDS. For one comparison, uncorrected."""
    margin, level = _margin(claim), _level(claim)
    ways = {
        "superiority": {
            SUPPORTED: [estimate],
            CONTRADICTED: [-estimate],
            **({NEGLIGIBLE: [margin - estimate]} if margin else {}),
        },
        "non-inferiority": {SUPPORTED: [estimate + margin], CONTRADICTED: [-margin - estimate]},
        "equivalence": {SUPPORTED: [margin - estimate, margin + estimate], CONTRADICTED: [abs(estimate) - margin]},
    }[claim.test]
    levels = {word: level / 2 if claim.test == "equivalence" and word == CONTRADICTED else level for word in ways}

    def runs(verdict: str, of_error: float) -> int | None:
        return runs_needed(ways[verdict], of_error, freedom, n, levels[verdict])

    known = {word: count for word in ways if (count := runs(word, error)) is not None}
    if not known:
        return None
    verdict = min(known, key=known.__getitem__)
    low, high = statistics.sd_interval(error, freedom)
    return Needed(verdict, runs(verdict, low), known[verdict], runs(verdict, high))


def _claim(path: Path, values: Mapping[str, Any]) -> Claim:
    known = [one.name for one in fields(Claim)]
    name = values.get("name", "a claim without a name")
    for key in values:
        if key not in known:
            raise UserError(f"{path}: {name}: unknown key '{key}'.{suggest(str(key), known)}")
    try:
        claim = Claim(**values)
    except TypeError as error:
        raise UserError(f"{path}: {name}: {str(error).partition('__init__() ')[2] or error}.") from error
    numbers = type(claim.seeds) is int and isinstance(claim.margin, int | float)
    if not numbers or any(isinstance(one, str) for one in (claim.against, claim.datasets, claim.sensitive)):
        raise UserError(f"{path}: {name}: seeds and margin are numbers; against, datasets and sensitive are lists.")
    if claim.test not in TESTS:
        raise UserError(f"{path}: {name}: unknown test '{claim.test}'.{suggest(claim.test, TESTS)}")
    if claim.better not in ("higher", "lower"):
        raise UserError(f"{path}: {name}: better is higher or lower, not '{claim.better}'.")
    if not 0 <= claim.margin < (1 if claim.ratio else math.inf):
        raise UserError(f"{path}: {name}: margin {claim.margin}: a number from 0, of a ratio below 1.")
    if claim.test in ("non-inferiority", "equivalence") and not claim.margin > 0:
        raise UserError(f"{path}: {name}: {claim.test} needs a margin above 0.")
    if claim.sensitive and (len(claim.sensitive) != 2 or claim.test == "exact" or claim.ratio or claim.margin <= 0):
        raise UserError(f"{path}: {name}: sensitive needs two arms, the better first, a margin, and runs to compare.")
    if not claim.against or (claim.test != "exact" and (claim.seeds < 2 or not claim.datasets)):
        raise UserError(
            f"{path}: {name}: it needs `against`, and unless it is exact `datasets` and at least two seeds."
        )
    return claim
