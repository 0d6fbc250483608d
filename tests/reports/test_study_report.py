"""A study's report from end to end: its runs, its flags, what it decides, and that it can be verified."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest

from bench.errors import UserError
from bench.reports import figure_study
from bench.reports.declared import Declared, analyse, read
from bench.reports.flags import red_flags
from bench.reports.load import curves, load
from bench.reports.page import write_report
from bench.reports.sentences import answer
from bench.reports.study import Cell, Options, Record, comparisons, groups_of
from bench.reports.verify import verify

Writer = Callable[..., Path]


@pytest.fixture
def study(write_run: Writer, tmp_path: Path) -> Declared:
    """Two arms at two batch sizes, five seeds, and a run that is not the study's; its folder is tmp_path/runs."""
    cells: dict[str, Cell] = {}
    for size, gain in ((32, 0.05), (512, 0.0)):
        for arm, level in (("smi", 0.5 + gain), ("barlow", 0.5)):
            for seed in range(5):
                noise = [0.0, 0.01, -0.01, 0.02, -0.015][seed] * (1 if arm == "smi" else -1)
                folder = write_run(arm, seed, level + noise, shared={"batch_size": size})
                key = str(folder.parent.relative_to(tmp_path / "runs"))
                cells[key] = Cell(key, arm, "imagewoof:160", {"batch_size": str(size)})
    write_run("smi", 0, 0.99, config={"stray": 1})
    return Declared(
        study=Record("batch", "Small batches", "Do they hurt?", "grid", "barlow", [0, 1, 2, 3, 4], list(cells.values()))
    )


def test_the_report_of_a_study_is_of_its_runs_and_can_be_verified(study: Declared, tmp_path: Path) -> None:
    report = write_report([tmp_path / "runs"], tmp_path / "report", study)
    names = {str(path.relative_to(tmp_path / "report")) for path in report.paths}
    assert {"report.md", "report.html", "results.csv", "declared.json", "tables/study-grid-imagewoof-160.csv"} <= names
    assert {"figures/study-grid-imagewoof-160.png", "tables/imagewoof-160-32.csv"} <= names
    page = (tmp_path / "report/report.md").read_text()
    assert "## Small batches" in page
    assert "stray" not in page
    assert len(pd.read_csv(tmp_path / "report/results.csv")) == 20
    assert "Never begun" not in page
    assert read(tmp_path / "report/declared.json").to_json() == study.to_json()
    assert verify(tmp_path / "report", [tmp_path / "runs"]).drifts == []
    assert verify(tmp_path / "report", []).drifts == []


def test_a_changed_number_of_the_section_is_found(study: Declared, tmp_path: Path) -> None:
    write_report([tmp_path / "runs"], tmp_path / "report", study)
    path = tmp_path / "report/tables/study-changes-imagewoof-160.csv"
    path.write_text(path.read_text().replace("barlow", "barely", 1))
    assert any("study-changes" in drift for drift in verify(tmp_path / "report", [tmp_path / "runs"]).drifts)


def test_a_record_of_another_study_is_no_report(study: Declared, tmp_path: Path) -> None:
    assert study.study is not None
    write_report([tmp_path / "runs"], tmp_path / "report", study)
    cells = [replace(cell, key=cell.key.replace("imagewoof", "digits")) for cell in study.study.cells]
    (tmp_path / "report/declared.json").write_text(replace(study, study=replace(study.study, cells=cells)).to_json())
    with pytest.raises(UserError, match="has no run"):
        verify(tmp_path / "report", [])


def test_declared_runs_that_never_began_are_flagged(study: Declared, tmp_path: Path) -> None:
    assert study.study is not None
    arms = [*study.study.cells, Cell("imagewoof-160/byol/00000000", "byol", "imagewoof:160", {"batch_size": "32"})]
    more = replace(study.study, cells=arms, seeds=range(6))
    small, large = comparisons(load([tmp_path / "runs"]), more, {})
    assert red_flags(small) == ["Never begun, though declared: seed 5 of smi; seed 5 of barlow; every run of byol."]
    assert red_flags(large) == ["Never begun, though declared: seed 5 of smi; seed 5 of barlow."]


def test_no_other_arm_stands_in_for_a_reference_without_runs(study: Declared, tmp_path: Path) -> None:
    assert study.study is not None
    assert study.study.reference == "barlow"
    runs = load([tmp_path / "runs"])
    small, _ = comparisons(runs, study.study, {})
    lost = runs["id"].isin(small.runs["id"]) & runs["id"].str.contains("/barlow/")
    without, same = comparisons(runs[~lost], study.study, {})
    assert small.reference is not None
    assert any(row.against for row in small.rows)
    assert without.reference is None
    assert not any(row.against for row in without.rows)
    assert answer(without) == [f"On {small.title} there is no run of the reference, so that nothing is compared."]
    assert same.reference is not None


def test_a_study_about_its_analyses_does_not_decide_accuracy_again(study: Declared, tmp_path: Path) -> None:
    assert study.study is not None
    elsewhere = replace(study, study=replace(study.study, accuracy_in="main"))
    runs = load([tmp_path / "runs"])
    found, other = (analyse(runs, curves(runs)[0], one) for one in (study, elsewhere))
    (line,) = set(other.answers) - set(found.answers)
    assert "Accuracy is decided in the study main" in line
    assert other.tables.keys() == found.tables.keys()


def test_arms_are_compared_in_one_family_of_tests(study: Declared, tmp_path: Path) -> None:
    """The p of a variant alone, smaller than the one in the study's table, would be a second answer."""
    assert study.study is not None
    runs = load([tmp_path / "runs"])
    small = [replace(cell, variant={}) for cell in study.study.cells if cell.variant["batch_size"] == "32"]
    one = replace(study, study=replace(study.study, cells=small, section=""))
    several, alone = (analyse(runs, curves(runs)[0], declared).answers for declared in (study, one))
    assert any("above barlow" in line for line in alone)
    assert not any("above barlow" in line or "apart from barlow" in line for line in several)
    assert "How arms compare is in the study's own table" in several[-1]
    usual = replace(study, study=replace(study.study, section="comparison"))  # which has no such table
    assert any("above barlow" in line for line in analyse(runs, curves(runs)[0], usual).answers)


def test_only_the_declared_seeds_count(study: Declared, tmp_path: Path) -> None:
    assert study.study is not None
    few = Record(**{**vars(study.study), "seeds": [0, 1]})
    from bench.reports.study import runs_of

    runs = runs_of(load([tmp_path / "runs"]), few)
    assert sorted(runs["seed"].unique()) == [0, 1]
    assert all(len(one.runs) == 2 for one in groups_of(runs, few)["imagewoof:160"])


def test_the_legend_of_a_grid_has_arms_that_its_last_panel_lacks(study: Declared, tmp_path: Path) -> None:
    assert study.study is not None
    variants = {"32": {"w": "1", "batch_size": "32"}, "512": {"w": "1", "batch_size": "512"}}
    cells = [replace(cell, variant=variants[cell.variant["batch_size"]]) for cell in study.study.cells]
    few = [cell for cell in cells if cell.arm == "smi" or cell.variant["batch_size"] == "32"]
    record = replace(study.study, cells=few)
    ((groups),) = groups_of(load([tmp_path / "runs"]), record).values()
    figure = figure_study._curves(groups, record, Options("linear", False))
    assert figure is not None
    *_, last = figure.axes
    legend = last.get_legend()
    assert legend is not None
    assert {text.get_text() for text in legend.get_texts()} == {"smi", "barlow"}
