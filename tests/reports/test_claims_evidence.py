"""From studies' reports to evidence, verdicts and the page of claims."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from bench.cli import main
from bench.errors import UserError
from bench.reports import claims_page
from bench.reports.claims import CONTRADICTED, NEGLIGIBLE, SUPPORTED, UNDECIDED, UNTESTED, Claim, read
from bench.reports.claims_evidence import find, verdict_of
from bench.reports.declared import Declared
from bench.reports.statistics import welch
from bench.reports.study import Cell, Record

Writer = Callable[..., Path]
Make = Callable[..., Claim]


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
    record = replace(record, command="python -m bench study main")
    folder = tmp_path / "results/studies/main"
    (folder / "analysis/geometry").mkdir(parents=True)
    (folder / "declared.json").write_text(Declared(study=record).to_json())
    pd.DataFrame(rows).to_csv(folder / "analysis/geometry/measures.csv", index=False)
    return tmp_path / "results"


def test_a_claim_is_judged_by_its_study_and_the_declared_seeds(claim: Make, results: Path) -> None:
    found = verdict_of(claim(), find([results]))
    assert found.verdict == SUPPORTED
    (part,) = found.parts
    expected = welch([0.53, 0.54, 0.52, 0.55, 0.53], [0.50, 0.51, 0.49, 0.50, 0.52])
    assert part.n == (5, 5)
    assert part.judged.difference is not None
    assert part.judged.difference.difference == pytest.approx(expected.difference)
    assert part.judged.difference.error == pytest.approx(expected.error)


def test_a_claim_is_judged_by_the_first_of_the_seeds_that_the_study_declares(claim: Make, results: Path) -> None:
    path = results / "studies/main/declared.json"
    declared = json.loads(path.read_text())
    declared["study"]["seeds"] = [2, 3, 4, 0, 1, 5]  # as by `study main --seeds 2,3,4,0,1,5`
    path.write_text(json.dumps(declared))
    found = verdict_of(claim(seeds=3), find([results]))
    (part,) = found.parts
    assert part.judged.difference is not None
    expected = welch([0.52, 0.55, 0.53], [0.49, 0.50, 0.52])
    assert part.judged.difference.difference == pytest.approx(expected.difference)
    assert "n = 3 and 3, seeds 2, 3 and 4" in claims_page.sentences(found)[2]


def test_an_analysis_gives_numbers_for_a_claim(claim: Make, results: Path) -> None:
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


def test_an_analysis_with_several_maps_gives_a_number_for_each(claim: Make, results: Path) -> None:
    folder = results / "studies/main/analysis/geometry"
    table = pd.read_csv(folder / "measures.csv")
    maps = [table.assign(map=name, rank=table["rank"] + shift) for name, shift in (("activation", 0.0), ("other", 9.0))]
    pd.concat(maps).to_csv(folder / "scores.csv", index=False)
    found = verdict_of(claim(metric="analysis.geometry.activation.rank"), find([results]))
    assert found.parts[0].judged.difference is not None
    assert found.parts[0].judged.difference.difference == pytest.approx(0.3)


def test_a_difference_of_columns_is_taken_run_by_run(claim: Make, results: Path) -> None:
    found = verdict_of(claim(metric="scores.linear", minus="scores.linear"), find([results]))
    assert found.verdict == UNTESTED  # all zero: no spread


def test_fewer_seeds_than_declared_are_no_evidence(claim: Make, results: Path) -> None:
    found = verdict_of(claim(seeds=7), find([results]))
    assert found.verdict == UNTESTED
    assert found.parts[0].judged.reason == "6 of the 7 declared seeds have a result"


def test_what_was_not_run_is_said_with_the_command(claim: Make, results: Path) -> None:
    found = verdict_of(claim(datasets=["imagenet"]), find([results]))
    assert found.verdict == UNTESTED
    assert claims_page.sentences(found)[-2:] == [
        "To test it on a CPU: python -m bench study main",
        "To test it on a GPU: python -m bench study main",
    ]


def test_numbers_without_noise_come_from_a_file_beside_the_report(claim: Make, results: Path) -> None:
    folder = results / "studies/main"
    pd.DataFrame(
        {"objective": ["smi", "barlow"] * 2, "top": [0.1, 0.1, 0.5, 0.5], "share": [0.6, 0.3, 0.1, 0.9]}
    ).to_csv(folder / "shares.csv", index=False)
    exact = claim("exact", metric="share", table="shares.csv", key="objective", rows={"top": 0.1})
    assert verdict_of(exact, find([results])).verdict == SUPPORTED
    rows = [
        {"what": "objective", "method": "smi", "cpu_ms": 2.0, "wall_ms": 3.0},
        {"what": "objective", "method": "barlow", "cpu_ms": 1.0, "wall_ms": 4.0},
    ]
    cost = claim("exact", metric="ms", better="lower", table="cost.json", key="method", rows={"what": "objective"})
    for device, verdict in {"cpu": CONTRADICTED, "cuda": SUPPORTED}.items():
        (folder / "cost.json").write_text(
            json.dumps({"environment": {"device": device, "hardware": "H"}, "rows": rows})
        )
        assert verdict_of(cost, find([results])).verdict == verdict
    for row in rows:
        row |= {"cpu_ms_low": 0.5, "cpu_ms_high": 2.5}
    (folder / "cost.json").write_text(json.dumps({"environment": {"device": "cpu", "hardware": "H"}, "rows": rows}))
    assert verdict_of(cost, find([results])).verdict == UNDECIDED
    assert verdict_of(claim("exact", table="none.csv", metric="x", key="y"), find([results])).verdict == UNTESTED
    # A record of an earlier version, which did not measure this: nowhere, or not in these rows.
    for more in ([], [{"what": "step", "method": "smi", "memory_mib": 5.0}]):
        kept = {"environment": {"device": "cpu", "hardware": "H"}, "rows": [*rows, *more]}
        (folder / "cost.json").write_text(json.dumps(kept))
        assert verdict_of(replace(cost, metric="memory_mib"), find([results])).verdict == UNTESTED


def test_a_gpu_can_be_judged_by_other_rows(claim: Make, results: Path) -> None:
    rows = [
        {"stage": stage, "method": method, "ratio": ratio}
        for stage, ratios in {"objective": (0.1, 0.3), "step": (1.0, 0.9)}.items()
        for method, ratio in zip(("smi", "barlow"), ratios, strict=True)
    ]
    cost = claim("exact", metric="ratio", better="lower", table="cost.json", key="method", margin=0.05)
    cost = replace(cost, rows={"stage": "objective"}, on_gpu={"stage": "step"})
    for device, verdict in {"cpu": SUPPORTED, "cuda": CONTRADICTED}.items():
        kept = {"environment": {"device": device, "hardware": "H"}, "rows": rows}
        (results / "studies/main/cost.json").write_text(json.dumps(kept))
        assert verdict_of(cost, find([results])).verdict == verdict


def test_times_name_their_machine_and_the_command_for_another(claim: Make, results: Path) -> None:
    rows = [{"method": arm, "cpu_ms": ms, "what": "objective"} for arm, ms in {"smi": 1.0, "barlow": 2.0}.items()]
    kept = {"environment": {"device": "cpu", "hardware": "A Processor, 1 cores"}, "rows": rows}
    (results / "studies/main/cost.json").write_text(json.dumps(kept))
    cost = claim("exact", metric="ms", better="lower", ratio=True, table="cost.json", key="method")
    found = verdict_of(cost, find([results]))
    assert found.verdict == SUPPORTED
    lines = claims_page.sentences(found)
    assert "smi against barlow: supported; ms −50.0 %; on A Processor, 1 cores." in lines
    assert "To test it on a GPU: python -m bench study main" in lines


def test_a_measure_that_does_not_tell_apart_what_it_must_decides_nothing(claim: Make, results: Path) -> None:
    means = 0.030  # smi less barlow
    for margin, verdict in ((means - 0.001, SUPPORTED), (means + 0.001, UNTESTED)):
        found = verdict_of(claim(margin=margin, sensitive=["smi", "barlow"]), find([results]))
        assert found.verdict == verdict
    reason = found.parts[0].judged.reason
    assert "does not tell smi from barlow by the margin of 0.031 (0.534 and 0.504; one-sided p = " in reason
    assert "To test it on a CPU" not in " ".join(claims_page.sentences(found))
    path = results / "studies/main/declared.json"
    declared = json.loads(path.read_text())
    declared["study"]["seeds"] = [0, 1]  # the same gain of three points, but of two runs each
    few = json.dumps(declared)
    whole = path.read_text()
    path.write_text(few)
    found = verdict_of(claim(margin=0.01, seeds=2, sensitive=["smi", "barlow"]), find([results]))
    assert "does not tell smi from barlow" in found.parts[0].judged.reason
    path.write_text(whole)
    for arms in (["barlow", "smi"], ["smi", "random"]):
        assert verdict_of(claim(margin=0.01, sensitive=arms), find([results])).verdict == UNTESTED
    lower = claim(margin=0.01, better="lower", sensitive=["barlow", "smi"])
    assert verdict_of(lower, find([results])).verdict == CONTRADICTED


def test_whether_a_gain_reaches_its_margin_is_said_beside_the_verdict(claim: Make, results: Path) -> None:
    for margin, words in ((0.005, "reaches 0.5 points is shown"), (0.02, "reaches 2 points is not shown")):
        found = verdict_of(claim(margin=margin, changed="Once it was another."), find([results]))
        assert found.verdict == SUPPORTED
        lines = claims_page.sentences(found)
        assert "Changed: Once it was another." in lines
        assert any(f"above 0; that it {words}, p " in line for line in lines)
        judged = found.parts[0].judged
        test = welch(
            [0.53 - margin, 0.54 - margin, 0.52 - margin, 0.55 - margin, 0.53 - margin], [0.50, 0.51, 0.49, 0.50, 0.52]
        )
        assert test.p is not None
        assert judged.p_margin == pytest.approx(test.p / 2)


def test_a_cost_that_is_the_same_at_every_seed_needs_no_test(claim: Make, write_run: Writer, tmp_path: Path) -> None:
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
    claim: Make, results: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
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
    assert "(<figures/claims.png>)" in page
    assert (results / "figures/claims.png").stat().st_size > 10_000
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


def test_a_user_may_judge_on_other_datasets_but_not_what_is_about_one_alone(
    claim: Make, results: Path, tmp_path: Path
) -> None:
    path = tmp_path / "claims.yaml"
    alone = claim(name="alone", datasets=["imagenet"], only_there=True)
    path.write_text(json.dumps([vars(claim(datasets=["cifar10", "digits"])), vars(alone)]))
    assert main(["claims", str(results), "--claims", str(path), "--dataset", "imagewoof:160"]) == 0
    page = (results / "claims.md").read_text()
    assert "## better: supported" in page
    assert "From: python -m bench study main" in page
    alone = page.partition("## alone: not testable here")[2]
    assert "on a GPU" in alone
    assert "on a CPU" not in alone
    verify = ["verify", str(results), "--claims", str(path)]
    assert main(verify) == 0
    assert main(["claims", str(results), "--claims", str(path)]) == 0
    assert "## better: not testable here" in (results / "claims.md").read_text()
    assert main(verify) == 0


def test_no_study_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^No study has been reported in"):
        find([tmp_path])
    with pytest.raises(UserError, match="There is no output folder"):
        find([tmp_path / "nowhere"])
