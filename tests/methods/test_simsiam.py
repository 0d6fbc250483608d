"""SimSiam: the paper's pseudocode, solo-learn's function, heads, and the constant rate of the predictor."""

import importlib
import sys
import types
from importlib.metadata import PackageNotFoundError, distribution

import pytest
import torch
from torch import nn

from bench import optim
from bench.api import Context, Projector
from bench.config import schema
from bench.methods.simsiam import Config, SimSiam, objective


def tensors(batch=7, width=5, dtype=torch.float64):
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(4, batch, width, generator=generator, dtype=torch.float64).to(dtype)
    return [value.clone().requires_grad_() for value in values]


def distance(p, z):
    """D of the paper's Algorithm 1."""
    z = z.detach()
    p = p / p.norm(dim=1, keepdim=True)
    z = z / z.norm(dim=1, keepdim=True)
    return -(p * z).sum(dim=1).mean()


def test_value_and_gradient_are_the_papers():
    p1, p2, z1, z2 = tensors()
    expected = distance(p1, z2) / 2 + distance(p2, z1) / 2
    loss, _ = objective([p1, p2], [z1, z2])
    assert torch.isclose(loss, expected, rtol=1e-12)
    for ours, paper in zip(*(torch.autograd.grad(value, [p1, p2]) for value in (loss, expected)), strict=True):
        assert torch.allclose(ours, paper, rtol=1e-10, atol=1e-15)


def test_no_gradient_reaches_the_targets():
    p1, p2, z1, z2 = tensors()
    loss, _ = objective([p1, p2], [z1, z2])
    assert torch.autograd.grad(loss, [z1, z2], allow_unused=True) == (None, None)


def test_agrees_with_solo_learn():
    simsiam_loss = solo_losses("simsiam").simsiam_loss_func
    p1, p2, z1, z2 = tensors(dtype=torch.float32)
    theirs = simsiam_loss(p1, z2) / 2 + simsiam_loss(p2, z1) / 2
    ours, _ = objective([p1, p2], [z1, z2])
    assert torch.isclose(ours, theirs, rtol=1e-6)
    for a, b in zip(*(torch.autograd.grad(value, [p1, p2]) for value in (ours, theirs)), strict=True):
        assert torch.allclose(a, b, rtol=1e-5, atol=1e-8)


def test_a_perfect_prediction_gives_minus_one():
    z1, z2, _, _ = tensors()
    assert torch.isclose(objective([z2, z1], [z1, z2])[0], torch.tensor(-1.0, dtype=torch.float64))


def test_spread_tells_isotropic_from_collapsed_embeddings():
    isotropic = torch.randn(4000, 64, generator=torch.Generator().manual_seed(0))
    constant = torch.ones(4000, 64)
    assert float(objective([isotropic] * 2, [isotropic] * 2)[1]["spread"]) == pytest.approx(1, abs=0.02)
    assert float(objective([constant] * 2, [constant] * 2)[1]["spread"]) == pytest.approx(0, abs=1e-4)


def method(width=16):
    context = Context(Config(), 6, Projector(hidden=8, output=width, layers=3), 2, 10, 5, 4)
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(3, 6))
    return SimSiam(encoder, context)


def test_heads_are_the_official_codes():
    simsiam = method()
    assert [type(layer).__name__ for layer in simsiam.projector] == [
        *("Linear", "BatchNorm1d", "ReLU") * 2,
        "Linear",
        "BatchNorm1d",
    ]
    assert not simsiam.projector[-1].affine
    assert [type(layer).__name__ for layer in simsiam.predictor] == ["Linear", "BatchNorm1d", "ReLU", "Linear"]
    assert simsiam.predictor[0].weight.shape == (4, 16)
    assert simsiam.predictor[-1].bias is not None


def test_only_the_predictors_rate_stays_constant():
    simsiam = method()
    settings = schema.Optimizer(
        "sgd", lr=0.05, weight_decay=1e-4, momentum=0.9, trust=1e-3, clip=False, warmup_fraction=0.0
    )
    optimizer = optim.build(simsiam, settings, 256, simsiam.constant_rate)
    optim.set_learning_rate(optimizer, 0.01, 0.05)
    rates = {id(p): group["lr"] for group in optimizer.param_groups for p in group["params"]}
    for name, parameter in simsiam.named_parameters():
        assert rates[id(parameter)] == (0.05 if name.startswith("predictor.") else 0.01)


def solo_losses(name):
    """solo-learn's loss module without running its package's __init__, whose dependencies cannot be had any more."""
    try:
        root = distribution("solo-learn").locate_file("solo")
    except PackageNotFoundError:
        pytest.skip("solo-learn is not installed: `make test` installs it with --no-deps")
    for package, path in [("solo", root), ("solo.losses", root / "losses")]:
        module = types.ModuleType(package)
        module.__path__ = [str(path)]
        sys.modules.setdefault(package, module)
    return importlib.import_module(f"solo.losses.{name}")
