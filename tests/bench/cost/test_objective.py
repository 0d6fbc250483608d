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
