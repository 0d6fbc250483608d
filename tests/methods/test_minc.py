"""MINC: the third-party formula, its identity with the spectral loss, the Hebbian gradient, and Lambda's life."""

import copy

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bench.api import Context, Projector
from bench.methods.minc import MINC, Config, objective

BATCH, WIDTH = 8, 5


def unit_vectors(batch=BATCH, width=WIDTH, seed=0):
    z = torch.randn(batch, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return F.normalize(z, dim=1)


def second_moment(*parts):
    z = torch.cat(parts)
    return z.T @ z / len(z)


def test_value_is_the_formula_row_by_row():
    q, t, moment = unit_vectors(), unit_vectors(seed=1), second_moment(unit_vectors(20, seed=2))
    expected = sum(-10 * t[i] @ q[i] + 50 * q[i] @ moment @ q[i] for i in range(BATCH)) / BATCH
    loss, terms = objective(q, t, moment, 10.0)
    assert torch.isclose(loss, expected, rtol=1e-12)
    assert torch.isclose(-10 * terms["attraction"] + 100 * terms["repulsion"], expected, rtol=1e-12)


def spectral_loss(za, zb):
    """HaoChen et al. 2021, equation 6, all pairs in the second expectation: -2 E <a, b> + E_ij <a_i, b_j>^2."""
    return -2 * (za * zb).sum(1).mean() + (za @ zb.T).square().mean()


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_with_the_batchs_moment_the_gradient_is_half_of_the_spectral_losss(scale):
    query, target = unit_vectors().requires_grad_(), unit_vectors(seed=1)
    loss, _ = objective(query, target, second_moment(target), scale)
    spectral = spectral_loss(scale**0.5 * target, scale**0.5 * query)
    (ours,), (theirs,) = (torch.autograd.grad(value, [query]) for value in (loss, spectral))
    assert torch.allclose(ours, theirs / 2, rtol=1e-12, atol=1e-15)


def test_the_hebbian_gradient_is_that_of_the_lower_triangle():
    query, target = unit_vectors().requires_grad_(), unit_vectors(seed=1)
    moment = second_moment(unit_vectors(20, seed=2))
    (gradient,) = torch.autograd.grad(objective(query, target, moment, 3.0, gha=True)[0], [query])
    lower = torch.tril(moment)
    rows = [(-3 * target[i] + 9 * lower @ query[i]) / BATCH for i in range(BATCH)]
    assert torch.allclose(gradient, torch.stack(rows).detach(), rtol=1e-12, atol=1e-15)
    trap = (-3 * target + 9 * query @ (lower + lower.T) / 2) / BATCH
    assert not torch.allclose(gradient, trap.detach(), rtol=1e-2)
    (naive,) = torch.autograd.grad((-3 * target * query + 9 / 2 * query * (query @ lower.T)).sum() / BATCH, [query])
    assert torch.allclose(naive, trap, rtol=1e-12, atol=1e-15), "what autograd makes of the triangular form itself"


def test_target_and_moment_get_no_gradient():
    moment = second_moment(unit_vectors(seed=2))
    query, target, moment = (z.requires_grad_() for z in (unit_vectors(), unit_vectors(seed=1), moment))
    for gha in (False, True):
        loss, _ = objective(query, target, moment, 10.0, gha)
        assert torch.autograd.grad(loss, [target, moment], allow_unused=True) == (None, None)


def make(total_steps=10**5, **config):
    torch.manual_seed(0)
    context = Context(Config(**config), 4, Projector(hidden=8, output=WIDTH, layers=2), 2, total_steps, 5, BATCH)
    return MINC(nn.Sequential(nn.Flatten(), nn.Linear(12, 4)), context).double()


def views(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return list(torch.randn(2, BATCH, 3, 2, 2, generator=generator, dtype=torch.float64))


def targets(method, batch):
    target = copy.deepcopy(method.target)
    return [F.normalize(target(view), dim=1) for view in batch]


def step(method, *batches):
    for batch in batches:
        method(batch, torch.arange(BATCH), None)
    method.after_step(0.5)


@pytest.mark.parametrize("gha", [False, True])
def test_both_orders_of_the_views_are_averaged(gha):
    method = make(gha=gha)
    step(method, views(1))
    t1, t2 = targets(method, views(2))
    online = nn.Sequential(method.encoder, method.projector)
    q1, q2 = (F.normalize(online(view), dim=1) for view in views(2))
    one, other = (objective(q, t, method.moment, 10.0, gha)[0] for q, t in ((q1, t2), (q2, t1)))
    loss, _ = method(views(2), torch.arange(BATCH), None)
    assert torch.isclose(loss, (one + other) / 2, rtol=1e-10)


def test_the_first_batch_starts_lambda_and_later_ones_move_it():
    method = make()
    first = second_moment(*targets(method, views(1)))
    q = [F.normalize(method.embed(method.encoder(view)), dim=1) for view in views(1)]
    t1, t2 = targets(method, views(1))
    loss, _ = method(views(1), torch.arange(BATCH), None)
    assert torch.isclose(loss, objective(torch.cat(q), torch.cat([t2, t1]), first, 10.0)[0], rtol=1e-10)
    method.after_step(0.1)
    assert torch.allclose(method.moment, first)
    second = second_moment(*targets(method, views(2)))
    step(method, views(2))
    assert torch.allclose(method.moment, 0.8 * first + 0.2 * second)


def test_parts_of_an_accumulated_batch_move_lambda_once():
    method = make()
    step(method, views(1))
    before = method.moment.clone()
    whole = second_moment(*targets(method, views(2)), *targets(method, views(3)))
    step(method, views(2), views(3))
    assert torch.allclose(method.moment, 0.8 * before + 0.2 * whole)


@pytest.mark.parametrize(("steps", "momentum"), [(10**5, 0.996), (200, 0.9)])
def test_the_targets_momentum_is_constant_in_a_run_of_any_length(steps, momentum):
    target = make(steps).target
    weight = next(target.parameters())
    for progress in (0.005, 0.5, 1.0):
        before = weight.clone()
        with torch.no_grad():
            target._online[0].copy_(before + 1)
        target.update(progress)
        assert torch.allclose(weight - before, torch.full_like(weight, 1 - momentum), atol=1e-9)


def test_a_checkpoint_carries_lambda():
    method, again = make(), make()
    step(method, views(1))
    again.load_state_dict(method.state_dict())
    for each in (method, again):
        step(each, views(2))
    assert torch.equal(method.moment, again.moment)
    assert not torch.equal(method.moment, second_moment(*targets(method, views(2))))


def test_loss_leaves_lambda_for_after_the_step():
    method = make()
    step(method, views(1))
    before = method.moment.clone()
    loss, _ = method(views(2), torch.arange(BATCH), None)
    assert torch.equal(method.moment, before)
    loss.backward()
