"""The whole report from run folders."""

import csv
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest

from bench.errors import UserError
from bench.reports.analysis import write_csv
from bench.reports.declared import Declared
from bench.reports.page import Report, Selection, write_report
from bench.reports.verify import verify

Writer = Callable[..., Path]


TABLES = {f"tables/imagewoof-160.{kind}" for kind in ("md", "tex", "csv")}
FIGURES = {
    f"figures/{name}-imagewoof-160.{kind}"
    for name in ("accuracy", "differences", "curves", "loss")
    for kind in ("pdf", "png")
}


def names(report: Report, destination: Path) -> set[str]:
    return {path.relative_to(destination).as_posix() for path in report.paths}


def test_the_report_is_complete_and_repeats_byte_for_byte(experiment: Path, tmp_path: Path) -> None:
    report = write_report([experiment], tmp_path / "report")
    assert report.paths[0] == tmp_path / "report" / "report.html"
    pages = {"report.html", "report.md", "results.csv", "declared.json"}
    assert names(report, tmp_path / "report") == pages | TABLES | FIGURES
    found = {path.relative_to(tmp_path / "report").as_posix() for path in (tmp_path / "report").rglob("*.*")}
    assert found == pages | TABLES | FIGURES
    page = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    links = {part.partition(">)")[0] for part in page.split("](<")[1:]}
    assert links == FIGURES
    again = write_report([experiment], tmp_path / "again")
    for first, second in zip(report.paths, again.paths, strict=True):
        assert first.read_bytes() == second.read_bytes(), first


@pytest.mark.parametrize(
    ("form", "written"),
    [
        ("md", {"report.md"} | {name for name in TABLES if name.endswith(".md")}),
        ("html", {"report.html"}),
        ("latex", {name for name in TABLES if name.endswith(".tex")}),
        ("csv", {"results.csv"} | {name for name in TABLES if name.endswith(".csv")}),
        ("figures", FIGURES),
    ],
)
def test_a_format_alone(experiment: Path, tmp_path: Path, form: str, written: set[str]) -> None:
    report = write_report([experiment], tmp_path / "report", selection=Selection(formats=[form]))
    assert names(report, tmp_path / "report") == written | {"declared.json"}
    page = tmp_path / "report" / "report.md"
    assert form != "md" or "figures/" not in page.read_text(encoding="utf-8")


def test_what_an_earlier_report_left_is_named(experiment: Path, write_run: Writer, tmp_path: Path) -> None:
    shared = {"dataset": {"name": "other", "key": "other", "fingerprint": "f" * 64, "classes": 10}}
    write_run("smi", 0, 0.4, shared=shared, dataset="other")
    two = write_report([experiment], tmp_path / "report")
    assert not two.strangers
    one = write_report([experiment], tmp_path / "report", selection=Selection(datasets=["imagewoof-160"]))
    left = names(two, tmp_path / "report") - names(one, tmp_path / "report")
    assert set(one.strangers) == left
    assert "tables/other.csv" in left


def test_only_the_chosen_methods_and_datasets(write_run: Writer, tmp_path: Path) -> None:
    for method in ("smi", "barlow", "vicreg"):
        for dataset in ("imagewoof-160", "other"):
            shared = {"dataset": {"name": dataset, "key": dataset, "fingerprint": "f" * 64, "classes": 10}}
            write_run(method, 0, 0.4, shared=shared, dataset=dataset)
    selection = Selection(["smi", "barlow"], ["other"], ["csv"])
    write_report([tmp_path / "runs"], tmp_path / "report", selection=selection)
    with open(tmp_path / "report" / "results.csv", newline="", encoding="utf-8") as handle:
        assert {(row["dataset"], row["method"]) for row in csv.DictReader(handle)} == {
            ("other", "smi"),
            ("other", "barlow"),
        }


@pytest.mark.parametrize(
    ("selection", "message"),
    [
        (Selection(methods=["barlo"]), "No run has the method 'barlo'. Did you mean 'barlow'"),
        (Selection(datasets=["imagewof-160"]), "No run has the dataset 'imagewof-160'. Did you mean 'imagewoof"),
    ],
)
def test_an_unknown_name_gets_a_near_one(experiment: Path, tmp_path: Path, selection: Selection, message: str) -> None:
    with pytest.raises(UserError, match=message):
        write_report([experiment], tmp_path / "report", selection=selection)
    assert not (tmp_path / "report").exists()


