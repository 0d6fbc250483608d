"""Verdicts: worked by hand, by simulation under the null, and from studies' reports to the page."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.cli import main
from bench.commands.claims import CLAIMS
from bench.errors import UserError
from bench.reports import claims_page
from bench.reports.claims import (
    CONTRADICTED,
    NEGLIGIBLE,
    SUPPORTED,
    UNDECIDED,
    UNTESTED,
    Claim,
    Judged,
    combined,
    judge,
    judge_exact,
    read,
)
from bench.reports.claims_evidence import find, verdict_of
from bench.reports.declared import Declared
from bench.reports.statistics import Difference, welch
from bench.reports.study import Cell, Record

Writer = Callable[..., Path]


def claim(test: str = "superiority", **changes: object) -> Claim:
    values: dict[str, object] = {
        "name": "better",
        "words": "it is better",
        "source": "abstract",
        "hypothesis": "it is.",
        "study": "main",
        "arm": "smi",
        "against": ["barlow"],
        "metric": "scores.linear",
        "test": test,
        "elsewhere": "python -m bench study main",
        "datasets": ["imagewoof:160"],
        "seeds": 5,
    }
    return Claim(**{**values, **changes})  # type: ignore[arg-type]


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
        ("superiority", 0.02, 0.02 - BOUND - 1e-6, CONTRADICTED),
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
    test: str, margin: float, difference: float, verdict: str
) -> None:
    assert judge(seen(difference), 5, claim(test, margin=margin)).verdict == verdict
    lower = claim(test, margin=margin, better="lower")
    assert judge(seen(-difference), 5, lower).verdict == verdict


def test_without_a_test_there_is_no_verdict() -> None:
    for difference in (None, Difference(0.3), welch([0.5], [0.2, 0.3]), welch([0.5, 0.5], [0.2, 0.2])):
        assert judge(difference, 5, claim()).verdict == UNTESTED


def test_a_ratio_has_its_margin_in_percent() -> None:
    ratio = claim("non-inferiority", ratio=True, margin=0.05)
    bound = -np.log(1.05) + ONE_SIDED
    assert judge(seen(bound + 1e-6), 5, ratio).verdict == SUPPORTED
    assert judge(seen(bound - 1e-6), 5, ratio).verdict == UNDECIDED


def test_numbers_without_noise_are_compared_as_they_are() -> None:
    faster = claim("exact", better="lower", ratio=True, margin=0.05)
    assert judge_exact(1.0, 1.06, faster).verdict == SUPPORTED
    assert judge_exact(1.0, 1.04, faster).verdict == NEGLIGIBLE
    assert judge_exact(1.0, 0.99, faster).verdict == CONTRADICTED
    assert judge_exact(0.6, 0.5, claim("exact", margin=0.05)).verdict == SUPPORTED


def test_a_claim_is_supported_where_all_its_parts_are() -> None:
    good, open_, bad = (judge(seen(value), 5, claim()) for value in (0.05, 0.0, -0.2))
    missing, small = Judged(UNTESTED, "no run"), Judged(NEGLIGIBLE, "")
    assert combined([good, small], claim())[0] == NEGLIGIBLE
    assert combined([small, open_], claim())[0] == UNDECIDED
    assert combined([good, good], claim())[0] == SUPPORTED
    assert combined([good, open_], claim())[0] == UNDECIDED
    assert combined([good, bad], claim())[0] == CONTRADICTED
    assert combined([good, missing], claim())[0] == UNTESTED
    assert combined([bad, missing], claim())[0] == CONTRADICTED
    assert combined([], claim())[0] == UNTESTED


def test_a_contradiction_is_corrected_for_the_number_of_comparisons() -> None:
    weak = judge(seen(-BOUND - 1e-4), 5, claim())
    assert weak.verdict == CONTRADICTED
    word, parts = combined([weak, *[judge(seen(0.0), 5, claim())] * 4], claim())
    assert word == UNDECIDED
    assert "Holm" in parts[0].reason


def simulated(test: str, margin: float, truth: float, parts: int, draws: int) -> dict[str, float]:
    """Share of each verdict where the arm's true lead is `truth`, standard deviation 1, five runs a side."""
    generator = np.random.default_rng(0)
    asked, counts = claim(test, margin=margin), dict.fromkeys((SUPPORTED, NEGLIGIBLE, CONTRADICTED, UNDECIDED), 0)
    for _ in range(draws):
        own = generator.normal(truth, 1, 5)
        judged = [judge(welch(own, generator.normal(0, 1, 5)), 5, asked) for _ in range(parts)]
        counts[combined(judged, asked)[0]] += 1
    return {verdict: count / draws for verdict, count in counts.items()}


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
@pytest.mark.parametrize("draws", [200, pytest.param(4000, marks=pytest.mark.slow)])
def test_a_false_claim_is_seldom_supported(
    test: str, margin: float, truth: float, level: float, parts: int, draws: int
) -> None:
    slack = 4 * np.sqrt(level * (1 - level) / draws)
    assert simulated(test, margin, truth, parts, draws)[SUPPORTED] <= level + slack


