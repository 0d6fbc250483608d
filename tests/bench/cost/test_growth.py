"""The fitted model of time and memory."""

import itertools
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.arms import parse
from bench.cost import growth
from bench.plan import Request, plan

positive = st.floats(0.1, 10)


def cells(constant, per_gflop, per_activation):
    """Steps that cost exactly this, over a grid in which causes are not proportional to each other."""
    return [
        {
            "gflop": size * batch * width**2,
            "activations": size * batch * width,
            "canvas_pixels": float(batch),
            "parameters": float(width**2),
            "cpu_ms": constant + per_gflop * size * batch * width**2 + per_activation * size * batch * width,
        }
        for size in (1.0, 2.0, 4.0)
        for batch in (1.0, 2.0, 4.0)
        for width in (1.0, 2.0)
    ]


@given(positive, positive, positive)
def test_a_sum_of_the_causes_is_predicted_exactly(constant, per_gflop, per_activation):
    model = growth.fit(cells(constant, per_gflop, per_activation), "cpu_ms")
    assert model.largest_error < 1e-6
    assert model.median_error <= model.largest_error


def test_errors_are_of_rows_left_out():
    rows = cells(1.0, 1.0, 1.0)
    rows[0]["cpu_ms"] *= 3
    model = growth.fit(rows, "cpu_ms")
    assert model.errors[0] < -0.5


def test_settings_are_half_to_whole():
    assert growth._between(64, 8) == [64, 48, 32]
    assert growth._between(8, 8) == [8]


def levels_at(image_size, tmp_path):
    words = ["backbone.width=16", f"image_size={image_size}", "batch_size=64", "projector.output=128"]
    request = Request([parse("barlow")], ["digits"], [0], "quick", words, tmp_path, recipe="none")
    (spec,) = plan(request, torch.device("cpu"))
    protocols = [changed.protocol for changed in growth.settings(spec)]
    return [(p.image_size, p.batch_size, p.backbone.width, p.projector.output) for p in protocols]


def test_every_two_axes_have_all_pairs_of_levels_equally_often(tmp_path):
    levels = levels_at(32, tmp_path)
    assert len(set(levels)) == 27
    for first, second in itertools.combinations(range(4), 2):
        pairs = Counter((row[first], row[second]) for row in levels)
        assert set(pairs.values()) == {3}
        assert len(pairs) == 9
    assert levels[0] == (32, 64, 16, 128)


def test_sizes_with_another_stem_are_left_out(tmp_path):
    levels = levels_at(64, tmp_path)  # at 32 px the slim encoder's stem keeps every pixel
    assert {size for size, *_ in levels} == {64, 48}
    assert len(levels) == 18


def grown(size, batch, output):
    return {"image_size": size, "batch": batch, "width": 16, "projector": output, "cpu_ms": 3 * size**2 * batch}


def test_powers_are_those_that_rows_grow_with():
    rows = [grown(*levels) for levels in itertools.product((32, 48, 64), (64, 128), (8, 16))]
    powers = growth.exponents(rows, "cpu_ms")
    assert list(powers) == ["image_size", "batch", "projector"]  # widths of the encoder are all the same
    assert list(powers.values()) == pytest.approx([2, 1, 0], abs=1e-9)


def test_a_curve_is_of_means_over_all_else():
    rows = [grown(size, batch, 8) for size in (32, 64) for batch in (64, 256)]
    assert growth.curve(rows, "cpu_ms", "image_size") == pytest.approx({32: 3 * 32**2 * 128, 64: 3 * 64**2 * 128})
