"""What is declared before the runs are seen, and how it shows in tables and sentences."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from bench.errors import UserError
from bench.reports import analysis
from bench.reports.comparison import Comparison, compare
from bench.reports.declared import Declared, analyse, read
from bench.reports.load import load
from bench.reports.permutation import permutation_p, sign_flip_p
from bench.reports.power import smallest_detectable_difference
from bench.reports.results import results_table
from bench.reports.rows import Row
from bench.reports.sentences import answer

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


def note(comparison: Comparison, words: str) -> str:
    return next((note for note in results_table(comparison).notes if words in note), "")


def test_the_permutation_check_says_what_three_runs_cannot_show(write_run: Writer, tmp_path: Path) -> None:
    fill(write_run, {"smi": SMI[:3], "barlow": [0.30, 0.31, 0.29], "vicreg": [0.31, 0.30, 0.32]})
    comparison = compared(tmp_path / "runs")
    against = row(comparison, "smi").against
    assert against is not None
    assert against.p is not None
    assert against.p < 0.05
    assert against.permutation_p == against.smallest_permutation_p == pytest.approx(2 * 0.1)
    assert "SMI (reconstructed) p = 0.200 (0.2)" in note(comparison, "permutation")
    assert "It cannot reach significance with n = 3; " in note(comparison, "permutation")
    assert "n.s." not in results_table(comparison).markdown()


def test_the_permutation_check_agrees_or_disagrees_with_five(write_run: Writer, tmp_path: Path) -> None:
    fill(write_run, {"smi": SMI, "barlow": [0.3, 0.31, 0.29, 0.305, 0.30]})
    comparison = compared(tmp_path / "runs")
    against = row(comparison, "smi").against
    assert against is not None
    assert against.permutation_p == pytest.approx(permutation_p(SMI, [0.3, 0.31, 0.29, 0.305, 0.30]))
    assert against.improvement == 1.0
    assert "SMI (reconstructed) p = 0.008 (0.0079). It agrees for every row" in note(comparison, "permutation")


def test_pairing_by_seed_when_declared(write_run: Writer, tmp_path: Path) -> None:
    fill(write_run, {"smi": SMI, "barlow": [*BARLOW, 0.99]})  # seed 5 has no partner
    comparison = compared(tmp_path / "runs", paired=True)
    against = row(comparison, "smi").against
    assert against is not None
    expected = stats.ttest_rel(SMI, BARLOW)
    assert against.difference.p == pytest.approx(expected.pvalue)
    assert against.pairs == 5
    assert against.correlation == pytest.approx(np.corrcoef(SMI, BARLOW)[0, 1])
    assert against.permutation_p == sign_flip_p(np.subtract(SMI, BARLOW))
    (sentence,) = answer(comparison)
    assert "n = 5 pairs" in sentence
    assert f"SMI (reconstructed) {against.correlation:.2f} (n = 5)" in note(comparison, "Observed correlation")
    assert "paired t test" in results_table(comparison).caption
    assert "(0.062). It cannot reach significance with n = 5" in note(comparison, "sign-flip")  # 0.0625
    assert note(compared(tmp_path / "runs"), "paired") == ""


def test_with_pairing_the_power_is_that_of_the_differences(write_run: Writer, tmp_path: Path) -> None:
    """Seeds that all methods share make one run unlike the next and leave the differences alone."""
    shared, gains = [0.30, 0.36, 0.33, 0.41, 0.38], [0.001, 0.002, 0.0, 0.001, 0.003]
    fill(write_run, {"smi": [a + b for a, b in zip(shared, gains, strict=True)], "barlow": shared})
    paired, unpaired = (compared(tmp_path / "runs", paired=paired) for paired in (True, False))
    sd = np.std(gains, ddof=1)
    # The power of the one-sample t test, by SciPy's non-central t distribution, at the difference that is printed.
    found = stats.nct.sf(stats.t.ppf(0.975, 4), 4, paired.detectable[5] / sd * np.sqrt(5))
    assert found == pytest.approx(0.8, abs=1e-6)
    assert unpaired.detectable[5] > 20 * paired.detectable[5]
    words = note(paired, "80 % probability is")
    assert "the paired differences of competing rows to the reference" in words
    assert "with n = 5 pairs (paired t test" in words
    needed = [row(one, "smi").against.seeds_needed.estimate for one in (paired, unpaired)]  # type: ignore[union-attr]
    assert needed == [8, None]  # for effects of 1.23 standard deviations (as G*Power) and of 0.03
    assert "Estimated seeds shared with the reference" in note(
        compared_with_tie(write_run, tmp_path), "Estimated seeds"
    )


def compared_with_tie(write_run: Writer, tmp_path: Path) -> Comparison:
    fill(write_run, {"smi": SMI, "barlow": [*SMI[1:], SMI[0]]}, output="tie")
    return compared(tmp_path / "tie", paired=True)


def test_pairing_without_a_common_seed_tests_nothing(write_run: Writer, tmp_path: Path) -> None:
    fill(write_run, {"barlow": BARLOW})
    for seed in (7, 8):
        write_run("smi", seed, 0.4)
    against = row(compared(tmp_path / "runs", paired=True), "smi").against
    assert against is not None
    assert (against.pairs, against.difference.p) == (0, None)
    assert against.difference.difference == pytest.approx(0.4 - np.mean(BARLOW))


def test_a_declared_margin_lets_a_claim_of_matching_be_made(write_run: Writer, tmp_path: Path) -> None:
    fill(write_run, {"smi": SMI, "barlow": BARLOW, "vicreg": [0.2, 0.21, 0.22, 0.2, 0.21]})
    comparison = compared(tmp_path / "runs", margin=0.02)
    sentences = answer(comparison)
    assert "equivalent within the declared margin of 2.0 points (p < 0.001, uncorrected)" in sentences[0]
    assert "margin" not in sentences[1]
    assert "vicreg neither equivalence nor non-inferiority shown" in note(comparison, "declared margin")
    narrow = compared(tmp_path / "runs", margin=0.002)
    assert "equivalent" not in answer(narrow)[0]
    with pytest.raises(UserError, match="between 0 and 1"):
        compared(tmp_path / "runs", margin=2.0)


def test_another_metric_decides_order_words_and_bold(write_run: Writer, tmp_path: Path) -> None:
    fill(write_run, {"smi": SMI, "barlow": [0.3, 0.31, 0.29, 0.305, 0.30]})
    comparison = compared(tmp_path / "runs", metric="knn")
    assert [one.method for one in comparison.rows] == ["barlow", "smi"]
    assert row(comparison, "barlow").bold
    assert not row(comparison, "smi").bold
    (sentence,) = answer(comparison)
    assert "points below Barlow Twins in kNN accuracy" in sentence
    assert results_table(comparison).body[0][3].bold  # kNN, behind method, n and linear
    with pytest.raises(UserError, match=r"No run has the score 'knm'\. Did you mean 'knn'"):
        compared(tmp_path / "runs", metric="knm")


def test_seeds_needed_come_as_a_range(write_run: Writer, tmp_path: Path) -> None:
    fill(write_run, {"smi": [0.43, 0.44, 0.42], "barlow": [0.42, 0.43, 0.41]})
    comparison = compared(tmp_path / "runs")
    against = row(comparison, "smi").against
    assert against is not None
    assert against.seeds_needed is not None
    needed = against.seeds_needed
    assert needed.estimate == 17  # an effect of one standard deviation: Cohen (1988), table 2.4.1
    assert needed.low is not None
    assert needed.high is not None
    assert needed.low < 17 < needed.high
    assert f"SMI (reconstructed) 17 ({needed.low} to {needed.high})" in note(comparison, "Estimated seeds")


def test_tuned_rows_are_marked_named_and_flagged_when_mixed(write_run: Writer, tmp_path: Path) -> None:
    fill(write_run, {"smi": SMI, "vicreg": BARLOW}, shared={"recipe": "tuned (16 trials)"})
    fill(write_run, {"barlow": BARLOW, "random": [0.2, 0.21, 0.2, 0.22, 0.19]})
    comparison = compared(tmp_path / "runs")
    table = results_table(comparison)
    assert len(comparison.competing) == 3
    assert [row[0].lines[0] for row in table.body] == ["SMI (reconstructed) †", "Barlow Twins", "vicreg †"]
    recipes = "Recipes: default: Barlow Twins; tuned (16 trials): SMI (reconstructed) and vicreg."
    assert note(comparison, "Recipes") == f"† tuned on validation data. {recipes}"
    flags = [line for line in table.notes if line.startswith("Flag")]
    assert len(flags) == 1
    assert "recipes" in flags[0]
    assert {record["method"]: record["recipe"] for record in table.records}["smi"] == "tuned (16 trials)"


def test_one_recipe_for_all_is_named_without_a_flag(write_run: Writer, tmp_path: Path) -> None:
    fill(write_run, {"smi": SMI, "barlow": BARLOW}, shared={"recipe": "published: solo-learn"})
    fill(write_run, {"random": [0.2, 0.21, 0.2, 0.22, 0.19]})
    notes = results_table(compared(tmp_path / "runs")).notes
    assert "Recipes: published: solo-learn: SMI (reconstructed) and Barlow Twins." in notes
    assert not [line for line in notes if line.startswith("Flag")]


def test_a_recipe_is_no_configuration(write_run: Writer, tmp_path: Path) -> None:
    """The same hash with and without the key is one row."""
    folders = [write_run("smi", seed, 0.4 + seed / 100) for seed in range(2)]
    with open(folders[1] / "config.yaml", "a") as handle:
        handle.write("recipe: tuned (4 trials)\n")
    comparison = compared(tmp_path / "runs")
    assert [(one.label, one.recipe) for one in comparison.rows] == [("SMI (reconstructed)", "tuned (4 trials)")]


def test_errors_from_test_pictures_are_printed_where_predictions_are_stored(write_run: Writer, tmp_path: Path) -> None:
    labels = np.zeros(1000, np.uint8)
    for method, values in {"smi": SMI, "barlow": [value - 0.1 for value in BARLOW]}.items():
        for seed, value in enumerate(values):
            wrong = (np.arange(1000) >= round(1000 * value)).astype(np.uint8)
            np.savez(write_run(method, seed, value) / "predictions.npz", linear=wrong, knn=wrong, labels=labels)
    comparison = compared(tmp_path / "runs")
    against = row(comparison, "smi").against
    assert against is not None
    assert against.pictures is not None
    # 10 % of the pictures are right under one method only: their share alone has a standard error of 0.95 points.
    assert against.pictures.pictures_error == pytest.approx(np.sqrt(0.1 * 0.9 / 1000), rel=0.1)
    assert "crossed effects" in note(comparison, "Standard errors")
    assert results_table(comparison).records[0]["pictures_error"] == against.pictures.pictures_error
    np.savez(tmp_path / "runs" / row(comparison, "smi").completed["id"].iloc[0] / "predictions.npz", linear=labels)
    spoiled = row(compared(tmp_path / "runs"), "smi").against
    assert spoiled is not None
    assert spoiled.pictures is None


def test_one_run_each_gives_mcnemars_test(write_run: Writer, tmp_path: Path) -> None:
    for method, value in {"smi": 0.7, "barlow": 0.5}.items():
        wrong = (np.arange(100) >= 100 * value).astype(np.uint8)
        np.savez(write_run(method, 0, value) / "predictions.npz", linear=wrong, knn=wrong, labels=np.zeros(100))
    comparison = compared(tmp_path / "runs")
    against = row(comparison, "smi").against
    assert against is not None
    assert against.mcnemar_p == pytest.approx(2 / 2**20)
    assert "SMI (reconstructed) p < 0.001" in note(comparison, "McNemar")


def test_the_table_of_an_analysis_gives_what_it_could_show_in_each_unit(write_run: Writer, tmp_path: Path) -> None:
    fill(write_run, {"smi": SMI, "barlow": BARLOW})
    runs = load([tmp_path / "runs"])
    values = pd.DataFrame({"id": runs["id"], "rank": 10.0 + runs["seed"]})
    (comparison,) = analysis.compared(runs, values, None)
    table = analysis.table(comparison, {"rank": analysis.Quantity("rank", 1, "a number")}, "Ranks.", [])
    expected = smallest_detectable_difference(5, float(np.std(range(5), ddof=1)))
    assert f"80 % probability is {expected:.1f} in rank with n = 5 each" in table.notes[1]


def test_success_rates_are_in_the_records(experiment: Path) -> None:
    records = {record["label"]: record for record in results_table(compared(experiment)).records}
    barlow = records["Barlow Twins"]
    assert barlow["success_rate"] == pytest.approx(5 / 6)
    assert (barlow["success_low"], barlow["success_high"]) == pytest.approx((0.4365, 0.9699), abs=5e-4)


def test_declared_survives_its_file(tmp_path: Path) -> None:
    declared = Declared(reference="smi", paired=True, margin=0.01, columns=["linear"], all_pairs=True)
    path = tmp_path / "declared.json"
    path.write_text(declared.to_json())
    assert read(path) == declared
    for content in ("", "{", "[1]", "3", '{"colour": 1}', '{"margin": "a"}', '{"reference": 5}', '{"study": {"a": 1}}'):
        path.write_text(content)
        with pytest.raises(UserError, match=r"declared\.json"):
            read(path)
    path.write_bytes(b"\xff")
    with pytest.raises(UserError, match=r"declared\.json"):
        read(path)


def test_all_pairs_are_tukeys(experiment: Path) -> None:
    runs = load([experiment])
    found = analyse(runs, pd.DataFrame(columns=["id", "epoch"]), Declared(all_pairs=True))
    table = found.tables["imagewoof-160-pairs"]
    (comparison,) = found.comparisons
    rows = [one for one in comparison.competing if len(one.scores) > 1]
    expected = stats.tukey_hsd(*(list(one.scores.values()) for one in rows))
    assert len(table.records) == len(rows) * (len(rows) - 1) // 2
    assert "1.6 points with n = 5 and 4.6 points with n = 2 each (two-sample t test" in table.notes[1]
    assert "before Tukey's correction for all pairs" in table.notes[1]
    assert table.records[0]["p_tukey"] == pytest.approx(expected.pvalue[0, 1])
    assert table.records[0]["difference"] == pytest.approx(rows[0].score.mean - rows[1].score.mean)
