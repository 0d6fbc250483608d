"""Run folders to rows: nothing believed that is damaged, nothing counted twice, nothing left out."""

import json
import math
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench.errors import UserError
from bench.reports.load import curves, load

Writer = Callable[..., Path]


def test_a_row_per_run_with_flattened_columns(write_run: Writer, tmp_path: Path) -> None:
    folder = write_run("smi", 3, 0.412, config={"w": 10.0, "centre": None})
    write_run("barlow", 0, status=None)
    runs = load([tmp_path / "runs"]).set_index("method")
    smi = runs.loc["smi"]
    assert smi["folder"] == str(folder.resolve())
    assert (smi["status"], smi["seed"], smi["scores.linear"]) == ("completed", 3, 0.412)
    assert smi["config.optimizer.lr"] == 0.002
    assert smi["config.epochs"] == 10
    assert isinstance(smi["config.epochs"], int)
    assert smi["config.augment.scale"] == "[0.2, 1.0]"
    assert smi["config.method.config.centre"] is None
    assert math.isnan(smi["cost.peak_memory_mib"])
    assert runs.loc["barlow", "status"] == "unfinished"
    assert math.isnan(runs.loc["barlow", "scores.linear"])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda text: text[: len(text) // 2], "cannot be read"),
        (lambda text: "", "cannot be read"),
        (lambda text: "[]", "not a JSON object"),
        (lambda text: text.replace("0.412", "NaN"), "NaN is no JSON number"),
        (lambda text: text.replace("0.412", "41.2"), "expected fractions"),
        (lambda text: text.replace("0.412", '"high"'), "something else than numbers"),
        (lambda text: text.replace("completed", "done"), "unknown status"),
        (lambda text: text.replace("completed", "diverged"), "expected fractions if and only if completed"),
        (lambda text: text.replace("/seed0", "/seed1"), "belongs to another run"),
    ],
)
def test_a_damaged_result_is_unreadable_in_words(
    write_run: Writer, tmp_path: Path, change: Callable[[str], str], reason: str
) -> None:
    path = write_run("smi", 0, 0.412) / "result.json"
    path.write_text(change(path.read_text()))
    run = load([tmp_path / "runs"]).iloc[0]
    assert run["status"] == "unreadable"
    assert reason in run["reason"]
    assert "scores.linear" not in run or math.isnan(run["scores.linear"])


@pytest.mark.parametrize("content", ["", "seed: [", "seed: 0\n", "dataset: {}\nmethod: {}\nseed: 7\n"])
def test_a_damaged_configuration_is_unreadable(write_run: Writer, tmp_path: Path, content: str) -> None:
    (write_run("smi", 0, 0.412) / "config.yaml").write_text(content)
    run = load([tmp_path / "runs"]).iloc[0]
    assert run["status"] == "unreadable"
    assert "config.yaml" in run["reason"]


def test_a_configuration_of_another_seed_is_unreadable(write_run: Writer, tmp_path: Path) -> None:
    path = write_run("smi", 0, 0.412) / "config.yaml"
    path.write_text(path.read_text().replace("seed: 0", "seed: 7"))
    run = load([tmp_path / "runs"]).iloc[0]
    assert (run["status"], run["reason"]) == ("unreadable", "config.yaml belongs to another run: seed 7")


def test_a_run_that_failed_before_it_wrote_its_files_keeps_its_reason(write_run: Writer, tmp_path: Path) -> None:
    folder = write_run("smi", 0, status="failed", reason="out of memory")
    for name in ("config.yaml", "environment.json", "metrics.csv"):
        (folder / name).unlink()
    run = load([tmp_path / "runs"]).iloc[0]
    assert (run["status"], run["reason"], run["problem"]) == ("failed", "out of memory", None)


def test_a_damaged_environment_keeps_the_score_and_is_said(write_run: Writer, tmp_path: Path) -> None:
    (write_run("smi", 0, 0.412) / "environment.json").write_text("{")
    run = load([tmp_path / "runs"]).iloc[0]
    assert (run["status"], run["scores.linear"]) == ("completed", 0.412)
    assert "environment.json cannot be read" in run["problem"]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60, deadline=None)
