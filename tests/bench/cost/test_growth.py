"""The fitted model of time and memory."""

from hypothesis import given
from hypothesis import strategies as st

from bench.cost import growth

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
    assert growth._between(64, 8) == [32, 48, 64]
    assert growth._between(8, 8) == [8]
