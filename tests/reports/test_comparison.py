"""Rows, reference, Holm family, bold, sentences and red flags, on made-up runs whose answer is known."""

from collections.abc import Callable
from pathlib import Path

import pytest
from scipy import stats

from bench.errors import UserError
from bench.reports.comparison import Comparison, compare
from bench.reports.declared import Declared, analyse
from bench.reports.load import load
from bench.reports.results import results_table
from bench.reports.rows import Row
from bench.reports.sentences import answer, losses, unseen

Writer = Callable[..., Path]


def compared(output: Path, reference: str | None = None) -> Comparison:
    comparisons, _ = compare(load([output]), reference)
    assert len(comparisons) == 1
    return comparisons[0]


def rows_by_label(comparison: Comparison) -> dict[str, Row]:
    return {row.label: row for row in comparison.rows}


def fill(write_run: Writer, scores: dict[str, list[float]], output: str = "runs") -> None:
    for method, values in scores.items():
        for seed, value in enumerate(values):
            write_run(method, seed, value, knn=value / 2 + 0.0001 * seed, output=output)


def test_rows_by_mean_with_reference_rows_last(experiment: Path) -> None:
    labels = [row.label for row in compared(experiment).rows]
    assert labels == [
        "SMI (reconstructed) [w=10.0]",
        "vicreg",
        "Barlow Twins",
        "SMI (reconstructed) [w=1.0]",
        "Supervised",
        "Random encoder",
    ]


def test_only_completed_runs_are_in_the_mean_and_all_are_counted(experiment: Path) -> None:
    row = rows_by_label(compared(experiment))["SMI (reconstructed) [w=1.0]"]
    assert row.linear is not None
    assert (row.linear.n, row.linear.mean) == (2, pytest.approx(0.375))  # the collapsed run is one of the two
    assert losses(row) == ["1 of 3 diverged", "1 of 3 collapsed"]


def test_difference_and_p_are_scipys_with_holm_over_the_competing_rows(experiment: Path) -> None:
    comparison = compared(experiment)
    rows = rows_by_label(comparison)
    barlow = rows["Barlow Twins"].values("scores.linear")
    family = ["SMI (reconstructed) [w=10.0]", "SMI (reconstructed) [w=1.0]", "vicreg"]
    raw = {
        label: stats.ttest_ind(rows[label].values("scores.linear"), barlow, equal_var=False).pvalue for label in family
    }
    first, second, third = sorted(family, key=lambda label: raw[label])
    assert rows[first].p == pytest.approx(3 * raw[first])
    assert rows[second].p == pytest.approx(max(3 * raw[first], 2 * raw[second]))
    assert rows[third].p == pytest.approx(max(2 * raw[second], raw[third]))
    assert rows["Supervised"].p is None
    assert rows["Supervised"].difference is not None


@pytest.mark.parametrize(
    ("recipes", "names"),
    [
        (("tuned (16 trials)",) * 2, {("transform=gaussian",), ("transform=identity",)}),
        (("tuned (16 trials)", "default"), {("transform=gaussian", "w=13.6"), ("transform=identity", "w=38.0")}),
    ],
)
def test_numbers_that_tuning_found_are_no_part_of_a_name_where_choices_tell_arms_apart(
    write_run: Writer, tmp_path: Path, recipes: tuple[str, str], names: set[tuple[str, ...]]
) -> None:
    for recipe, transform, weight in zip(recipes, ("gaussian", "identity"), (13.6, 38.0), strict=True):
        write_run("smi", 0, 0.4, config={"transform": transform, "w": weight}, shared={"recipe": recipe})
    assert {row.changes for row in compared(tmp_path / "runs").rows} == names


def test_tuned_configurations_alike_but_for_numbers_are_named_by_them(write_run: Writer, tmp_path: Path) -> None:
    for weight in (1.0, 2.0):
        write_run("smi", 0, 0.4, config={"transform": "gaussian", "w": weight}, shared={"recipe": "tuned (16 trials)"})
    assert {row.changes for row in compared(tmp_path / "runs").rows} == {("w=1.0",), ("w=2.0",)}


def test_a_name_leaves_out_what_most_configurations_of_the_method_share(write_run: Writer, tmp_path: Path) -> None:
    given = [("gaussian", "match", 1.0), ("gaussian", "fisher", 3.0), ("identity", "match", 9.0)]
    for transform, form, weight in given:
        write_run("smi", 0, 0.4, config={"transform": transform, "form": form, "w": weight})
    names = {row.changes for row in compared(tmp_path / "runs").rows}
    assert names == {("w=1.0",), ("form=fisher", "w=3.0"), ("transform=identity", "w=9.0")}


