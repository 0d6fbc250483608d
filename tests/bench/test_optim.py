"""LARS against a NumPy transcription of Barlow Twins' official optimiser; the schedule against its definition."""

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


def test_lars_follows_the_official_code():
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.BatchNorm1d(4), torch.nn.Linear(4, 3)).double()
    with torch.no_grad():
        model[2].weight.zero_()  # a zero weight keeps its plain gradient
    settings = schema.Optimizer("lars", lr=0.3, weight_decay=1e-2, momentum=0.9, warmup_fraction=0.0)
    optimizer = optim.build(model, settings, batch_size=512)
    expected = [p.detach().numpy().copy() for p in model.parameters()]
    velocities = [np.zeros_like(p) for p in expected]
    for step in range(4):
        x = torch.randn(8, 5, dtype=torch.float64, generator=torch.Generator().manual_seed(step))
        optimizer.zero_grad()
        model(x).square().sum().backward()
        gradients = [p.grad.numpy().copy() for p in model.parameters()]
        optimizer.step()
        official_lars(expected, gradients, velocities, lr=0.6, weight_decay=1e-2)
        for ours, theirs in zip(model.parameters(), expected, strict=True):
            np.testing.assert_allclose(ours.detach().numpy(), theirs, rtol=1e-12, atol=1e-15)


@pytest.mark.parametrize(("name", "peak"), [("lars", 0.2), ("sgd", 0.2), ("adamw", 0.1)])
def test_linear_scaling_with_the_batch_except_for_adamw(name, peak):
    settings = schema.Optimizer(name, lr=0.1, weight_decay=0.0, momentum=0.9, warmup_fraction=0.0)
    assert optim.peak_lr(settings, 512) == pytest.approx(peak)


@pytest.mark.parametrize("name", ["lars", "sgd", "adamw"])
def test_biases_and_normalisation_are_not_decayed(name):
    model = torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))
    optimizer = optim.build(model, schema.Optimizer(name, 0.1, 0.5, 0.9, 0.0), 256)
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
    optimizer = optim.build(model, schema.Optimizer(name, 0.1, 0.5, 0.9, 0.0), 256, constant_rate=("predictor",))
    optim.set_learning_rate(optimizer, 0.01, peak=0.1)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    assert {rates[id(p)] for p in model["encoder"].parameters()} == {0.01}
    assert {rates[id(p)] for p in model["predictor"].parameters()} == {0.1}
