"""The grid over objectives, on every registered method."""

import math

import pytest
import torch
from torch import nn

from bench import discover
from bench.cost import objective

CPU = torch.device("cpu")
NAMES = [name for name in discover.names("methods") if not discover.describe("methods", name).missing]


@pytest.mark.parametrize("name", NAMES)
def test_every_method_that_trains_has_an_objective_without_its_heads(name):
    call = objective.own(name, batch=32, width=16, device=CPU)
    assert (call is None) == (not discover.load("methods", name).trains)
    if call is not None:
        call()
        call()  # queues and centres have moved


def test_the_heads_are_gone():
    """Barlow Twins' objective has no operations but those of its formula, forward and backward."""
    call = objective.own("barlow", batch=64, width=16, device=CPU)
    from bench.cost.counters import gigaflops

    assert gigaflops(call) == pytest.approx(3 * 2 * 64 * 16 * 16 / 1e9)


def test_rows_of_ours_and_of_another_library(monkeypatch):
    monkeypatch.setattr(objective, "SECONDS", 0.01)

    class Other(nn.Module):
        def forward(self, za, zb):
            return (za - zb).square().mean()

    rows = list(objective.measure(["barlow", "random"], {"other/barlow": Other()}, [8, 16], [4], CPU))
    assert [(row["method"], row["batch"], row["width"]) for row in rows] == [
        ("barlow", 8, 4),
        ("other/barlow", 8, 4),
        ("barlow", 16, 4),
        ("other/barlow", 16, 4),
    ]
    assert all(row["cpu_ms"] > 0 and row["memory_mib"] > 0 and row["rounds"] >= 1 for row in rows)


def test_barlow_in_each_form_is_the_cheaper_ones_loss():
    forms = objective.both_forms(["smi", "barlow"])
    za, zb = torch.randn(2, 12, 5, dtype=torch.float64)
    from bench.methods import barlow

    expected = barlow.objective(za, zb, barlow.Config.lambda_)[0]
    assert list(forms) == ["barlow, D x D", "barlow, B x B"]
    for module in forms.values():
        assert module(za, zb).item() == pytest.approx(expected.item())
    assert objective.both_forms(["smi"]) == {}


def test_the_forms_take_turns_with_the_method(monkeypatch):
    monkeypatch.setattr(objective, "SECONDS", 0.01)
    rows = list(objective.measure(["smi", "barlow"], objective.both_forms(["barlow"]), [8], [4], CPU))
    assert [row["method"] for row in rows] == ["smi", "barlow", "barlow, D x D", "barlow, B x B"]


def test_times_that_cross_do_so_where_the_power_laws_do():
    """B^2 and 1000 B^0.5 are equal at B = 100; between the measured ones both are lines in the logarithms."""
    laws = {"a": lambda b, d: b**2, "b": lambda b, d: 1000 * b**0.5 * d}
    rows = [
        {"method": name, "batch": batch, "width": width, "cpu_ms": law(batch, width)}
        for name, law in laws.items()
        for batch in (16, 64, 256)
        for width in (1, 64)
    ]
    found = objective.crossings(rows, "cpu_ms", "a", "b")
    assert found[1] == [pytest.approx(100)]
    assert found[64] == []


def test_exponents_of_a_power_law():
    rows = [
        {"method": "m", "batch": batch, "width": width, "cpu_ms": 3 * batch**2 * width**0.5}
        for batch in (16, 64, 256)
        for width in (8, 32)
    ]
    along_batch, along_width = objective.exponents(rows, "cpu_ms")["m"]
    assert along_batch == pytest.approx(2)
    assert along_width == pytest.approx(0.5)


def test_no_exponent_of_a_single_cell():
    rows = [{"method": "m", "batch": 8, "width": 8, "cpu_ms": 1.0}]
    assert all(math.isnan(slope) for slope in objective.exponents(rows, "cpu_ms")["m"])
