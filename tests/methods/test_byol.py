"""BYOL's loss against the paper's equation and solo-learn's function, and its target."""

import torch

from bench.methods.byol import objective


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