def test_a_declared_reference_may_be_a_reference_row_or_one_configuration(experiment: Path) -> None:
    random = compared(experiment, "random")
    assert random.reference is not None
    assert random.reference.method == "random"
    assert all(row.p is not None for row in random.competing)
    smi = rows_by_label(compared(experiment))["SMI (reconstructed) [w=1.0]"]
    chosen = compared(experiment, f"smi/{smi.digest}").reference
    assert chosen is not None
    assert chosen.changes == ("w=1.0",)
    by_name = compared(experiment, "smi").reference
    assert by_name is not None
    assert by_name.changes == ("w=10.0",)  # the configuration with most completed runs


def test_an_unknown_reference_is_a_user_error_with_the_near_miss(experiment: Path) -> None:
    with pytest.raises(UserError, match="Did you mean 'barlow'"):
        compared(experiment, "barlov")


def test_the_default_reference_without_barlow_is_the_first_competing_method(write_run: Writer, tmp_path: Path) -> None:
    fill(write_run, {"vicreg": [0.4], "byol": [0.4], "random": [0.2]})
    reference = compared(tmp_path / "runs").reference
    assert reference is not None
    assert reference.method == "byol"


def test_bold_is_the_best_and_what_cannot_be_told_from_it(write_run: Writer, tmp_path: Path) -> None:
    fill(
        write_run,
        {
            "smi": [0.430, 0.440, 0.435],
            "barlow": [0.428, 0.441, 0.433],
            "vicreg": [0.300, 0.310, 0.305],
            "supervised": [0.9, 0.91, 0.92],
        },
    )
    assert {row.method for row in compared(tmp_path / "runs").rows if row.bold} == {"smi", "barlow"}


def test_a_row_that_cannot_be_tested_is_bold_only_as_high_as_the_best(write_run: Writer, tmp_path: Path) -> None:
    best, poor = [0.9, 0.9, 0.9], [0.5, 0.6, 0.7]
    fill(write_run, {"smi": best, "barlow": best, "vicreg": [0.899], "byol": poor})
    assert {row.method for row in compared(tmp_path / "runs").rows if row.bold} == {"smi", "barlow"}


def test_a_row_that_cannot_be_tested_is_in_no_family(write_run: Writer, tmp_path: Path) -> None:
    fill(write_run, {"smi": [0.5, 0.51, 0.52, 0.53], "barlow": [0.4, 0.41, 0.42, 0.43], "vicreg": [0.3]})
    by_method = {row.method: row.against for row in compared(tmp_path / "runs").rows}
    smi, vicreg = by_method["smi"], by_method["vicreg"]
    assert smi is not None
    assert vicreg is not None
    assert smi.smallest_permutation_p == smi.permutation_p == pytest.approx(2 / 70)  # of C(8, 4) ways
    assert (vicreg.p, vicreg.permutation_p, vicreg.smallest_permutation_p) == (None, None, None)


def test_nothing_is_bold_with_one_run_each(write_run: Writer, tmp_path: Path) -> None:
    fill(write_run, {"smi": [0.44], "barlow": [0.40]})
    comparison = compared(tmp_path / "runs")
    assert not any(row.bold for row in comparison.rows)
    assert "±" not in " ".join(
        line for row in results_table(comparison).body for cell in row[1:] for line in cell.lines
    )
    assert answer(comparison) == [
        "SMI (reconstructed) against Barlow Twins on imagewoof:160: +4.0 points in linear accuracy, "
        "but no test is possible with n = 1 (one run says nothing about the spread)."
    ]


def test_the_answer_states_direction_interval_and_n(experiment: Path) -> None:
    first, second, _ = answer(compared(experiment))
    assert first == (
        "SMI (reconstructed) [w=10.0] is 2.9 points above Barlow Twins in linear accuracy on imagewoof:160 "
        "(95 % interval 2.1 to 3.8, n = 5, Holm-corrected p < 0.001)."
    )
    assert second.startswith(
        "vicreg cannot be told apart from Barlow Twins in linear accuracy on imagewoof:160 with n = 5"
    )


def test_the_answer_says_below(write_run: Writer, tmp_path: Path) -> None:
    fill(write_run, {"smi": [0.30, 0.31, 0.305], "barlow": [0.40, 0.41, 0.42, 0.41]})
    (sentence,) = answer(compared(tmp_path / "runs"))
    assert "is 10.5 points below Barlow Twins" in sentence
    assert "n = 3 against 4" in sentence


def test_a_method_without_a_score_is_named(write_run: Writer, tmp_path: Path) -> None:
    fill(write_run, {"barlow": [0.40, 0.41]})
    write_run("smi", 0, status="diverged", reason="loss is nan")
    assert answer(compared(tmp_path / "runs")) == [
        "SMI (reconstructed) has no completed run on imagewoof:160 (1 of 1 diverged)."
    ]


