"""Styles that belong to a name, and figures that show what the runs hold."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bench.reports import figure_cost, figure_curves, figure_datasets, figures, style
from bench.reports.comparison import Comparison, compare
from bench.reports.load import curves, load
from bench.reports.overview import overview

Writer = Callable[..., Path]


def compared(output: Path) -> Comparison:
    return compare(load([output]))[0][0]


def test_a_style_depends_on_the_name_alone_and_known_methods_differ() -> None:
    unknown = [style.style(name) for name in ("my_loss", "another")]
    assert unknown == [style.Style("#cc78bc", "X", (6, 2, 1, 2)), style.Style("#029e73", "o", ())]
    known = ["smi", "barlow", "simclr", "vicreg", "byol", "moco", "simsiam", "spectral", "swav", "random", "supervised"]
    assert len({style.style(method).color for method in known}) == len(known)
    more = [style.style(method) for method in (*known, "minc", "explicit_mi", "dino")]
    assert len({(look.color, look.marker) for look in more}) == len({(look.color, look.dashes) for look in more}) == 14
    assert style.style("smi", 1) != style.style("smi")


def test_methods_of_one_figure_have_markers_of_their_own_and_keep_their_colours() -> None:
    alike = {label: style.Style(color, "v", ()) for label, color in zip("abc", style.PALETTE, strict=False)}
    looks = style.distinct(alike)
    assert looks["a"] == alike["a"]
    assert len({look.marker for look in looks.values()}) == len(looks)
    assert [look.color for look in looks.values()] == [look.color for look in alike.values()]
    crowd = style.distinct({str(index): style.style(f"method{index}") for index in range(30)})
    assert len({(look.color, look.marker) for look in crowd.values()}) == len(crowd)


def test_a_method_keeps_its_marker_on_another_dataset(write_run: Writer, tmp_path: Path) -> None:
    methods = ["barlow", "simclr", "smi", "vicreg", "random", "supervised"]
    for dataset, width in {"digits": 16, "imagewoof-160": 64}.items():  # the hashes of configurations differ
        for method in methods:
            write_run(method, 0, 0.4, dataset=dataset, shared={"image_size": width})
    found = [style.styles(one.rows) for one in compare(load([tmp_path / "runs"]))[0]]
    assert len(found) == 2
    assert found[0] == found[1]
    assert found[0]["Barlow Twins"] == style.style("barlow")


def test_names_of_axes_stay_within_the_figure(write_run: Writer, tmp_path: Path) -> None:
    for method in ("smi", "barlow"):
        for seed in range(2):
            write_run(method, seed, 0.4 + 0.01 * seed, cost={"seconds_pretrain": 20.0})
    title = "folder:/home/somebody/pictures/flowers-of-the-alps-at-160-pixels"
    comparison = replace(compared(tmp_path / "runs"), title=title)
    measured = curves(load([tmp_path / "runs"]))[0]
    for figure in (
        figures.accuracy(comparison),
        figures.differences(comparison),
        figure_cost.accuracy_against_cost(comparison),
        figure_curves.learning_curves(comparison, measured),
    ):
        assert figure is not None
        figure.draw_without_rendering()
        named = (name for axes in figure.axes for name in (axes.xaxis.label, axes.yaxis.label) if name.get_text())
        for box in (name.get_window_extent() for name in named):
            assert min(box.x0, box.y0) >= 0
            assert box.x1 <= figure.bbox.x1
            assert box.y1 <= figure.bbox.y1


def test_accuracy_shows_every_seed_the_mean_and_the_interval(experiment: Path) -> None:
    comparison = compared(experiment)
    figure = figures.accuracy(comparison)
    assert figure is not None
    seeds, interval, mean = (line.get_xdata() for line in figure.axes[0].lines[:3])
    best = comparison.rows[0]
    assert best.score is not None
    assert best.score.interval is not None
    assert list(seeds) == pytest.approx([43.1, 44.2, 42.8, 43.7, 43.3])
    assert list(interval) == pytest.approx([100 * end for end in best.score.interval])
    assert list(mean) == pytest.approx([43.42])
    dashed = figure.axes[0].lines[-1]
    assert list(dashed.get_xdata()) == pytest.approx([21.5, 21.5])


def test_learning_curves_show_the_mean_over_seeds(experiment: Path) -> None:
    runs = load([experiment])
    measured = curves(runs)[0]
    untrained_level = 100 * measured[measured["id"].str.contains("/random/")]["knn_validation"].mean()
    figure = figure_curves.learning_curves(compared(experiment), measured)
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
    figure = figure_curves.losses(comparison, curves(load([experiment]))[0])
    assert figure is not None
    panel = next(axes for axes in figure.axes if "w=1.0" in axes.get_title(loc="left"))
    assert panel.get_ylim()[1] < 3
    crosses = [list(line.get_xdata()) for line in panel.lines if line.get_marker() == "x"]
    assert crosses == [[2]]
    assert len(panel.collections[0].get_paths()) == 3


def test_the_forest_plot_shows_differences_and_fills_only_what_is_significant(experiment: Path) -> None:
    comparison = compared(experiment)
    figure = figures.differences(comparison)
    assert figure is not None
    labels = [label.get_text().replace("\n", " ") for label in figure.axes[0].get_yticklabels()]
    rows = [row for row in comparison.competing if row.difference]
    assert labels == [row.label for row in rows]
    assert "Barlow Twins" not in labels
    looks = style.styles(comparison.rows)
    for row, face in zip(rows, (looks[rows[0].label].color, "white", "white"), strict=True):
        assert row.difference is not None
        point = next(
            line
            for line in figure.axes[0].lines
            if list(line.get_xdata()) == pytest.approx([100 * row.difference.difference])
        )
        assert point.get_markerfacecolor() == face
        assert (row.p is not None and row.p < 0.05) == (face != "white")


@pytest.mark.parametrize(
    ("points", "front"),
    [
        ([(1, 50), (2, 40), (3, 60)], [(1, 50), (3, 60)]),
        ([(2, 50), (1, 50)], [(1, 50)]),
        ([(1, 40), (1, 50), (2, 50)], [(1, 50)]),
        ([], []),
    ],
)
def test_the_pareto_front_holds_what_nothing_cheaper_beats(
    points: list[tuple[float, float]], front: list[tuple[float, float]]
) -> None:
    assert figure_cost.pareto_front(points) == front


def test_cost_has_a_panel_for_each_known_cost_and_no_random_encoder(write_run: Writer, tmp_path: Path) -> None:
    for method, value in {"smi": 0.43, "barlow": 0.41, "random": 0.2}.items():
        for seed in range(2):
            write_run(method, seed, value + 0.01 * seed, cost={"seconds_pretrain": 20.0 if method == "smi" else 10.0})
    figure = figure_cost.accuracy_against_cost(compared(tmp_path / "runs"))
    assert figure is not None
    (axes,) = figure.axes
    assert axes.get_xlabel() == "pretraining time (s)"
    by_label = {line.get_label(): line for line in axes.lines}
    assert list(by_label["Barlow Twins"].get_xdata()) == [10.0]
    assert list(by_label["Pareto front"].get_xdata()) == [10.0, 20.0]
    assert "Random encoder" not in by_label


def test_a_sweep_joins_runs_that_differ_in_one_setting_alone(write_run: Writer, tmp_path: Path) -> None:
    for batch, value in {64: 0.40, 128: 0.42, 256: 0.43}.items():
        write_run("smi", 0, value, shared={"batch_size": batch})
    write_run("smi", 0, 0.3, shared={"batch_size": 512, "epochs": 20})
    write_run("barlow", 0, 0.3, shared={"batch_size": 64})
    figure = figure_cost.sweeps(compared(tmp_path / "runs"))
    assert figure is not None
    (axes,) = figure.axes
    (line,) = axes.lines
    assert axes.get_xlabel() == "batch size"
    assert list(line.get_xdata()) == [64, 128, 256]
    assert list(line.get_ydata()) == pytest.approx([40, 42, 43])


def test_without_two_values_there_is_no_sweep(experiment: Path) -> None:
    assert figure_cost.sweeps(compared(experiment)) is None


def several(write_run: Writer, output: Path, datasets: int) -> list[Comparison]:
    """Three methods between random and supervised encoder on so many datasets; smi always before barlow."""
    values = {"smi": 0.44, "barlow": 0.40, "vicreg": 0.36, "random": 0.2, "supervised": 0.6}
    for index in range(datasets):
        for method, value in values.items():
            for seed in range(2):
                shared = {"dataset": {"name": f"d{index}", "key": f"d{index}", "fingerprint": "f" * 64, "classes": 9}}
                write_run(method, seed, value + 0.005 * seed + 0.01 * index, shared=shared, dataset=f"d{index}")
    return compare(load([output]))[0]


def test_profiles_fall_from_one_to_nothing(write_run: Writer, tmp_path: Path) -> None:
    found = overview(several(write_run, tmp_path / "runs", 2))
    assert found is not None
    figure = figure_datasets.profiles(found)
    assert figure is not None
    for line in figure.axes[0].lines:
        shares = np.asarray(line.get_ydata())
        assert shares[0] == 1
        assert shares[-1] == 0
        assert (np.diff(shares) <= 0).all()
    assert figure_datasets.critical_difference(found) is None  # two datasets let no difference show


def test_the_critical_difference_diagram_places_methods_by_rank(write_run: Writer, tmp_path: Path) -> None:
    found = overview(several(write_run, tmp_path / "runs", 8))
    assert found is not None
    figure = figure_datasets.critical_difference(found)
    assert figure is not None
    placed = {text.get_text(): text.xy[0] for text in figure.axes[0].texts}
    assert sorted(placed) == ["Barlow Twins (2.00)", "SMI (reconstructed) (1.00)", "vicreg (3.00)"]
    points = [list(line.get_xdata()) for line in figure.axes[0].lines if len(line.get_xdata()) == 1]
    assert points == [[1], [2], [3]]


def test_the_same_runs_give_the_same_bytes(experiment: Path) -> None:
    comparison = compared(experiment)
    first, second = (
        style.rendered(figures.accuracy(comparison), "accuracy", "title", "caption")  # type: ignore[arg-type]
        for _ in range(2)
    )
    assert first == second
    assert first.address.startswith("data:image/svg+xml;base64,")


def test_without_curves_there_is_no_curve_figure(write_run: Writer, tmp_path: Path) -> None:
    (write_run("smi", 0, 0.4) / "metrics.csv").unlink()
    drawn = figures.draw(compared(tmp_path / "runs"), curves(load([tmp_path / "runs"]))[0])
    assert [drawing.name for drawing in drawn] == ["accuracy-imagewoof-160"]