@given(junk=st.binary(max_size=200), name=st.sampled_from(["result.json", "config.yaml", "metrics.csv"]))
def test_no_content_of_a_file_crashes(write_run: Writer, tmp_path: Path, junk: bytes, name: str) -> None:
    shutil.rmtree(tmp_path / "runs", ignore_errors=True)
    (write_run("smi", 0, 0.412) / name).write_bytes(junk)
    runs = load([tmp_path / "runs"])
    curves(runs)
    assert runs["status"].tolist() == (["completed"] if name == "metrics.csv" else ["unreadable"])


def test_a_copy_counts_once_and_a_contradiction_is_flagged(write_run: Writer, tmp_path: Path) -> None:
    write_run("smi", 0, 0.412)
    write_run("smi", 1, 0.421)
    shutil.copytree(tmp_path / "runs", tmp_path / "copy")
    both = [tmp_path / "runs", tmp_path / "copy", tmp_path / "runs"]
    assert len(load(both)) == 2
    assert load(both)["problem"].isna().all()
    changed = next((tmp_path / "copy").glob("*/*/*/seed1/result.json"))
    changed.write_text(changed.read_text().replace("0.421", "0.5"))
    runs = load(both)
    assert runs["scores.linear"].tolist() == [0.412, 0.421]
    assert "different result" in runs["problem"].iloc[1]


@pytest.mark.parametrize("first_is_good", [True, False])
@pytest.mark.parametrize("damage", ["unfinished", "unreadable"])
def test_a_finished_copy_outranks_a_damaged_one(
    write_run: Writer, tmp_path: Path, first_is_good: bool, damage: str
) -> None:
    write_run("smi", 0, 0.412)
    bad = write_run("smi", 0, 0.412, output="copy") / "result.json"
    bad.unlink() if damage == "unfinished" else bad.write_text("{")
    outputs = [tmp_path / "runs", tmp_path / "copy"]
    runs = load(outputs if first_is_good else outputs[::-1])
    assert runs["status"].tolist() == ["completed"]
    assert runs["problem"].notna().tolist() == [damage == "unreadable"]


def test_other_folders_are_not_runs(write_run: Writer, tmp_path: Path) -> None:
    write_run("smi", 0, 0.4)
    for stray in ("a/b/not-hash/seed0", "a/b/1a2b3c4d/seedling", "tables/x"):
        (tmp_path / "runs" / stray).mkdir(parents=True)
    assert len(load([tmp_path / "runs"])) == 1


def test_a_missing_output_folder_is_a_user_error(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no output folder"):
        load([tmp_path / "absent"])


def test_an_empty_output_folder_has_no_runs(tmp_path: Path) -> None:
    assert load([tmp_path]).empty


def test_curves_leave_out_a_line_that_was_being_written(write_run: Writer, tmp_path: Path) -> None:
    folder = write_run("smi", 0, 0.4, losses=[3.0, 2.0, 1.0])
    with open(folder / "metrics.csv", "a") as handle:
        handle.write("3,21,0.5")
    frame, problems = curves(load([tmp_path / "runs"]))
    assert frame["loss"].tolist() == [3.0, 2.0, 1.0]
    assert frame["knn_validation"].notna().tolist() == [True, False, False]
    assert problems == []


def test_a_damaged_curve_is_said(write_run: Writer, tmp_path: Path) -> None:
    (write_run("smi", 0, 0.4) / "metrics.csv").write_text("epoch,loss\n0,oops\n")
    frame, problems = curves(load([tmp_path / "runs"]))
    assert frame.empty
    assert "metrics.csv cannot be read" in problems[0]


def test_reports_never_import_torch() -> None:
    source = Path(sys.modules["bench.reports.load"].__file__ or "").parent
    modules = sorted(path.stem for path in source.glob("*.py"))
    program = "import sys, json\n" + "".join(f"import bench.reports.{module}\n" for module in modules)
    program += "print(json.dumps([name for name in ('torch', 'matplotlib', 'seaborn') if name in sys.modules]))"
    completed = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert json.loads(completed.stdout) == []
