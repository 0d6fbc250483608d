"""Columns of the tables by choice: from results, from analyses and from learning curves."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.errors import UserError
from bench.reports.analysis import write_csv
from bench.reports.comparison import Comparison, compare
from bench.reports.declared import Declared, analyse
from bench.reports.elsewhere import with_elsewhere
from bench.reports.load import curves, load
from bench.reports.permutation import permutation_p
from bench.reports.results import results_table
from bench.reports.rows import Row

Writer = Callable[..., Path]
SMI, BARLOW = [0.430, 0.440, 0.428, 0.437, 0.433], [0.428, 0.436, 0.425, 0.436, 0.429]


def fill(write_run: Writer, scores: dict[str, list[float]], **options: object) -> None:
    for method, values in scores.items():
        for seed, value in enumerate(values):
            write_run(method, seed, value, knn=1 - value + 0.0001 * seed, **options)


def compared(output: Path, **declared: object) -> Comparison:
    (comparison,), _ = compare(load([output]), **declared)
    return comparison


def row(comparison: Comparison, method: str) -> Row:
    return next(row for row in comparison.rows if row.method == method)


def test_columns_by_choice(experiment: Path) -> None:
    comparison = compared(experiment)
    table = results_table(comparison, ["knn", "alignment", "images_per_second", "effective_rank"])
    headings = [column.heading for column in table.columns]
    assert headings == ["method", "n", "linear", "kNN", "difference", "images", "effective", "runs"]
    with pytest.raises(UserError, match=r"There is no column 'memry'\. Did you mean 'memory'"):
        results_table(comparison, ["memry"])


def test_effect_sizes_and_the_exact_test_are_columns_by_choice(write_run: Writer, tmp_path: Path) -> None:
    fill(write_run, {"smi": SMI, "barlow": BARLOW, "random": [0.2, 0.21]})
    chosen = ["linear", "hedges_g", "improvement", "permutation_p_holm", "smallest_permutation_p_holm"]
    comparison = compared(tmp_path / "runs")
    table = results_table(comparison, chosen)
    against = row(comparison, "smi").against
    assert against is not None
    shown = {column.heading: cell.lines for column, cell in zip(table.columns, table.body[0], strict=True)}
    assert shown["Hedges'"] == (f"{against.hedges_g:.2f}",)
    assert shown["P(better)"] == ("0.70",)  # 17 of 25 pairs, and one tie
    assert shown["exact"] == (f"{permutation_p(SMI, BARLOW):.5f}",)
    assert shown["smallest"] == ("0.00794",)  # 2 / 252
    assert [cell.lines for cell in table.body[1][-4:]] == [("–",)] * 4  # the reference itself
    assert table.aside[0][-1].lines == ("–",)  # in no family of tests
    assert all(words in table.caption for words in ("Hedges' g:", "P(better):", "exact p: of the permutation test"))
    assert table.records[0].keys() == results_table(comparison, ["linear"]).records[0].keys()  # the CSV has them anyway


def test_scores_of_analyses_become_columns_where_they_are_asked_for(experiment: Path) -> None:
    runs = load([experiment])
    for name, column in {"semi": "linear_1", "transfer": "all.linear"}.items():
        rows = [{"id": one, column: 0.25, f"{column}_unasked": 0.5} for one in runs["id"]]
        write_csv(rows, experiment / "analysis" / name / "measures.csv")
    declared = Declared(columns=["linear", "linear_1", "all.linear"])
    merged = with_elsewhere(runs, [experiment], declared.scores)
    assert [column for column in merged if column not in runs] == ["scores.linear_1", "scores.all.linear"]
    assert (merged["scores.linear_1"].notna() == (runs["status"] == "completed")).all()
    table = analyse(merged, runs.iloc[:0], declared).tables["imagewoof-160"]
    headings = [column.heading for column in table.columns]
    assert headings[2:5] == ["linear", "linear at 1 % labels", "linear on all targets"]
    assert "at p % labels: probes fitted to" in table.caption.lower()
    assert table.records[0]["linear_1_mean"] == table.records[0]["all.linear_mean"] == 0.25
    with pytest.raises(UserError, match="There is no column 'linear_10'"):
        analyse(with_elsewhere(runs, [experiment], ["linear_10"]), runs.iloc[:0], Declared(columns=["linear_10"]))


def test_every_score_of_a_run_but_validation_is_a_column_by_itself(write_run: Writer, tmp_path: Path) -> None:
    for seed in range(2):
        result = write_run("smi", seed, 0.4) / "result.json"
        more = '"linear": 0.4, "robust": 0.3, "knn_validation": 0.2'
        result.write_text(result.read_text().replace('"linear": 0.4', more))
    headings = [column.heading for column in results_table(compared(tmp_path / "runs")).columns]
    assert headings[2:5] == ["linear", "kNN", "robust"]


def test_columns_from_curves(write_run: Writer, tmp_path: Path) -> None:
    for seed, value in enumerate([0.40, 0.42]):
        write_run("smi", seed, value, shared={"batch_size": 100})
    write_run("barlow", 0, 0.1, shared={"batch_size": 100})
    runs = load([tmp_path / "runs"])
    declared = Declared(columns=["linear", "minutes_to_knn", "best_epoch_knn", "device_hours"], knn_target=0.25)
    table = analyse(runs, curves(runs)[0], declared).tables["imagewoof-160"]
    # kNN is measured every third epoch; from epoch 3 on it is above 0.25 for the first seed: 0.4 * (1 - 0.5^2) = 0.3.
    # 7 steps of 100 pictures an epoch at 1400 pictures a second take half a second; the file's first epoch is 0.
    assert table.records[0]["minutes_to_knn"] == pytest.approx(3 * 0.5 / 60)
    assert table.records[1]["minutes_to_knn"] == np.inf
    assert "not reached" in table.markdown()
    assert "a teaching aid and no result" in table.caption
    assert "teaching aid" in " ".join(column.unit for column in table.columns)
