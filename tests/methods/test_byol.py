"""BYOL's loss against the paper's equation and solo-learn's function, and its target."""

import copy

import pytest
import torch
from torch import nn

from bench.api import Context, Projector
from bench.methods.byol import BYOL, Config, objective


def test_value_and_gradient_are_the_papers(embeddings, agrees):
    pa, pb = embeddings(8, 4)
    ta, tb = embeddings(8, 4, seed=1)

    def unit(z):
        return z / z.norm(dim=1, keepdim=True)

    expected = (unit(pa) - unit(tb).detach()).square().sum(1).mean() + (unit(pb) - unit(ta).detach()).square().sum(
        1
    ).mean()
    agrees(objective([pa, pb], [ta, tb])[0], expected, [pa, pb])


def test_agrees_with_solo_learn(embeddings, agrees, solo_losses):
    theirs = solo_losses("byol").byol_loss_func
    (pa, pb), (ta, tb) = embeddings(32, 16), embeddings(32, 16, seed=1)
    agrees(objective([pa, pb], [ta, tb])[0], theirs(pa, tb) + theirs(pb, ta), [pa, pb])


def test_targets_get_no_gradient_and_agreement_has_its_bounds(embeddings):
    (pa, pb), (ta, tb) = embeddings(8, 4), embeddings(8, 4, seed=1)
    assert torch.autograd.grad(objective([pa, pb], [ta, tb])[0], [ta, tb], allow_unused=True) == (None, None)
    assert torch.isclose(objective([pa, pb], [pb, pa])[0], torch.zeros((), dtype=torch.float64), atol=1e-12)
    assert torch.isclose(objective([pa, pb], [-pb, -pa])[0], torch.full((), 8.0, dtype=torch.float64))


@pytest.mark.parametrize("normalise_output", [True, False])
def test_the_method_predicts_each_views_target_from_the_other_view(normalise_output):
    torch.manual_seed(0)
    context = Context(Config(normalise_output=normalise_output), 6, Projector(8, 5, 2), 2, 100, 10, 4)
    method = BYOL(nn.Linear(3, 6), context).double()
    with torch.no_grad():
        for parameter in method.target.target.parameters():
            parameter += 0.1 * torch.randn_like(parameter)  # as after some steps
    views = [torch.randn(4, 3, dtype=torch.float64, requires_grad=True) for _ in range(2)]
    target = copy.deepcopy(method.target.target)  # its batch statistics move with every call

    def unit(z):
        return z / z.norm(dim=1, keepdim=True)

    (pa, pb), (ta, tb) = ([one(view) for view in views] for one in (online(method), target))
    expected = (unit(pa) - unit(tb).detach()).square().sum(1).mean()
    expected = expected + (unit(pb) - unit(ta).detach()).square().sum(1).mean()
    loss, _ = method(views, torch.arange(4), None)
    assert torch.isclose(loss, expected, rtol=1e-12)
    leaves = [*views, *method.encoder.parameters(), *method.projector.parameters(), *method.predictor.parameters()]
    for ours, theirs in zip(torch.autograd.grad(loss, leaves), torch.autograd.grad(expected, leaves), strict=True):
        assert torch.allclose(ours, theirs, atol=1e-12)


def online(method):
    return nn.Sequential(method.encoder, method.projector, method.predictor)
