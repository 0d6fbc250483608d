"""Red flags: what is mixed, missing, or looks wrong, on made-up runs."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from bench.reports.comparison import Comparison, compare
from bench.reports.flags import red_flags
from bench.reports.load import load
from bench.reports.records import from_csv, to_csv

Writer = Callable[..., Path]


def compared(output: Path, reference: str | None = None) -> Comparison:
    comparisons, _ = compare(load([output]), reference)
    assert len(comparisons) == 1
    return comparisons[0]


def fill(write_run: Writer, scores: dict[str, list[float]], output: str = "runs") -> None:
    for method, values in scores.items():
        for seed, value in enumerate(values):
            write_run(method, seed, value, knn=value / 2 + 0.0001 * seed, output=output)


def test_flags_name_what_is_mixed_and_by_whom(write_run: Writer, tmp_path: Path) -> None:
    write_run("smi", 0, 0.40, shared={"epochs": 20, "protocol": "2"}, environment={"hardware": "fast GPU"})
    write_run("barlow", 0, 0.41, environment={"git_dirty": True, "git_commit": None})
    assert red_flags(compared(tmp_path / "runs")) == [
        "Different values of protocol version in one table: 1 (Barlow Twins); 2 (SMI (reconstructed)).",
        "Different values of epochs in one table: 10 (Barlow Twins); 20 (SMI (reconstructed)).",
        "Different hardware in one table: synthetic CPU (Barlow Twins); fast GPU (SMI (reconstructed)).",
        "Different git commits in one table: unknown (Barlow Twins); abc1234 (SMI (reconstructed)).",
        "1 run made with uncommitted changes in the code.",
    ]


@pytest.mark.parametrize(("recipe", "flagged"), [("tuned (16 trials)", False), ("default", True)])
def test_learning_rates_may_differ_where_every_row_was_tuned(
    write_run: Writer, tmp_path: Path, recipe: str, flagged: bool
) -> None:
    for method, rate in {"smi": 0.001, "barlow": 0.002, "random": 0.003}.items():
        own = "default" if method == "random" else recipe
        write_run(method, 0, 0.4 if method != "random" else 0.2, shared={"optimizer": {"lr": rate}, "recipe": own})
    assert any("optimizer.lr" in flag for flag in red_flags(compared(tmp_path / "runs"))) == flagged


def test_outside_git_the_suites_version_tells_code_apart(write_run: Writer, tmp_path: Path) -> None:
    for method, version in {"smi": "1.2.0", "barlow": "1.3.0"}.items():
        write_run(method, 0, 0.4, environment={"git_commit": None, "git_dirty": None, "bench": version})
    assert red_flags(compared(tmp_path / "runs")) == [
        "Different versions of the suite in one table: 1.3.0 (Barlow Twins); 1.2.0 (SMI (reconstructed))."
    ]


def test_flags_for_scores_that_look_wrong(write_run: Writer, tmp_path: Path) -> None:
    fill(write_run, {"barlow": [0.4, 0.4, 0.4], "smi": [0.19, 0.2, 0.195], "random": [0.21, 0.22, 0.215]})
    flags = red_flags(compared(tmp_path / "runs"))
    assert flags == [
        "Barlow Twins: the same linear accuracy for all 3 seeds: with no spread seen, "
        "differences to it look surer than they are.",
        "Not above the random encoder in linear accuracy: SMI (reconstructed).",
    ]


def test_runs_that_did_not_go_straight_through_are_named(write_run: Writer, tmp_path: Path) -> None:
    fill(write_run, {"barlow": [0.40, 0.41], "smi": [0.42]})
    folder = write_run("smi", 1, 0.43, incidents=["threads 1 became 2 at step 9", "torch 2.11 became 2.15 at step 20"])
    comparison = compared(tmp_path / "runs")
    (flag,) = red_flags(comparison)
    happened = "threads 1 became 2 at step 9; torch 2.11 became 2.15 at step 20"
    assert flag == f"{folder.relative_to(tmp_path / 'runs')} did not go straight through: {happened}."
    (tmp_path / "results.csv").write_text(to_csv(comparison.runs, tmp_path))
    assert list(from_csv(tmp_path / "results.csv")["incidents"].dropna()) == [happened]


def test_a_clean_experiment_has_no_flag(write_run: Writer, tmp_path: Path) -> None:
    fill(write_run, {"barlow": [0.40, 0.41], "smi": [0.42, 0.43], "random": [0.21, 0.22]})
    assert red_flags(compared(tmp_path / "runs")) == []


def test_identical_seeds_are_flagged(write_run: Writer, tmp_path: Path) -> None:
    for seed in (0, 1, 2):
        result = write_run("smi", seed, 0.4 + 0.01 * (seed == 2)) / "result.json"
        result.write_text(result.read_text().replace(f'"effective_rank": {40.0 + seed}', '"effective_rank": 40.0'))
    assert red_flags(compared(tmp_path / "runs")) == [
        "SMI (reconstructed): 1 run identical to another seed's in every score: did the seed take effect?"
    ]


def test_seeds_that_never_began_are_counted_against_those_of_the_other_rows(write_run: Writer, tmp_path: Path) -> None:
    fill(write_run, {"barlow": [0.40, 0.41, 0.42, 0.43], "smi": [0.44, 0.45]})
    for seed in (0, 1, 3):
        write_run("vicreg", seed, 0.4 + seed / 100)
    write_run("vicreg", 2, status=None)  # began: unfinished, not missing
    comparison = compared(tmp_path / "runs")
    assert red_flags(comparison) == [
        "Never begun, though other rows have them: seeds 2, 3 of SMI (reconstructed).",
        "1 run unfinished: in no mean.",
    ]
    declared = replace(comparison, declared_seeds=range(5), absent=["byol", "moco", "dino"])
    assert red_flags(declared)[0] == (
        "Never begun, though declared: seeds 2, 3, 4 of SMI (reconstructed); seed 4 of Barlow Twins; seed 4 of vicreg; "
        "every run of byol, moco and dino."
    )


def test_how_many_points_a_curve_has_is_no_difference(write_run: Writer, tmp_path: Path) -> None:
    """It is no part of a run's id: an output folder may hold runs from before a preset's change of it."""
    for method, w, points in (("smi", 1.0, 10), ("smi", 2.0, 5), ("barlow", 1.0, 5)):
        write_run(method, 0, 0.4, config={"w": w}, shared={"evaluate": {"curve_points": points}})
    comparison = compared(tmp_path / "runs")
    assert not any("curve_points" in flag for flag in red_flags(comparison))
    assert not any("curve_points" in row.label for row in comparison.rows)