@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("draws", [200, pytest.param(4000, marks=pytest.mark.slow)])
def test_a_true_claim_is_seldom_contradicted(parts: int, draws: int) -> None:
    slack = 4 * np.sqrt(0.05 * 0.95 / draws)
    assert simulated("superiority", 0.0, 0.0, parts, draws)[CONTRADICTED] <= 0.025 + slack
    assert simulated("non-inferiority", 1.0, -1.0, parts, draws)[CONTRADICTED] <= 0.05 + slack
    assert simulated("equivalence", 1.0, 1.0, parts, draws)[CONTRADICTED] <= 0.05 + slack


@given(st.floats(-0.2, 0.2), st.sampled_from(["superiority", "non-inferiority", "equivalence"]))
def test_the_seeds_needed_are_more_than_there_were(difference: float, test: str) -> None:
    judged = judge(seen(difference), 5, claim(test, margin=0.05))
    assert judged.needed is None or (judged.verdict == UNDECIDED and judged.needed > 5)


def test_the_seeds_needed_have_the_power_that_simulation_finds() -> None:
    judged = judge(welch([1.6, 0.4, 1.1, 0.2, 1.2], [0.9, 0.1, -0.5, 0.8, 0.2]), 5, claim())
    assert judged.verdict == UNDECIDED
    assert judged.needed is not None
    assert judged.difference is not None
    assert judged.difference.error is not None
    sd = judged.difference.error * np.sqrt(5 / 2)
    generator = np.random.default_rng(1)
    found = [
        judge(welch(*generator.normal([[judged.difference.difference], [0]], sd, (2, judged.needed))), 5, claim())
        for _ in range(400)
    ]
    assert np.mean([one.verdict == SUPPORTED for one in found]) == pytest.approx(0.8, abs=0.08)


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
        ({"test": "equivalence"}, "needs a margin"),
        ({"better": "up"}, "better is higher or lower"),
        ({"seeds": 1}, "at least two seeds"),
        ({"against": []}, "needs `against`"),
    ],
)
def test_a_mistake_in_the_file_is_one_line(change: dict[str, object], message: str, tmp_path: Path) -> None:
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


@pytest.fixture
def results(write_run: Writer, tmp_path: Path) -> Path:
    """A study `main` of two arms, six seeds (the sixth a trap), with an analysis beside its report."""
    lead = {"smi": [0.53, 0.54, 0.52, 0.55, 0.53, 0.05], "barlow": [0.50, 0.51, 0.49, 0.50, 0.52, 0.99]}
    cells, rows = {}, []
    for arm, values in lead.items():
        for seed, value in enumerate(values):
            recipe = "tuned (16 trials)" if arm == "smi" else "default"
            folder = write_run(arm, seed, value, output="results", shared={"recipe": recipe, "image_size": 64})
            key = str(folder.parent.relative_to(tmp_path / "results"))
            cells[key] = Cell(key, arm, "imagewoof:160", {})
            rows.append({"id": f"{key}/seed{seed}", "rank": 10 * value + 0.01 * seed})
    record = Record("main", "T", "Q", "comparison", "barlow", [*range(6)], list(cells.values()), analyses=["geometry"])
    folder = tmp_path / "results/studies/main"
    (folder / "analysis/geometry").mkdir(parents=True)
    (folder / "declared.json").write_text(Declared(study=record).to_json())
    pd.DataFrame(rows).to_csv(folder / "analysis/geometry/measures.csv", index=False)
    return tmp_path / "results"


