"""A report against its runs: silent while all is true, and naming the cell that is not."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.cli import main
from bench.errors import UserError
from bench.reports import html, markdown
from bench.reports.content import content
from bench.reports.declared import DECLARED, Declared, analyse, table_files
from bench.reports.load import curves, load
from bench.reports.page import Selection, write_report
from bench.reports.records import from_csv, to_csv
from bench.reports.verify import verify
from bench.reports.verify_records import same

Writer = Callable[..., Path]
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the report of the experiment lies once a test has written it: the experiment is the same for all."""
    return tmp_path_factory.mktemp("kept") / "report"


@pytest.fixture
def report(experiment: Path, tmp_path: Path, kept: Path) -> Path:
    """A report of the experiment, in all forms that hold numbers."""
    folder = tmp_path / "report"
    if kept.exists():
        return Path(shutil.copytree(kept, folder))
    written(experiment, folder, Declared(reference="smi", margin=0.02, all_pairs=True))
    shutil.copytree(folder, kept)
    return folder


def written(experiment: Path, folder: Path, declared: Declared) -> Path:
    """As `write_report` does, less the figures, which take seconds to draw."""
    measured, problems = curves(runs := load([experiment]))
    analysis = analyse(runs, measured, declared)
    whole = content(problems, analysis, {})
    files = table_files(analysis) | {"results.csv": to_csv(whole.runs, folder), DECLARED: declared.to_json()}
    files["report.md"] = markdown.render(whole, ("md", "html", "latex", "csv"))
    files["report.html"] = html.render(whole, folder)
    for name, body in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(body, encoding="utf-8")
    return folder


def edit(path: Path, old: str, new: str) -> None:
    content = path.read_text(encoding="utf-8")
    assert old in content
    path.write_text(content.replace(old, new, 1), encoding="utf-8")


def test_an_honest_report_has_no_drift(report: Path, experiment: Path) -> None:
    verdict = verify(report, [experiment])
    assert verdict.drifts == []
    assert verdict.unchecked == ["figures and their captions"]
    tables = [f"tables/imagewoof-160{part}.{form}" for part in ("", "-pairs") for form in ("csv", "md", "tex")]
    assert sorted(verdict.checked) == sorted(["results.csv", "report.md", "report.html", *tables])


def test_without_the_run_folders_its_own_records_serve(report: Path, experiment: Path) -> None:
    shutil.rmtree(experiment)
    verdict = verify(report, [])
    assert verdict.drifts == []
    assert "results.csv" not in verdict.checked


@pytest.mark.parametrize("whole", [True, False])
@pytest.mark.parametrize(
    ("name", "old", "new", "drift"),
    [
        ("tables/imagewoof-160.csv", "0.4342", "0.4442", "SMI (reconstructed) [w=10.0], linear_mean: '0.4442"),
        ("tables/imagewoof-160.md", "43.4 ± 0.5", "43.9 ± 0.5", "'**43.9' printed, '**43.4' recomputed"),
        ("tables/imagewoof-160.tex", "40.5", "40.6", "'40.6' printed, '40.5' recomputed"),
        ("report.md", "is 2.9 points below", "is 3.9 points below", "'3.9' printed, '2.9' recomputed"),
        ("report.html", "43.4 ± 0.5", "43.5 ± 0.5", "'43.5' printed, '43.4' recomputed"),
        ("report.html", "is 2.9 points below", "is 1.9 points below", "'1.9' printed, '2.9' recomputed"),
        ("report.html", ">40.00</td>", ">41.00</td>", "'41.00' printed, '40.00' recomputed"),  # a run, no table
        ("report.html", "<li>Intervals cover", "<li>No intervals cover", "'No intervals' printed, 'Intervals' recom"),
        ("report.html", "out of memory", "out of luck", "'luck)' printed, 'memory)' recomputed"),
    ],
)
def test_a_changed_number_is_named(
    report: Path, experiment: Path, name: str, old: str, new: str, drift: str, whole: bool
) -> None:
    edit(report / name, old, new)
    (line,) = verify(report, [experiment] if whole else []).drifts
    assert line.startswith(f"{name}: ")
    assert drift in line


INVENTED = "SMI (reconstructed) is the best of all methods."