def test_another_metric_decides(experiment: Path, tmp_path: Path) -> None:
    selection = Selection(formats=["md"])
    report = write_report([experiment], tmp_path / "report", Declared(metric="knn"), selection)
    assert "points above Barlow Twins in kNN accuracy" in report.markdown
    assert "in linear accuracy" not in report.markdown


def test_the_answer_comes_first_and_every_loss_has_its_reason(experiment: Path, tmp_path: Path) -> None:
    report = write_report([experiment], tmp_path / "report", selection=Selection(formats=["md"]))
    page = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    lines = [line for line in page.splitlines() if line]
    assert lines[1].startswith("- SMI (reconstructed) [w=10.0] is 2.9 points above Barlow Twins")
    for line in (
        ": failed (out of memory)",
        ": diverged (loss is nan at step 21)",
        ": unfinished",
        ": collapsed, kept in the means",
        "Barlow Twins: 5 of 6 runs that ended gave a score (95 % Wilson interval of the success rate 44 to 97 %)",
    ):
        assert sum(line in one for one in lines) == 1, line
    assert report.markdown.startswith(lines[1])
    assert "**43.4 ± 0.5 [42.7, 44.1]**" in report.markdown
    assert "epochs = 10" in page
    assert "synthetic CPU" in page


def test_results_csv_has_a_row_per_run(experiment: Path, tmp_path: Path) -> None:
    write_report([experiment], tmp_path / "report", selection=Selection(formats=["csv"]))
    with open(tmp_path / "report" / "results.csv", newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    assert len(rows) == 26
    assert sum(row["status"] == "completed" for row in rows) == 23
    assert {row["scores.linear"] for row in rows if row["method"] == "random"} == {"0.21", "0.215", "0.22"}


def test_without_runs_the_user_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="There are no runs in"):
        write_report([tmp_path], tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_only_unreadable_runs_still_give_a_page(write_run: Writer, tmp_path: Path) -> None:
    (write_run("smi", 0, 0.4) / "config.yaml").write_text("{")
    report = write_report([tmp_path / "runs"], tmp_path / "report")
    assert "No run has a readable config.yaml." in report.markdown
    assert "unreadable (config.yaml cannot be read" in (tmp_path / "report" / "report.md").read_text(encoding="utf-8")


def test_a_single_unfinished_run_gives_a_page(write_run: Writer, tmp_path: Path) -> None:
    write_run("smi", 0, status=None)
    report = write_report([tmp_path / "runs"], tmp_path / "report")
    assert "no run of the reference SMI (reconstructed) has a score" in report.markdown


def test_spectra_and_cka_are_shown_where_the_geometry_was_analysed(write_run: Writer, tmp_path: Path) -> None:
    for method in ("smi", "barlow"):
        for seed in range(2):
            write_run(method, seed, 0.4 + seed / 100)
    write_run("smi", 0, 0.4, dataset="other", shared={"dataset": {"name": "other", "fingerprint": "e" * 64}})
    ids = [path.parent.relative_to(tmp_path / "runs").as_posix() for path in tmp_path.glob("runs/imagewoof*/*/*/*/re*")]
    folder = tmp_path / "runs" / "analysis" / "geometry"
    spectrum = [{"id": one, "index": index, "share": 0.5**index} for one in ids for index in (1, 2, 3)]
    write_csv(spectrum, folder / "spectrum.csv")
    write_csv([{"id_a": a, "id_b": b, "cka": 0.5} for a, b in combinations(ids, 2)], folder / "cka.csv")
    report = write_report([tmp_path / "runs"], tmp_path / "report")
    figures = {name for name in names(report, tmp_path / "report") if "geometry" in name}
    assert figures == {
        f"figures/geometry-{name}-imagewoof-160.{kind}" for name in ("spectrum", "cka") for kind in ("pdf", "png")
    }
    page, markdown = ((tmp_path / "report" / name).read_text(encoding="utf-8") for name in ("report.html", "report.md"))
    for title in ("Spectra on imagewoof:160", "CKA between methods on imagewoof:160"):
        assert f'alt="{title}' in page
        assert f"![{title}" in markdown
    assert verify(tmp_path / "report", [tmp_path / "runs"]).drifts == []