def test_a_claim_is_judged_by_its_study_and_the_declared_seeds(results: Path) -> None:
    found = verdict_of(claim(), find([results]))
    assert found.verdict == SUPPORTED
    (part,) = found.parts
    expected = welch([0.53, 0.54, 0.52, 0.55, 0.53], [0.50, 0.51, 0.49, 0.50, 0.52])
    assert part.n == (5, 5)
    assert part.judged.difference is not None
    assert part.judged.difference.difference == pytest.approx(expected.difference)
    assert part.judged.difference.error == pytest.approx(expected.error)


def test_an_analysis_gives_numbers_for_a_claim(results: Path) -> None:
    found = verdict_of(claim(metric="analysis.geometry.rank"), find([results]))
    assert found.verdict == SUPPORTED
    assert found.parts[0].judged.difference is not None
    assert found.parts[0].judged.difference.difference == pytest.approx(0.3)


def test_an_analysis_of_every_variant_and_with_two_files_gives_every_run_one_row(results: Path) -> None:
    folder = results / "studies/main"
    whole = pd.read_csv(folder / "analysis/geometry/measures.csv")
    for variant, rows in {"one": whole.iloc[:6], "two": whole.iloc[6:]}.items():
        (folder / f"analysis/geometry/{variant}").mkdir()
        rows.to_csv(folder / f"analysis/geometry/{variant}/measures.csv", index=False)
        rows.assign(other=2.0)[["id", "other"]].to_csv(folder / f"analysis/geometry/{variant}/scores.csv", index=False)
    declared = json.loads((folder / "declared.json").read_text())
    declared["study"]["analyses"] = ["geometry/one", "geometry/two"]
    (folder / "declared.json").write_text(json.dumps(declared))
    (evidence,) = find([results])
    for group in (one for groups in evidence.groups.values() for one in groups):
        assert len(group.runs) == 6
        assert set(group.scores("analysis.geometry.other").values()) == {2.0}
        assert len(group.scores("analysis.geometry.rank")) == 6


def test_an_analysis_with_several_maps_gives_a_number_for_each(results: Path) -> None:
    folder = results / "studies/main/analysis/geometry"
    table = pd.read_csv(folder / "measures.csv")
    maps = [table.assign(map=name, rank=table["rank"] + shift) for name, shift in (("activation", 0.0), ("other", 9.0))]
    pd.concat(maps).to_csv(folder / "scores.csv", index=False)
    found = verdict_of(claim(metric="analysis.geometry.activation.rank"), find([results]))
    assert found.parts[0].judged.difference is not None
    assert found.parts[0].judged.difference.difference == pytest.approx(0.3)


def test_a_difference_of_columns_is_taken_run_by_run(results: Path) -> None:
    found = verdict_of(claim(metric="scores.linear", minus="scores.linear"), find([results]))
    assert found.verdict == UNTESTED  # all zero: no spread


def test_fewer_seeds_than_declared_are_no_evidence(results: Path) -> None:
    found = verdict_of(claim(seeds=7), find([results]))
    assert found.verdict == UNTESTED
    assert found.parts[0].judged.reason == "6 of the 7 declared seeds have a result"


def test_what_was_not_run_is_said_with_the_command(results: Path) -> None:
    found = verdict_of(claim(datasets=["imagenet"]), find([results]))
    assert found.verdict == UNTESTED
    assert claims_page.sentences(found)[-1] == "To test it: python -m bench study main"


