"""EMA targets: the schedule, what is averaged and what is not, and how short runs shorten the momentum."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from bench.methods._momentum import Momentum, usable_momentum


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))


def moved(online):
    with torch.no_grad():
        for parameter in online.parameters():
            parameter += 1


@pytest.mark.parametrize(
    ("progress", "momentum"),
    # BYOL, appendix A: tau = 1 - (1 - tau_base) (cos(pi k / K) + 1) / 2, here with a final value of 0.9
    [(0.0, 0.5), (0.25, 0.9 - 0.4 * (math.sqrt(0.5) + 1) / 2), (0.5, 0.7), (1.0, 0.9)],
)
def test_the_target_moves_by_the_cosine_schedule(progress, momentum):
    online = network()
    target = Momentum(online, base=0.5, final=0.9, total_steps=10**6)
    moved(online)
    target.update(progress)
    for mine, its in zip(target.target.parameters(), online.parameters(), strict=True):
        assert torch.allclose(mine, its - momentum, atol=1e-6)


def test_momentum_1_stands_still_and_0_copies():
    online = network()
    still, copying = (Momentum(online, value, value, 10**6) for value in (1.0, 0.0))
    before = [parameter.clone() for parameter in online.parameters()]
    moved(online)
    for target, expected in ((still, before), (copying, list(online.parameters()))):
        target.update(1.0)
        assert all(torch.equal(a, b) for a, b in zip(target.target.parameters(), expected, strict=True))


def test_batch_statistics_are_the_targets_own():
    online = network()
    target = Momentum(online, 0.0, 0.0, 10**6)
    online(torch.randn(8, 3) + 5)
    target(torch.randn(8, 3) - 5)
    mean = target.target[1].running_mean.clone()
    target.update(1.0)
    assert torch.equal(target.target[1].running_mean, mean)
    assert not torch.allclose(mean, online[1].running_mean)


def test_in_training_the_target_normalises_by_its_batch():
    target = Momentum(network(), 0.9, 1.0, 10**6).train()
    assert torch.allclose(target(torch.randn(8, 3) + 5).mean(0), torch.zeros(4), atol=1e-5)


def test_no_gradient_and_nothing_to_optimise():
    target = Momentum(network(), 0.9, 1.0, 10**6)
    images = torch.randn(8, 3, requires_grad=True)
    assert not target(images).requires_grad
    assert not any(parameter.requires_grad for parameter in target.parameters())


def test_the_online_network_is_held_once():
    target = Momentum(network(), 0.9, 1.0, 10**6)
    assert len(list(target.parameters())) == 4
    assert all(key.startswith("target.") for key in target.state_dict())


@pytest.mark.parametrize("change", [copy.deepcopy, nn.Module.double], ids=["copied", "converted"])
def test_the_target_still_follows_after_a_change_of_the_module(change):
    whole = nn.ModuleDict({"online": network()})
    whole["momentum"] = Momentum(whole["online"], 0.0, 0.0, 10**6)
    whole = change(whole)
    moved(whole["online"])
    whole["momentum"].update(1.0)
    pairs = zip(whole["momentum"].target.parameters(), whole["online"].parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    ("published", "steps", "usable"),
    [(0.99, 2000, 0.99), (0.99, 200, 0.9), (0.996, 5000, 0.996), (0.996, 310, 1 - 20 / 310), (0.99, 20, 0.0)],
)
def test_short_runs_shorten_the_momentum(published, steps, usable):
    assert usable_momentum(published, steps) == pytest.approx(usable, abs=1e-12)
    assert Momentum(network(), published, 1.0, steps).base == pytest.approx(usable, abs=1e-12)


@pytest.mark.parametrize(("final", "steps", "used"), [(1.0, 10, 1.0), (0.999, 200, 0.9), (0.999, 20_000, 0.999)])
def test_the_momentum_at_the_end_is_shortened_too_unless_it_is_1(final, steps, used):
    target = Momentum(network(), 0.99, final, steps)
    assert target.final == pytest.approx(used, abs=1e-12)
    assert target.resolved() == {"momentum": target.base, "final_momentum": target.final}


@given(st.floats(0, 0.99999), st.integers(1, 10**7))
def test_a_usable_momentum_leaves_twenty_time_constants(published, steps):
    momentum = usable_momentum(published, steps)
    assert 0 <= momentum <= published
    assert momentum == 0 or steps * (1 - momentum) >= 20 * (1 - 1e-6)
