"""Several datasets together: aggregates, ranks, and what too few datasets cannot show."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

from bench.reports.comparison import compare
from bench.reports.load import load
from bench.reports.overview import Overview, overview, overview_table
from bench.reports.ranks import ranking

Writer = Callable[..., Path]
Several = Callable[[int, dict[str, float]], Overview]


def seen(output: Path) -> Overview:
    found = overview(compare(load([output]))[0])
    assert found is not None
    return found


@pytest.fixture
def several(write_run: Writer, tmp_path: Path) -> Several:
    """Writes that many datasets with three seeds of each method around a level and returns their overview."""

    def write(datasets: int, levels: dict[str, float]) -> Overview:
        generator = np.random.default_rng(0)
        for index in range(datasets):
            dataset = {"name": f"set{index}", "key": f"set{index}", "fingerprint": f"{index:064d}", "classes": 10}
            for method, level in levels.items():
                for seed in range(3):
                    folder = write_run(method, seed, level + generator.normal(0, 0.005), shared={"dataset": dataset})
                    target = tmp_path / "several" / f"set{index}" / method / folder.parent.name / folder.name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    folder.rename(target)
                    result = target / "result.json"
                    result.write_text(result.read_text().replace("imagewoof-160/", f"set{index}/"))
        return seen(tmp_path / "several")

    return write


def test_aggregates_of_scores_between_random_and_supervised(several: Several) -> None:
    found = several(3, {"random": 0.2, "supervised": 0.6, "barlow": 0.4, "smi": 0.5})
    assert found.methods == ["SMI (reconstructed)", "Barlow Twins"]
    smi = found.estimates["SMI (reconstructed)"]
    assert smi["interquartile_mean"].value == pytest.approx(0.75, abs=0.03)
    assert smi["optimality_gap"].value == pytest.approx(0.25, abs=0.03)
    assert smi["improvement"].value == 1.0
    assert smi["improvement"].interval is None  # no draw could give another
    scores = np.concatenate(found.normalised["SMI (reconstructed)"])
    assert smi["interquartile_mean"].value == pytest.approx(stats.trim_mean(scores, 0.25))
    table = overview_table(found)
    assert [column.heading for column in table.columns] == [
        *("method", "set0", "set1", "set2", "mean rank", "IQM", "mean", "optimality gap", "P(improvement)")
    ]
    assert [row[0].lines[0] for row in table.body] == ["SMI (reconstructed)", "Barlow Twins"]
    assert [row[0].lines[0] for row in table.aside] == ["Random encoder", "Supervised"]
    assert "3 datasets cannot show any difference between 2 methods" in " ".join(table.notes)
    assert "too narrow" in " ".join(table.notes)
    assert "points with n = 3 on " in " ".join(table.notes)
    assert table.records[0]["mean_rank"] == 1.0


def test_enough_datasets_let_a_difference_show(several: Several) -> None:
    found = several(6, {"barlow": 0.4, "smi": 0.5})
    notes = " ".join(overview_table(found).notes)
    assert "SMI (reconstructed) and Barlow Twins (p = 0.031) differ" in notes.replace(
        "Barlow Twins and SMI (reconstructed)", "SMI (reconstructed) and Barlow Twins"
    )
    assert "No IQM" in notes
    assert "too narrow" in notes  # the intervals of P(improvement), where there are no others
    assert found.ranking is not None
    means = [[row.score.mean for row in one.competing if row.score] for one in found.comparisons]
    assert sorted(found.ranking.mean_ranks) == sorted(ranking(np.array(means).T).mean_ranks)


def test_a_method_missing_somewhere_is_not_ranked_and_named(several: Several, tmp_path: Path) -> None:
    several(2, {"barlow": 0.4, "smi": 0.5, "vicreg": 0.6})
    shutil.rmtree(tmp_path / "several" / "set1" / "vicreg")
    found = seen(tmp_path / "several")
    assert set(found.methods) == {"Barlow Twins", "SMI (reconstructed)"}
    assert found.left_out == ["vicreg"]
    table = overview_table(found)
    assert "Not ranked, since a dataset is missing: vicreg." in table.notes
    assert [cell.lines[0] for cell in table.body[-1]][2:] == ["–", "–", "–"]


def test_no_method_everywhere_is_no_overview(several: Several, tmp_path: Path) -> None:
    several(2, {"barlow": 0.4, "smi": 0.5})
    shutil.rmtree(tmp_path / "several" / "set0" / "barlow")
    shutil.rmtree(tmp_path / "several" / "set1" / "smi")
    assert overview(compare(load([tmp_path / "several"]))[0]) is None


def test_one_dataset_has_no_overview(experiment: Path) -> None:
    assert overview(compare(load([experiment]))[0]) is None