def test_numbers_without_noise_come_from_a_file_beside_the_report(results: Path) -> None:
    folder = results / "studies/main"
    pd.DataFrame(
        {"objective": ["smi", "barlow"] * 2, "top": [0.1, 0.1, 0.5, 0.5], "share": [0.6, 0.3, 0.1, 0.9]}
    ).to_csv(folder / "shares.csv", index=False)
    exact = claim("exact", metric="share", table="shares.csv", key="objective", rows={"top": 0.1})
    assert verdict_of(exact, find([results])).verdict == SUPPORTED
    rows = [{"what": "objective", "method": name, "ms": value} for name, value in (("smi", 2.0), ("barlow", 1.0))]
    (folder / "cost.json").write_text(json.dumps({"rows": rows}))
    cost = claim("exact", metric="ms", better="lower", table="cost.json", key="method", rows={"what": "objective"})
    assert verdict_of(cost, find([results])).verdict == CONTRADICTED
    assert verdict_of(claim("exact", table="none.csv", metric="x", key="y"), find([results])).verdict == UNTESTED


def test_a_cost_that_is_the_same_at_every_seed_needs_no_test(write_run: Writer, tmp_path: Path) -> None:
    cells = {}
    for arm, memory in {"smi": 900.0, "barlow": 1000.0}.items():
        for seed in range(3):
            cost = {"peak_memory_mib": memory}
            folder = write_run(
                arm, seed, 0.5, output="results", shared={"recipe": "default", "image_size": 64}, cost=cost
            )
            key = str(folder.parent.relative_to(tmp_path / "results"))
            cells[key] = Cell(key, arm, "imagewoof:160", {})
    record = Record("main", "T", "Q", "comparison", "barlow", [*range(3)], list(cells.values()))
    (tmp_path / "results/studies/main").mkdir(parents=True)
    (tmp_path / "results/studies/main/declared.json").write_text(Declared(study=record).to_json())
    less = claim(metric="cost.peak_memory_mib", better="lower", ratio=True, margin=0.05, seeds=3)
    assert verdict_of(less, find([tmp_path / "results"])).verdict == SUPPORTED
    more = claim(metric="cost.peak_memory_mib", better="lower", ratio=True, margin=0.2, seeds=3)
    assert verdict_of(more, find([tmp_path / "results"])).verdict == NEGLIGIBLE


def test_the_command_writes_a_page_that_can_be_verified(
    results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "claims.yaml"
    path.write_text(json.dumps([vars(claim()), vars(claim(name="elsewhere", datasets=["imagenet"]))]))
    assert main(["claims", str(results), "--claims", str(path)]) == 0
    page = (results / "claims.md").read_text()
    assert "SMI here is a reconstruction" in page
    assert "## better: supported" in page
    assert "smi against barlow on imagewoof:160: supported; linear +3.0 points (95 % interval +1.3 to +4.7)" in page
    assert "64 px, slim of width 32, 10 epochs; settings tuned (16 trials) and default" in page
    assert "unequal standing" in page
    assert "## elsewhere: not testable here" in page
    assert "<table" in (results / "claims.html").read_text()
    evidence = find([results])
    verdicts = [verdict_of(one, evidence) for one in read(path)]
    assert claims_page.drifts(results, verdicts, evidence) == []
    (results / "claims.md").write_text(page.replace("+3.0 points", "+4.0 points"))
    assert any("+4.0" in drift for drift in claims_page.drifts(results, verdicts, evidence))
    (results / "claims.md").write_text(f"{page}\n- An invented line.\n")
    assert claims_page.drifts(results, verdicts, evidence) == ["claims.md: follows from no run: - An invented line."]
    (results / "claims.md").write_text(page)
    whole = (results / "claims.html").read_text()
    (results / "claims.html").write_text(whole.replace("better: supported", "better: refuted"))
    (drift,) = claims_page.drifts(results, verdicts, evidence)
    assert "'refuted' printed, 'supported' recomputed" in drift


def test_no_study_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^No study has been reported in"):
        find([tmp_path])
    with pytest.raises(UserError, match="There is no output folder"):
        find([tmp_path / "nowhere"])
