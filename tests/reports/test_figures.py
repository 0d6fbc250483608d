"""Styles that belong to a name, and figures that show what the runs hold."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from bench.reports import figures
from bench.reports.comparison import Comparison, compare
from bench.reports.load import curves, load

Writer = Callable[..., Path]


def compared(output: Path) -> Comparison:
    return compare(load([output]))[0][0]


def test_a_style_depends_on_the_name_alone_and_known_methods_differ() -> None:
    assert figures.style("my_loss") == figures.style("my_loss")
    known = ["smi", "barlow", "simclr", "vicreg", "byol", "simsiam", "spectral", "swav", "random", "supervised"]
    assert len({figures.style(method).color for method in known}) == len(known)
    assert figures.style("smi", 1).color == figures.style("smi").color
    assert figures.style("smi", 1) != figures.style("smi")


def test_accuracy_shows_every_seed_the_mean_and_the_interval(experiment: Path) -> None:
    comparison = compared(experiment)
    figure = figures.accuracy(comparison)
    assert figure is not None
    seeds, interval, mean = (line.get_xdata() for line in figure.axes[0].lines[:3])
    best = comparison.rows[0]
    assert best.linear is not None
    assert best.linear.interval is not None
    assert list(seeds) == pytest.approx([43.1, 44.2, 42.8, 43.7, 43.3])
    assert list(interval) == pytest.approx([100 * end for end in best.linear.interval])
    assert list(mean) == pytest.approx([43.42])
    dashed = figure.axes[0].lines[-1]
    assert list(dashed.get_xdata()) == pytest.approx([21.5, 21.5])


def test_learning_curves_show_the_mean_over_seeds(experiment: Path) -> None:
    runs = load([experiment])
    measured = curves(runs)[0]
    untrained_level = 100 * measured[measured["id"].str.contains("/random/")]["knn_validation"].mean()
    figure = figures.learning_curves(compared(experiment), measured)
    assert figure is not None
    best = next(line for line in figure.axes[0].lines if len(line.get_xdata()))
    assert list(best.get_xdata()) == [0, 3, 6, 9]
    assert "Random encoder" not in [line.get_label() for line in figure.axes[0].lines]
    assert list(figure.axes[0].lines[-1].get_ydata()) == pytest.approx([untrained_level] * 2)
    expected = 100 * np.mean(
        [value * 0.5 + 0.002 * seed for seed, value in enumerate([0.431, 0.442, 0.428, 0.437, 0.433])]
    )
    assert best.get_ydata()[0] == pytest.approx(expected)


def test_a_diverged_loss_does_not_flatten_the_others(experiment: Path) -> None:
    comparison = compared(experiment)
    figure = figures.losses(comparison, curves(load([experiment]))[0])
    assert figure is not None
    panel = next(axes for axes in figure.axes if "w=1.0" in axes.get_title(loc="left"))
    assert panel.get_ylim()[1] < 3
    assert [line.get_marker() for line in panel.lines].count("x") == 1


def test_without_curves_there_is_no_curve_figure(write_run: Writer, tmp_path: Path) -> None:
    (write_run("smi", 0, 0.4) / "metrics.csv").unlink()
    comparison = compared(tmp_path / "runs")
    drawn = figures.draw(comparison, curves(load([tmp_path / "runs"]))[0], tmp_path / "figures")
    assert sorted(path.name for path in (tmp_path / "figures").iterdir()) == [
        "accuracy-imagewoof-160.pdf",
        "accuracy-imagewoof-160.png",
    ]
    assert len(drawn) == 1
