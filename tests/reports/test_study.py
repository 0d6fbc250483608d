"""Sections of studies against tests done by hand with SciPy, and a study's report from end to end."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bench.reports import statistics, study_factors, study_grid, study_ranking, study_variance, text
from bench.reports.power import smallest_detectable_difference
from bench.reports.study import Cell, Group, Options, Record, contrast

Writer = Callable[..., Path]
OPTIONS = Options("linear", False)
SCORES = st.lists(st.floats(0, 1), min_size=2, max_size=6).filter(lambda scores: np.ptp(scores) > 1e-3)


def group(arm: str, scores: list[float], variant: dict[str, str] | None = None, **config: str | None) -> Group:
    """A cell with these completed runs, seeds from 0."""
    method = arm.partition(":")[0]
    runs = pd.DataFrame({"seed": range(len(scores)), "scores.linear": scores})
    for name, value in config.items():
        runs[f"config.method.config.{name}"] = value
    return Group(Cell(f"digits/{method}/00000000", arm, "digits", variant or {}), runs)


def record(section: str, reference: str, **more: object) -> Record:
    return Record("name", "Title", "Question?", section, reference, range(5), [], **more)  # type: ignore[arg-type]


@given(SCORES, SCORES)
def test_a_contrast_of_two_is_welchs_test(a: list[float], b: list[float]) -> None:
    found = contrast([dict(enumerate(a)), dict(enumerate(b))], [1, -1], False)
    expected = stats.ttest_ind(a, b, equal_var=False)
    interval = expected.confidence_interval(0.95)
    assert found is not None
    assert found.p == pytest.approx(expected.pvalue, rel=1e-6)
    assert found.interval == pytest.approx((interval.low, interval.high), rel=1e-6, abs=1e-9)


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 4), min_size=3, max_size=6))
def test_a_paired_contrast_is_the_one_sample_test_of_the_sums(rows: list[tuple[float, ...]]) -> None:
    columns = [dict(enumerate(column)) for column in zip(*rows, strict=True)]
    sums = np.array(rows) @ [1, -1, -1, 1]
    found = contrast(columns, [1, -1, -1, 1], True)
    assert found is not None
    assert found.difference == pytest.approx(sums.mean(), abs=1e-12)
    if found.p is not None and np.ptp(sums) > 1e-6:
        assert found.p == pytest.approx(stats.ttest_1samp(sums, 0).pvalue, rel=1e-6)


def test_the_error_of_a_difference_of_differences_is_that_of_four_independent_means() -> None:
    groups = [[0.1, 0.3, 0.2], [0.5, 0.6, 0.4, 0.5], [0.2, 0.2, 0.5], [0.9, 0.7]]
    found = statistics.linear_contrast(groups, [1, -1, -1, 1])
    variances = [np.var(one, ddof=1) / len(one) for one in groups]
    assert found.difference == pytest.approx(0.2 - 0.5 - 0.3 + 0.8)
    assert found.error == pytest.approx(np.sqrt(sum(variances)))
    freedom = sum(variances) ** 2 / sum(v**2 / (len(one) - 1) for v, one in zip(variances, groups, strict=True))
    assert found.degrees_of_freedom == pytest.approx(freedom)


def test_a_missing_group_leaves_no_contrast() -> None:
    assert contrast([{0: 0.5, 1: 0.6}, {}], [1, -1], False) is None
    assert contrast([{0: 0.5}, {1: 0.6}], [1, -1], True) is None


ABLATION = [
    group("smi", [0.80, 0.82, 0.81], transform="gaussian", level="sample"),
    group("smi:transform=identity", [0.70, 0.73, 0.71], transform="identity", level="sample"),
    group("smi:level=feature", [0.79, 0.80, 0.83], transform="gaussian", level="feature"),
    group("barlow", [0.60, 0.61, 0.62]),
]


def test_effects_are_of_one_factor_and_one_method_with_holms_correction() -> None:
    found = study_factors.effects(ABLATION, ["transform", "level"], OPTIONS)
    assert [(one.factor, one.first.arm, one.second.arm) for one in found] == [
        ("transform", "smi", "smi:transform=identity"),
        ("level", "smi", "smi:level=feature"),
    ]
    raw = [
        stats.ttest_ind([0.80, 0.82, 0.81], other, equal_var=False).pvalue
        for other in ([0.70, 0.73, 0.71], [0.79, 0.80, 0.83])
    ]
    assert [one.p for one in found] == pytest.approx([2 * raw[0], max(2 * raw[0], raw[1])])
    assert found[0].held == "level sample"


def test_a_factor_without_meaning_at_a_level_of_another_hides_no_effect() -> None:
    arms = [
        group("smi", [0.80, 0.82], level="sample", form="match", centre="feature"),
        group("smi:form=fisher", [0.70, 0.73], level="sample", form="fisher", centre="batch"),
        group("smi:centre=batch", [0.75, 0.77], level="sample", form="match", centre="batch"),
        group("smi:level=feature", [0.79, 0.80], level="feature", form="match", centre=None),
    ]
    found = study_factors.effects(arms, ["level", "form", "centre"], OPTIONS)
    assert [(one.factor, one.first.arm, one.second.arm, one.held) for one in found] == [
        ("level", "smi", "smi:level=feature", "form match, centre feature at sample"),
        ("level", "smi:centre=batch", "smi:level=feature", "form match, centre batch at sample"),
        ("form", "smi:form=fisher", "smi:centre=batch", "level sample, centre batch"),
        ("centre", "smi", "smi:centre=batch", "level sample, form match"),
    ]


def grid() -> list[Group]:
    scores = {
        ("smi", "32"): [0.78, 0.79, 0.80],
        ("smi", "512"): [0.80, 0.81, 0.82],
        ("barlow", "32"): [0.60, 0.62, 0.61],
        ("barlow", "512"): [0.80, 0.79, 0.81],
        ("random", "32"): [0.3, 0.3, 0.31],
        ("random", "512"): [0.3, 0.3, 0.31],
    }
    return [group(arm, values, {"batch_size": size}) for (arm, size), values in scores.items()]


def test_a_change_along_an_axis_is_held_against_the_references() -> None:
    smi, barlow = study_grid.changes(grid(), "barlow", OPTIONS)
    assert (smi.arm, smi.axis, smi.values) == ("smi", "batch_size", ("512", "32"))
    assert smi.change is not None
    assert smi.less_reference is not None
    assert smi.change.difference == pytest.approx(-0.02)
    assert smi.less_reference.difference == pytest.approx(-0.02 + 0.19)
    assert smi.less_reference.error == pytest.approx(np.sqrt(4 * 0.01**2 / 3))
    assert smi.less_reference.degrees_of_freedom == pytest.approx(8)
    assert barlow.less_reference is None


def test_the_axes_ends_are_by_number_not_by_letter() -> None:
    assert study_grid.ends(grid(), "batch_size") == ("32", "512")


def test_the_grid_says_where_an_arm_keeps_its_accuracy() -> None:
    section = study_grid.section({"digits": grid()}, record("grid", "barlow"), OPTIONS)
    assert list(section.tables) == ["study-grid-digits", "study-changes-digits"]
    assert len(section.tables["study-grid-digits"].records) == 6
    assert section.answers[0].startswith("batch_size from 512 to 32 on digits: smi changes by −2.0 points")
    assert "better than barlow: +17.0 points" in section.answers[0]


def test_every_table_that_tests_says_what_it_could_have_shown() -> None:
    """All cells of the grid that compete have a standard deviation of one point over three runs."""
    tables = study_grid.section({"digits": grid()}, record("grid", "barlow"), OPTIONS).tables
    for name, groups, words in (("grid", 2, "two-sample t test"), ("changes", 4, "t test of four means")):
        (note,) = tables[f"study-{name}-digits"].notes
        size = 100 * smallest_detectable_difference(3, 0.01, groups)
        assert f"is {size:.1f} points with n = 3 each ({words}" in note
    (note,) = (
        study_factors.section({"digits": ABLATION}, record("factors", "smi", factors=["transform", "level"]), OPTIONS)
        .tables["study-factors-digits"]
        .notes
    )
    sd = statistics.pooled_sd([[0.80, 0.82, 0.81], [0.70, 0.73, 0.71], [0.79, 0.80, 0.83]])
    assert f"is {100 * smallest_detectable_difference(3, sd or 0):.1f} points with n = 3 each" in note
    variants = [group(arm, [0.5, 0.5 + gap, 0.5 - gap], {"variant": variant}) for variant in "ab" for arm, gap in GAPS]
    tables = study_ranking.section({"digits": variants}, record("ranking", "barlow"), OPTIONS).tables
    assert "t test of four means" in tables["study-leads-digits"].notes[0]
    assert not any("80 % probability" in note for note in tables["study-tau-digits"].notes)


def test_paired_tables_go_by_the_differences() -> None:
    """Both arms rise and fall together, but for 0.1 points."""
    arms = {"smi": [0.80, 0.86, 0.83], "barlow": [0.700, 0.761, 0.729]}
    groups = [group(arm, scores, {"batch_size": size}) for arm, scores in arms.items() for size in ("32", "64")]
    table = study_grid.section({"digits": groups}, record("grid", "barlow"), Options("linear", True)).tables
    (note,) = table["study-grid-digits"].notes
    sd = np.std(np.subtract(arms["smi"], arms["barlow"]), ddof=1)
    assert f"is {100 * smallest_detectable_difference(3, sd, 1):.1f} points with n = 3 pairs (paired t test" in note


GAPS = (("smi", 0.01), ("barlow", 0.02))


def test_reference_rows_are_in_no_family_of_tests() -> None:
    section = study_grid.section({"digits": grid()}, record("grid", "barlow"), OPTIONS)
    records = {(row["arm"], row["batch_size"]): row for row in section.tables["study-grid-digits"].records}
    assert records["random", "32"]["difference_p_holm"] is None
    raw = [records["smi", size]["difference_p"] for size in ("32", "512")]
    adjusted = [records["smi", size]["difference_p_holm"] for size in ("32", "512")]
    assert adjusted == statistics.holm(raw)


def seeds() -> list[Group]:
    scores = {"all": [0.5, 0.7, 0.6], "init": [0.5, 0.6, 0.7], "views": [0.61, 0.6, 0.62], "probe": [0.6, 0.6, 0.6]}
    arms = {"smi": 0.0, "barlow": 0.1}
    return [
        group(arm, [value + shift for value in values], {"variant": source})
        for arm, shift in arms.items()
        for source, values in scores.items()
    ]


def test_spread_by_source_with_the_chi_squared_interval_and_pooled() -> None:
    found = {(one.arm, one.source): one for one in study_variance.components(seeds(), "scores.linear")}
    init, pooled = found["smi", "init"], found["all arms", "init"]
    assert init.sd == pytest.approx(0.1)
    assert init.interval == pytest.approx([0.1 * np.sqrt(2 / stats.chi2.ppf(q, 2)) for q in (0.975, 0.025)])
    assert init.share == pytest.approx(0.01 / 0.0101)
    assert pooled.interval == pytest.approx([0.1 * np.sqrt(4 / stats.chi2.ppf(q, 4)) for q in (0.975, 0.025)])
    assert found["smi", "probe"].interval is None
    assert found["smi", "probe"].share == 0
    assert found["smi", "all"].share is None


def test_the_largest_source_is_called_so_only_where_f_tests_show_it() -> None:
    pooled = [one for one in study_variance.components(seeds(), "scores.linear") if one.arm == "all arms"]
    (answer,) = study_variance._sentences("it", pooled, Options("linear", False))
    init, views = ({one.source: one for one in pooled}[name] for name in ("init", "views"))
    p = 2 * stats.f.sf((init.sd / views.sd) ** 2, 4, 4)  # the one other source with a spread
    assert p < 0.05
    assert f"that it is the largest is shown (larger than views {text.p_value(p)}, F tests" in answer
    alike = [replace(one, sd=0.1) for one in pooled]
    assert "that it is the largest is not shown" in study_variance._sentences("it", alike, Options("linear", False))[0]


def test_tau_is_kendalls() -> None:
    first = [{0: 0.1, 1: 0.12}, {0: 0.2, 1: 0.25}, {0: 0.3, 1: 0.28}, {0: 0.4, 1: 0.41}]
    second = [{0: 0.2, 1: 0.21}, {0: 0.1, 1: 0.13}, {0: 0.3, 1: 0.34}, {0: 0.5, 1: 0.4}]
    value = study_ranking.tau(first, second)
    assert value == pytest.approx(stats.kendalltau([1, 2, 3, 4], [2, 1, 3, 4]).statistic)
    assert study_ranking.tau(first[:1], second[:1]) is None
    assert study_ranking.tau_by_seeds([{0: 0.1}, {0: 0.2}], [{0: 0.1}, {0: 0.2}]) is None


def rankings(
    truth: np.ndarray, other: np.ndarray, generator: np.random.Generator, common: float = 0.0
) -> study_ranking.BySeeds:
    """Three runs of every arm, with a standard deviation of one and what the seeds do to all of them."""
    sides = []
    for means in (truth, other):
        runs = means[:, None] + generator.normal(0, 1, (len(means), 3)) + common * generator.normal(0, 1, 3)
        sides.append([dict(enumerate(scores)) for scores in runs.tolist()])
    found = study_ranking.tau_by_seeds(*sides)
    assert found is not None
    return found


def test_what_a_seed_does_to_all_arms_changes_no_ranking_where_they_share_it() -> None:
    truth = np.arange(5.0)
    plain, shifted = (rankings(truth, truth, np.random.default_rng(3), common) for common in (0.0, 100.0))
    assert plain == shifted


@pytest.mark.parametrize("spread", [0.0, 0.5, 2.0])
def test_a_variant_that_changes_the_level_alone_is_seldom_told_from_seeds(
    spread: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(study_ranking, "DRAWS", 400)
    generator, truth = np.random.default_rng(1), spread * np.arange(7) / 2
    ps = [rankings(truth, truth + 5, generator).p for _ in range(300)]
    assert np.mean(np.array(ps) < 0.05) < 0.09


def test_arms_far_apart_keep_their_order_by_seeds_and_a_reversed_one_is_told() -> None:
    generator, truth = np.random.default_rng(2), 5.0 * np.arange(6)
    same, reversed_ = rankings(truth, truth - 3, generator), rankings(truth, truth[::-1], generator)
    assert (same.median, same.high, same.p) == (1.0, 1.0, 1.0)
    assert reversed_.p < 0.1
    assert reversed_.median < same.median


def test_a_shift_of_a_lead_is_the_difference_of_differences() -> None:
    table = {
        ("standard", "smi"): {0: 0.8, 1: 0.82},
        ("standard", "barlow"): {0: 0.7, 1: 0.71},
        ("SGD", "smi"): {0: 0.6, 1: 0.61},
        ("SGD", "barlow"): {0: 0.7, 1: 0.73},
    }
    found = {(one.variant, one.arm): one for one in study_ranking.leads(table, "barlow", False)}
    change = found["SGD", "smi"].change
    assert change is not None
    assert change.difference == pytest.approx(0.605 - 0.81)
    assert found["standard", "smi"].change is None
    assert found["standard", "smi"].shift is None
    assert found["SGD", "barlow"].lead is None
    shift = found["SGD", "smi"].shift
    assert shift is not None
    assert shift.difference == pytest.approx((0.605 - 0.715) - (0.81 - 0.705))


def test_variants_that_were_not_run_are_named_and_fill_no_rows() -> None:
    groups = [group(arm, [0.5, 0.5 + gap, 0.5 - gap], {"variant": variant}) for variant in "ab" for arm, gap in GAPS]
    groups += [group(arm, [], {"variant": "c"}) for arm, _ in GAPS]
    section = study_ranking.section({"digits": groups}, record("ranking", "barlow"), OPTIONS)
    assert section.answers[-1] == "Not run on digits: c."
    assert "No lead over barlow is shown to shift on digits (1 shifts" in section.answers[-2]
    for name in ("tau", "leads"):
        assert {row["variant"] for row in section.tables[f"study-{name}-digits"].records} <= {"a", "b"}
    first = [one for one in groups if one.variant["variant"] != "a"] + [
        group(arm, [], {"variant": "a"}) for arm, _ in GAPS
    ]
    section = study_ranking.section({"digits": first[::-1]}, record("ranking", "barlow"), OPTIONS)
    assert section.answers == ["Not run on digits: a, c."]
    assert all(row.get("shift") is None for row in section.tables["study-leads-digits"].records)
    nothing = study_ranking.section({"digits": groups[-2:]}, record("ranking", "barlow"), OPTIONS)
    assert (nothing.tables, nothing.answers) == ({}, [])
