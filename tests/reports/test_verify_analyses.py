"""Tables of a study's analyses against what was measured of each run."""

from collections.abc import Callable
from pathlib import Path

import pytest

from bench.reports import analysis
from bench.reports.analysis import Quantity, compared, loaded
from bench.reports.declared import Declared
from bench.reports.page import write_report
from bench.reports.study import Cell, Record
from bench.reports.verify import verify

Writer = Callable[..., Path]


@pytest.fixture
def report(write_run: Writer, tmp_path: Path) -> Path:
    """The report of a study of two arms, three seeds each, with one analysis."""
    cells, rows, folders = {}, [], []
    for arm, level in (("smi", 0.5), ("barlow", 0.4)):
        for seed in range(3):
            folder = write_run(arm, seed, level + 0.01 * seed)
            key = str(folder.parent.relative_to(tmp_path / "runs"))
            cells[key] = Cell(key, arm, "imagewoof:160", {})
            rows.append({"id": f"{key}/seed{seed}", "rank": 100 * level + seed**2})
            folders.append(folder)
    record = Record("mine", "T", "Q?", "comparison", "barlow", [0, 1, 2], list(cells.values()), analyses=["geometry"])
    destination = tmp_path / "report/analysis/geometry"
    analysis.write_csv(rows, destination / "measures.csv")
    quantities = {"rank": Quantity("effective rank", 1, "more is more.")}
    values = analysis.read_csv(destination / "measures.csv")
    tables = [analysis.table(one, quantities, "C.", []) for one in compared(loaded(folders), values, "barlow")]
    analysis.write(destination, "Geometry", tables, [])
    write_report([tmp_path / "runs"], tmp_path / "report", Declared(study=record))
    return tmp_path / "report"


def test_the_tables_of_an_analysis_are_made_again_from_its_measures(report: Path) -> None:
    (table,) = report.glob("analysis/geometry/tables/*.csv")
    name = table.relative_to(report).as_posix()
    found = verify(report, [])
    assert found.drifts == []
    assert name in found.checked
    assert "analysis/geometry/section.md" in found.unchecked
    measures = report / "analysis/geometry/measures.csv"
    measures.write_text(measures.read_text().replace("51.0", "53.0"))
    drifts = verify(report, []).drifts
    for quantity in ("mean", "difference", "p", "p_holm"):
        assert any(line.startswith(f"{name}: SMI (reconstructed), {quantity}:") for line in drifts), drifts
    (table.parents[1] / "section.md").unlink()
    (table.parent / "other.csv").write_text("objective,share\nsmi,0.5\n")
    unchecked = verify(report, []).unchecked
    assert {"analysis/geometry/tables/other.csv", "the analysis geometry, which is not there"} <= set(unchecked)
    measures.unlink()
    assert verify(report, []).drifts == [f"{name}: has no measures beside it"]
