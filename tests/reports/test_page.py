"""The whole report from run folders."""

import csv
from collections.abc import Callable
from pathlib import Path

import pytest

from bench.errors import UserError
from bench.reports.page import write_report

Writer = Callable[..., Path]


def test_the_report_is_complete_and_repeats_byte_for_byte(experiment: Path, tmp_path: Path) -> None:
    report = write_report([experiment], tmp_path / "report")
    assert report.path == tmp_path / "report" / "report.md"
    written = {path.relative_to(tmp_path / "report").as_posix(): path.read_bytes() for path in report.paths}
    kinds = {
        f"figures/{name}-imagewoof-160.{kind}" for name in ("accuracy", "curves", "loss") for kind in ("pdf", "png")
    }
    tables = {f"tables/imagewoof-160.{kind}" for kind in ("md", "tex", "csv")}
    assert set(written) == {"report.md", "results.csv"} | tables | kinds
    found = {path.relative_to(tmp_path / "report").as_posix() for path in (tmp_path / "report").rglob("*.*")}
    assert found == set(written)
    again = write_report([experiment], tmp_path / "again")
    assert {path.relative_to(tmp_path / "again").as_posix(): path.read_bytes() for path in again.paths} == written


def test_the_answer_comes_first_and_every_loss_has_its_reason(experiment: Path, tmp_path: Path) -> None:
    report = write_report([experiment], tmp_path / "report")
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


def test_every_link_of_the_page_leads_to_a_file(experiment: Path, tmp_path: Path) -> None:
    write_report([experiment], tmp_path / "report")
    page = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    links = [part.partition(">)")[0] for part in page.split("](<")[1:]]
    assert len(links) == 6
    assert all((tmp_path / "report" / link).is_file() for link in links)


def test_results_csv_has_a_row_per_run(experiment: Path, tmp_path: Path) -> None:
    write_report([experiment], tmp_path / "report")
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