@pytest.mark.parametrize(
    ("name", "before", "forged"),
    [
        ("report.md", "# Report\n", f"# Report\n\n- {INVENTED}\n"),
        ("report.md", "- Intervals cover", f"- {INVENTED}\n- Intervals cover"),
        ("report.md", "# Report\n", f"# Report\n\n![](<figures/none.png>)\n\n{INVENTED}\n"),
        ("tables/imagewoof-160.md", "- Intervals cover", f"- {INVENTED}\n- Intervals cover"),
        ("tables/imagewoof-160.tex", "Intervals cover", rf"{INVENTED} \\ Intervals cover"),
        ("report.html", '<ul class="answers">', f'<ul class="answers"><li>{INVENTED}</li>'),
        ("report.html", '<ul class="notes">', f'<ul class="notes"><li>{INVENTED}</li>'),
        ("report.html", "</main>", f"<p>{INVENTED}</p></main>"),
        ("report.html", '<tr><th scope="row"><a', f'<tr><th scope="row">{INVENTED}</th></tr><tr><th scope="row"><a'),
    ],
)
def test_a_line_that_should_not_be_there_is_named(
    report: Path, experiment: Path, name: str, before: str, forged: str
) -> None:
    edit(report / name, before, forged)
    for outputs in ([experiment], []):
        drifts = verify(report, outputs).drifts
        assert all(line.startswith(f"{name}: follows from no run: ") for line in drifts)
        assert sum(INVENTED in line for line in drifts) == 1


@pytest.mark.parametrize("name", ["report.md", "report.html"])
def test_a_line_that_was_taken_out_is_named(report: Path, experiment: Path, name: str) -> None:
    lines = (report / name).read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if "Wilson interval" not in line]
    assert len(kept) < len(lines)
    (report / name).write_text("\n".join(kept), encoding="utf-8")
    drifts = verify(report, [experiment]).drifts
    assert len(drifts) == len(lines) - len(kept)
    assert all("lacks the line: " in drift for drift in drifts)


def test_the_files_of_a_run_in_the_page_are_held_against_its_folder(report: Path, experiment: Path) -> None:
    edit(report / "report.html", "epochs: 10", "epochs: 99")
    (line,) = verify(report, [experiment]).drifts
    assert "'99' printed, '10' recomputed" in line
    verdict = verify(report, [])
    assert verdict.drifts == []
    assert any("files in the run folders" in words for words in verdict.unchecked)


def test_a_written_report_with_figures_and_columns_from_curves_has_no_drift(experiment: Path, tmp_path: Path) -> None:
    declared = Declared(columns=["linear", "best_epoch_knn", "device_hours"])
    write_report([experiment], tmp_path / "report", declared, Selection(["smi", "barlow", "random"]))
    section = tmp_path / "report" / "analysis" / "geometry" / "section.md"
    section.parent.mkdir(parents=True)
    section.write_text("made from encoders", encoding="utf-8")
    assert "best epoch kNN" in (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    for outputs in ([experiment], []):
        verdict = verify(tmp_path / "report", outputs)
        assert verdict.drifts == []
        assert verdict.unchecked[:2] == ["figures and their captions", "analysis/geometry/section.md"]


def test_what_only_predictions_tell_is_left_out_without_the_folders(write_run: Writer, tmp_path: Path) -> None:
    for method, value in {"smi": 0.7, "barlow": 0.5}.items():
        wrong = (np.arange(100) >= 100 * value).astype(np.uint8)
        np.savez(write_run(method, 0, value) / "predictions.npz", linear=wrong, knn=wrong, labels=np.zeros(100))
    report = written(tmp_path / "runs", tmp_path / "report", Declared())
    for name in ("report.md", "report.html", "tables/imagewoof-160.tex"):
        page = (report / name).read_text(encoding="utf-8")
        assert "Standard errors of the difference" in page or "McNemar" in page
    assert verify(report, [tmp_path / "runs"]).drifts == []
    assert verify(report, []).drifts == []


NUMERICAL = ("shares", "related")
"""Tables of dynamics that no run enters."""
VERDICTS = sorted(path.parent for path in (ROOT / "results").rglob("claims.md"))
COSTS = sorted({path.parent for place in ("docs", "results") for path in (ROOT / place).rglob("cost.md")})
COMMITTED = [
    ROOT / "docs" / "example-report",
    *sorted(path.parent for path in (ROOT / "results").rglob("results.csv")),
]


@pytest.mark.parametrize("folder", COMMITTED, ids=lambda folder: folder.relative_to(ROOT).as_posix())
def test_a_committed_report_follows_from_its_own_records(folder: Path) -> None:
    verdict = verify(folder, [])
    assert verdict.drifts == []
    assert {"report.md", "report.html"} <= set(verdict.checked)
    tables = {path.relative_to(folder).as_posix() for path in folder.glob("analysis/**/tables/*.csv")}
    assert tables <= {*verdict.checked, *verdict.unchecked}
    assert tables - set(verdict.checked) <= {f"analysis/dynamics/tables/dynamics-{name}.csv" for name in NUMERICAL}


@pytest.mark.parametrize("folder", COSTS, ids=lambda folder: folder.relative_to(ROOT).as_posix())
def test_a_committed_page_of_costs_follows_from_its_records(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(folder)]) == 0, capsys.readouterr().out


