"""LARS against NumPy transcriptions of Barlow Twins' official code and solo-learn's; the schedule by its definition."""

import itertools
import math

import numpy as np
import pytest
import torch

from bench import optim
from bench.config import schema


def official_lars(parameters, gradients, velocities, lr, weight_decay, momentum=0.9, eta=0.001):
    """facebookresearch/barlowtwins, main.py, class LARS; one-dimensional parameters are excluded from both filters."""
    for index, (p, g) in enumerate(zip(parameters, gradients, strict=True)):
        update = g.copy()
        if p.ndim != 1:
            update = update + weight_decay * p
            weight_norm, update_norm = np.linalg.norm(p), np.linalg.norm(update)
            if weight_norm > 0 and update_norm > 0:
                update = update * (eta * weight_norm / update_norm)
        velocities[index] = momentum * velocities[index] + update
        parameters[index] = p - lr * velocities[index]


def solo_learns_lars(parameters, gradients, velocities, lr, weight_decay, momentum=0.9, eta=0.02):
    """solo/utils/lars.py with clip_lr and exclude_bias_n_norm. Its |g| + wd |p| is |g + wd p| here and in the official
    code: the same but for the angle between weight and gradient, which the small weight decays in use do not show, and
    for a gradient of exactly zero, where solo-learn leaves the decay out."""
    for index, (p, g) in enumerate(zip(parameters, gradients, strict=True)):
        update = g.copy()
        weight_norm, update_norm = np.linalg.norm(p), np.linalg.norm(g + weight_decay * p)
        if p.ndim != 1 and weight_norm > 0 and update_norm > 0:
            update = (g + weight_decay * p) * min(eta * weight_norm / update_norm / lr, 1)
        velocities[index] = momentum * velocities[index] + update
        parameters[index] = p - lr * velocities[index]


@pytest.mark.parametrize(("follows", "trust", "clip"), [(official_lars, 1e-3, False), (solo_learns_lars, 0.02, True)])
def test_lars_follows_the_published_codes(follows, trust, clip):
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 3)).double()
    with torch.no_grad():
        model[2].weight.zero_()  # a zero weight keeps its plain gradient
    settings = schema.Optimizer(
        "lars", lr=0.3, weight_decay=1e-2, momentum=0.9, trust=trust, clip=clip, warmup_fraction=0.0
    )
    optimizer = optim.build(model, settings, batch_size=512)
    expected = [p.detach().numpy().copy() for p in model.parameters()]
    velocities = [np.zeros_like(p) for p in expected]
    for step in range(4):
        x = torch.randn(8, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        model(x).square().sum().backward()
        gradients = [p.grad.numpy().copy() for p in model.parameters()]
        optimizer.step()
        follows(expected, gradients, velocities, lr=0.6, weight_decay=1e-2)
        for ours, theirs in zip(model.parameters(), expected, strict=True):
            np.testing.assert_allclose(ours.detach().numpy(), theirs, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("name", "peak"), [("lars", 0.2), ("sgd", 0.2), ("adamw", 0.1)])
def test_linear_scaling_with_the_batch_except_for_adamw(name, peak):
    settings = schema.Optimizer(
        name, lr=0.1, weight_decay=0.0, momentum=0.9, trust=1e-3, clip=False, warmup_fraction=0.0
    )
    assert optim.peak_lr(settings, 512) == pytest.approx(peak)


@pytest.mark.parametrize("name", ["lars", "sgd", "adamw"])
def test_biases_and_normalisation_are_not_decayed(name):
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    optimizer = optim.build(model, schema.Optimizer(name, 0.1, 0.5, 0.9, 1e-3, False, 0.0), 256)
    decay = {id(p): group["weight_decay"] for group in optimizer.param_groups for p in group["params"]}
    assert {tuple(p.shape): decay[id(p)] for p in model.parameters()} == {(2, 3): 0.5, (2,): 0.0}


def test_warm_up_rises_linearly_and_the_rest_is_a_half_cosine():
    rates = [optim.learning_rate(2.0, step, 100, 0.1) for step in range(100)]
    assert rates[:10] == pytest.approx([0.2 * (i + 1) for i in range(10)])
    assert rates[10] == pytest.approx(2.0)
    assert rates[55] == pytest.approx(1.0)
    assert rates[99] == pytest.approx(1 + math.cos(math.pi * 89 / 90))
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))


def test_a_run_of_one_step_and_a_run_of_warm_up_alone_have_a_rate():
    assert optim.learning_rate(1.0, 0, 1, 0.0) == 1.0
    assert optim.learning_rate(1.0, 9, 10, 1.0) == 1.0


@pytest.mark.parametrize("name", ["lars", "sgd", "adamw"])
def test_constant_groups_keep_the_peak(name):
    model = torch.nn.ModuleDict({"encoder": torch.nn.Linear(3, 2), "predictor": torch.nn.Linear(2, 2)})
    optimizer = optim.build(
        model, schema.Optimizer(name, 0.1, 0.5, 0.9, 1e-3, False, 0.0), 256, constant_rate=("predictor",)
    )
    optim.set_learning_rate(optimizer, 0.01, peak=0.1)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert {rates[id(p)] for p in model["encoder"].parameters()} == {0.01}
    assert {rates[id(p)] for p in model["predictor"].parameters()} == {0.1}
