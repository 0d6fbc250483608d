"""Other people's numbers: complete, sourced, apart."""

from pathlib import Path

import pytest
import yaml

from bench.plan import open_dataset
from bench.reports.comparison import compare
from bench.reports.declared import Declared, analyse
from bench.reports.load import load
from bench.reports.published import anchors, published_table
from bench.reports.tables import Table


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
    ("name", "method", "value"),
    [
        ("cifar10", "Barlow Twins", "92.10"),
        ("imagenette:320", "Barlow Twins", "85.2"),
        ("imagenet", "Barlow Twins", "73.5"),
        ("imagenet:100", "Barlow Twins", "46.5"),
        ("stl10", "Mixed Barlow Twins", "91.02"),
    ],
)
def test_known_datasets_have_a_block(write_run, tmp_path: Path, name: str, method: str, value: str) -> None:
    """By the key that the dataset's own file gives it."""
    table = published(write_run, tmp_path, name, open_dataset(name).key)
    row = next(row for row in table.body if row[0].lines == (method,))
    assert value in [cell.lines[0] for cell in row]
    assert not any(cell.bold for row in table.body for cell in row)
    assert len(table.notes) == len(table.columns) - 1


def test_a_hundred_classes_of_imagenet_have_none_of_its_numbers(write_run, tmp_path: Path) -> None:
    hundred = published(write_run, tmp_path, "imagenet:100", "imagenet100").csv()
    assert "ImageNet-100" in hundred
    assert "ImageNet-1k" not in hundred
    assert "73.5" not in hundred


def test_tiny_imagenet_has_a_block(write_run, tmp_path: Path) -> None:
    table = published(write_run, tmp_path, "tinyimagenet", "tinyimagenet")
    assert [cell.lines[0] for cell in table.body[0]] == ["Mixed Barlow Twins", "51.67", "38.11"]
    assert all("mix-bt" in note for note in table.notes)


def published(write_run, tmp_path: Path, name: str, key: str) -> Table:
    dataset = {"name": name, "key": key, "fingerprint": "f" * 64, "classes": 10}
    write_run("barlow", 0, 0.4, shared={"dataset": dataset}, dataset=key)
    (comparison,), _ = compare(load([tmp_path / "runs"]))
    table = published_table(comparison)
    assert table is not None
    return table


def test_none_is_shown_or_mixed_in_for_other_datasets(experiment: Path) -> None:
    runs = load([experiment])
    analysis = analyse(runs, runs.iloc[:0], Declared())
    assert list(analysis.tables) == ["imagewoof-160"]


def test_the_file_is_plain_yaml() -> None:
    source = Path(__file__).parents[2] / "reports" / "published.yaml"
    assert len(yaml.safe_load(source.read_text(encoding="utf-8"))) == len(anchors())
