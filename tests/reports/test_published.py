"""Other people's numbers: complete, sourced, apart."""

from pathlib import Path

import pytest
import yaml

from bench.reports.comparison import compare
from bench.reports.declared import Declared, analyse
from bench.reports.load import load
from bench.reports.published import anchors, published_table


def test_every_anchor_has_a_source_a_protocol_and_percentages() -> None:
    assert anchors()
    for anchor in anchors():
        assert anchor.source
        assert anchor.protocol
        assert anchor.metric in ("linear", "knn")
        assert all(1 < float(value) < 100 for value in anchor.values.values())


def test_lightlys_convention_is_said_beside_its_numbers() -> None:
    found = [anchor.protocol for anchor in anchors() if anchor.source.startswith("lightly")]
    assert found
    assert all("highest" in protocol and "test set" in protocol for protocol in found)


@pytest.mark.parametrize(
    ("name", "value"),
    [("cifar10", "92.10"), ("imagenette:320", "85.2"), ("imagenet-1k", "73.5"), ("imagenet100", "46.5")],
)
def test_known_datasets_have_a_block_and_others_none(write_run, tmp_path: Path, name: str, value: str) -> None:
    dataset = {"name": name, "key": name, "fingerprint": "f" * 64, "classes": 10}
    write_run("barlow", 0, 0.4, shared={"dataset": dataset})
    (comparison,), _ = compare(load([tmp_path / "runs"]))
    table = published_table(comparison)
    assert table is not None
    barlow = next(row for row in table.body if row[0].lines == ("Barlow Twins",))
    assert value in [cell.lines[0] for cell in barlow]
    assert not any(cell.bold for row in table.body for cell in row)
    assert len(table.notes) == len(table.columns) - 1


def test_none_is_shown_or_mixed_in_for_other_datasets(experiment: Path) -> None:
    runs = load([experiment])
    analysis = analyse(runs, runs.iloc[:0], Declared())
    assert list(analysis.tables) == ["imagewoof-160"]


def test_the_file_is_plain_yaml() -> None:
    source = Path(__file__).parents[2] / "reports" / "published.yaml"
    assert len(yaml.safe_load(source.read_text(encoding="utf-8"))) == len(anchors())
