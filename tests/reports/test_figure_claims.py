"""What the figure of the verdicts shows: every comparison of accuracy, turned to the claim's direction, its margin."""

from collections.abc import Callable

import pytest

from bench.reports import figure_claims
from bench.reports.claims import CONTRADICTED, SUPPORTED, UNDECIDED, UNTESTED, Claim, Judged
from bench.reports.claims_evidence import Part, Verdict
from bench.reports.statistics import Difference

Make = Callable[..., Claim]


def verdict(claim: Claim, word: str, difference: float | None) -> Verdict:
    found = None if difference is None else Difference(difference, interval=(difference - 0.01, difference + 0.01))
    return Verdict(claim, word, [Part("digits", "barlow", (5, 5), Judged(word, "", found))], None)


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list:
    """Axes of what is drawn."""
    seen: list = []

    def remember(figure: object, *_: object) -> None:
        seen.extend(figure.axes)  # type: ignore[attr-defined]

    monkeypatch.setattr(figure_claims, "rendered", remember)
    return seen


def test_rows_point_to_the_claim_and_show_its_margin(claim: Make, drawn: list) -> None:
    figure_claims.draw(
        [
            verdict(claim(margin=0.005), SUPPORTED, 0.02),
            verdict(claim("non-inferiority", margin=0.01, better="lower"), CONTRADICTED, 0.03),
            verdict(claim(metric="analysis.geometry.rank"), SUPPORTED, 7.0),  # no accuracy
            verdict(claim(), UNTESTED, None),
            verdict(claim("equivalence", margin=0.02), UNDECIDED, 0.0),
        ]
    )
    (axes,) = drawn
    assert len(axes.get_yticks()) == 3
    points = {line.get_label(): line for line in axes.lines if line.get_label() in figure_claims.LOOKS}
    assert {word: line.get_xdata()[0] for word, line in points.items()} == pytest.approx(
        {SUPPORTED: 2.0, CONTRADICTED: -3.0, UNDECIDED: 0.0}
    )
    assert len({line.get_marker() for line in points.values()}) == 3
    assert points[UNDECIDED].get_markerfacecolor() == "white"
    margins = [line.get_xdata()[0] for line in axes.lines if line.get_label() == "margin"]
    assert margins == pytest.approx([0.5, -1.0, -2.0, 2.0])


def test_there_is_no_figure_without_a_comparison_of_accuracies(claim: Make) -> None:
    assert figure_claims.draw([verdict(claim(), UNTESTED, None)]) is None
    assert figure_claims.draw([verdict(claim(metric="analysis.geometry.rank"), SUPPORTED, 7.0)]) is None