def test_two_copies_of_a_dataset_never_share_a_table(write_run: Writer, tmp_path: Path) -> None:
    write_run("smi", 0, 0.4)
    write_run("smi", 0, 0.5, fingerprint="a" * 64)
    comparisons, unplaced = compare(load([tmp_path / "runs"]))
    assert [(one.name, one.title, len(one.rows)) for one in comparisons] == [
        ("imagewoof-160-aaaaaaaa", "imagewoof:160 (data aaaaaaaa)", 1),
        ("imagewoof-160-ffffffff", "imagewoof:160 (data ffffffff)", 1),
    ]
    assert unplaced.empty


def test_a_run_without_configuration_is_placed_by_its_siblings_or_reported(write_run: Writer, tmp_path: Path) -> None:
    (write_run("smi", 0, 0.4) / "config.yaml").unlink()
    write_run("smi", 1, 0.4)
    (write_run("barlow", 0, 0.4) / "config.yaml").write_text("{")
    comparisons, unplaced = compare(load([tmp_path / "runs"]))
    assert losses(comparisons[0].rows[0]) == ["1 of 2 unreadable"]
    assert unplaced["method"].tolist() == ["barlow"]


def test_the_answer_says_what_so_many_seeds_cannot_see(experiment: Path, write_run: Writer, tmp_path: Path) -> None:
    (comparison,), _ = compare(runs := load([experiment]))
    assert [f"{100 * size:.1f}" for size in comparison.detectable.values()] == ["1.6", "4.6"]
    answers = analyse(runs, runs.iloc[:0], Declared()).answers
    assert answers[:-1] == answer(comparison)
    assert answers[-1] == (
        "On imagewoof:160 a true difference in linear accuracy under 1.6 points at n = 5 or under 4.6 points at n = 2 "
        "is found with less than 80 % probability (estimated from the spread seen, before Holm's correction): where "
        "none was found, there may be one."
    )
    fill(write_run, {"smi": [0.44], "barlow": [0.40]}, output="single")
    assert unseen(compared(tmp_path / "single")) == []  # nothing was tested, and the answer says so


def test_the_detectable_difference_is_printed_for_the_smallest_and_largest_n(experiment: Path) -> None:
    comparison = compared(experiment)
    assert list(comparison.detectable) == [5, 2]
    assert "1.6 points with n = 5 and 4.6 points with n = 2" in results_table(comparison).notes[1]


def test_a_column_without_any_value_is_left_out(write_run: Writer, tmp_path: Path) -> None:
    fill(write_run, {"smi": [0.44, 0.45], "barlow": [0.40, 0.41]})
    table = results_table(compared(tmp_path / "runs"))
    assert [column.heading for column in table.columns] == [
        "method",
        "n",
        "linear",
        "kNN",
        "difference",
        "effective",
        "images",
    ]
    assert {len(row) for row in table.body} == {7}


def test_the_records_of_a_table_hold_every_raw_value(experiment: Path) -> None:
    record = results_table(compared(experiment)).records[0]
    assert record["linear_values"] == "0.431 0.442 0.428 0.437 0.433"
    assert (record["linear_n"], record["completed"], record["runs"]) == (5, 5, 5)
    assert record["linear_mean"] == pytest.approx(0.4342)
    assert record["p_holm"] >= record["p"]


def test_cost_is_the_median_over_completed_runs(write_run: Writer, tmp_path: Path) -> None:
    for seed in (0, 1, 4):
        write_run("smi", seed, 0.4 + seed / 100)
    write_run("smi", 9, status="failed", reason="out of memory")
    record = results_table(compared(tmp_path / "runs")).records[0]
    assert record["images_per_second"] == 1410.0  # of 1400, 1410 and 1440
    assert record["effective_rank"] == pytest.approx(40 + 5 / 3)


def test_configurations_that_only_lack_something_still_have_names_of_their_own(
    write_run: Writer, tmp_path: Path
) -> None:
    """Two rows of one name were one in every table by names."""
    for width, rate in ((None, 0.3), (16, 0.3), (16, 0.1)):
        write_run("smi", 0, 0.4, config={"width": width, "rate": rate})
    labels = [row.label for row in compared(tmp_path / "runs").rows]
    assert len(set(labels)) == 3
    assert sum("rate=0.1" in label for label in labels) == 1


def test_a_reference_may_be_one_configuration_of_each_dataset(write_run: Writer, tmp_path: Path) -> None:
    names = []
    for dataset in ("digits", "imagewoof-160"):
        for w in (1.0, 2.0):
            folder = write_run("smi", 0, 0.4, dataset=dataset, config={"w": w, "of": dataset})
            names += ["/".join(folder.parts[-3:-1])] if w == 2.0 else []
    comparisons, _ = compare(load([tmp_path / "runs"]), ",".join(names))
    assert [one.reference is not None and one.reference.changes for one in comparisons] == [("w=2.0",)] * 2
    with pytest.raises(UserError, match="reference 'smy'"):
        compare(load([tmp_path / "runs"]), f"{names[0]},smy")