def test_a_number_changed_in_a_page_of_costs_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("cost.json", "cost.md"):
        shutil.copy(COSTS[0] / name, tmp_path / name)
    page = (tmp_path / "cost.md").read_text()
    number = re.findall(r"\| (\d+[.,]\d+) \|", page)[-1]
    (tmp_path / "cost.md").write_text(page.replace(f"| {number} |", "| 12345 |"))
    assert main(["verify", str(tmp_path)]) == 1
    assert f"'12345' printed, '{number}' recomputed" in capsys.readouterr().out
    (tmp_path / "cost.json").write_text("{}")
    assert main(["verify", str(tmp_path)]) == 2
    assert "is no record of costs" in capsys.readouterr().err


@pytest.mark.parametrize("folder", VERDICTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_the_committed_verdicts_follow_from_the_committed_studies(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(folder)]) == 0, capsys.readouterr().out


def test_there_are_committed_results() -> None:
    assert len(COMMITTED) > 5
    assert len(VERDICTS) > 3


def test_a_run_that_changed_or_went_is_named(report: Path, experiment: Path) -> None:
    folder = next(experiment.glob("*/vicreg/*/seed0"))
    edit(folder / "result.json", '"linear": 0.403', '"linear": 0.503')
    shutil.rmtree(next(experiment.glob("*/vicreg/*/seed1")))
    drifts = verify(report, [experiment]).drifts
    assert any(
        line.startswith("results.csv: ") and "scores.linear: '0.403' printed, '0.503'" in line for line in drifts
    )
    assert any("seed1 is in no folder given" in line for line in drifts)
    assert any(line.startswith("tables/imagewoof-160.csv: vicreg, linear_mean") for line in drifts)


def test_runs_made_later_are_no_drift(report: Path, experiment: Path, write_run: Writer) -> None:
    write_run("vicreg", 9, 0.9)
    assert verify(report, [experiment]).drifts == []


def test_the_command_exits_1_on_drift_and_0_without(
    report: Path, experiment: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["verify", str(report), str(experiment)]) == 0
    assert "0 drifted, 9 files checked against the run folders." in capsys.readouterr().out
    edit(report / "tables" / "imagewoof-160.md", "40.5", "50.5")
    assert main(["verify", str(report)]) == 1
    printed = capsys.readouterr().out
    assert "'50.5' printed, '40.5' recomputed" in printed
    assert "1 drifted" in printed


def test_what_is_no_report_is_a_user_error(tmp_path: Path, report: Path, experiment: Path) -> None:
    with pytest.raises(UserError, match=r"results\.csv cannot be read"):
        verify(tmp_path, [])
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="None of the runs"):
        verify(report, [tmp_path / "empty"])
    whole = (report / "results.csv").read_text()
    for damaged, message in (
        (whole[:-40], "too few or too many cells"),
        (whole.replace("config.method.title", "config.method.titel", 1), r"lacks the column config\.method\.title"),
    ):
        (report / "results.csv").write_text(damaged)
        with pytest.raises(UserError, match=message):
            verify(report, [])
    (report / "results.csv").write_text(whole)
    (report / "report.md").unlink()
    assert "report.md, which is not there" in verify(report, []).unchecked
    for path in [report / "report.html", *report.glob("tables/*")]:
        path.unlink()
    with pytest.raises(UserError, match="nothing to verify"):
        verify(report, [])
    (report / "results.csv").write_text("a,b\n1,2\n")
    with pytest.raises(UserError, match=r"not the results\.csv of a report"):
        verify(report, [experiment])


def test_records_read_back_as_they_were(experiment: Path, tmp_path: Path) -> None:
    runs = load([experiment])
    settings = [3, *[float("nan")] * (len(runs) - 1)]  # of one method alone
    runs["config.method.config.iterations"] = pd.Series(settings, runs.index, dtype=object)
    (tmp_path / "results.csv").write_text(to_csv(runs, tmp_path), encoding="utf-8")
    back = from_csv(tmp_path / "results.csv")
    assert list(back.columns) == list(runs.columns)
    for column in runs.columns:
        if column == "folder":
            continue
        for before, now in zip(runs[column], back[column], strict=True):
            assert str(before) == str(now), column  # in a CSV '1' and 1 look the same
    assert Path(back["folder"].iloc[0]).samefile(runs["folder"].iloc[0])


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_the_same_as_its_text(value: float) -> None:
    assert same(value, repr(value))
    assert same(f"1.5 {value!r}", f"1.5 {value!r}")
    assert not same(value, value + abs(value) * 1e-6 + 1e-6)


def test_absence_is_the_same_as_absence_alone() -> None:
    assert same(None, "")
    assert same(float("nan"), None)
    assert not same("", 0)
    assert not same("a b", "a c")
