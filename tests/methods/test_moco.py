"""MoCo: each version against its paper and solo-learn's function, its queues, heads and published settings."""

import copy
import importlib
import sys
import types
from importlib.metadata import PackageNotFoundError, distribution

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bench.api import Context, Projector
from bench.errors import UserError
from bench.methods.moco import Config, MoCo, objective, objective_v3

VERSIONS = [1, 2, 3]
BATCH = 6


def unit_vectors(*shape, seed=0, dtype=torch.float64):
    z = torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
    return F.normalize(z, dim=-1).to(dtype)


def make(steps_per_epoch=5, batch_size=BATCH, width=5, total_steps=10**5, **config):
    torch.manual_seed(0)
    shape = Projector(hidden=8, output=width, layers=2)
    context = Context(Config(**config), 4, shape, 2, total_steps, steps_per_epoch, batch_size)
    return MoCo(nn.Sequential(nn.Flatten(), nn.Linear(12, 4)), context).double()


def views(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return list(torch.randn(2, BATCH, 3, 2, 2, generator=generator, dtype=torch.float64))


def step(method, *batches):
    """One optimiser step over the parts `batches` of a batch, without the optimiser."""
    losses = [method(batch, torch.arange(BATCH), None)[0] for batch in batches]
    method.after_step(0.5)
    return losses


def gradients_agree(a, b, parameters):
    pairs = zip(torch.autograd.grad(a, parameters), torch.autograd.grad(b, parameters), strict=True)
    return all(torch.allclose(x, y, rtol=1e-9, atol=1e-12) for x, y in pairs)


def test_equation_1_in_value_and_gradient():
    query, key, queue = unit_vectors(4, 3).requires_grad_(), unit_vectors(4, 3, seed=1), unit_vectors(9, 3, seed=2)
    positive = torch.exp((query * key).sum(1) / 0.2)
    expected = -torch.log(positive / (positive + torch.exp(query @ queue.T / 0.2).sum(1))).mean()
    loss, _ = objective(query, key, queue, 0.2)
    assert torch.isclose(loss, expected, rtol=1e-12)
    assert gradients_agree(loss, expected, [query])


def test_algorithm_1_of_v3_in_value_and_gradient():
    query, keys = unit_vectors(6, 3).requires_grad_(), unit_vectors(6, 3, seed=1)
    similarities = torch.exp(query @ keys.T / 0.2)
    expected = 2 * 0.2 * -torch.log(similarities.diagonal() / similarities.sum(1)).mean()
    loss, _ = objective_v3(query, keys, torch.arange(6), 0.2)
    assert torch.isclose(loss, expected, rtol=1e-12)
    assert gradients_agree(loss, expected, [query])


def test_v3_over_two_processes_is_that_of_one():
    query, keys = unit_vectors(6, 3).requires_grad_(), unit_vectors(6, 3, seed=1)
    whole, _ = objective_v3(query, keys, torch.arange(6), 0.2)
    halves = [objective_v3(query[own], keys, own, 0.2)[0] for own in torch.arange(6).chunk(2)]
    assert torch.isclose(whole, sum(halves) / 2, rtol=1e-12)


def test_agrees_with_solo_learn():
    moco_loss = solo_losses("moco").moco_loss_func
    query, key, queue = (unit_vectors(n, 16, seed=n, dtype=torch.float32) for n in (32, 32, 100))
    query.requires_grad_()
    ours, theirs = objective(query, key, queue, 0.2)[0], moco_loss(query, key, queue.T, temperature=0.2)
    assert torch.isclose(ours, theirs, rtol=1e-5)
    (a,), (b,) = (torch.autograd.grad(value, [query]) for value in (ours, theirs))
    assert torch.allclose(a, b, rtol=1e-4, atol=1e-7)


def test_terms_of_perfect_and_of_confused_queries():
    key = torch.eye(4)
    _, terms = objective(key, key, -key, 0.2)
    assert terms["instance_accuracy"] == 1
    assert terms["positive_similarity"] == 1
    _, terms = objective(key, key.roll(1, 0), key, 0.2)
    assert terms["instance_accuracy"] == 0
    assert terms["positive_similarity"] == 0


def reference_loss(method, first, second):
    """The whole loss from the parts of `method`, by the version's recipe; both networks see the views once."""
    online = nn.Sequential(method.encoder, method.projector, method.predictor)
    q1, q2 = (F.normalize(online(view), dim=1) for view in (first, second))
    k1, k2 = (F.normalize(method.target(view), dim=1) for view in (first, second))
    temperature = method.config.temperature
    if method.config.version == 3:
        labels = torch.arange(BATCH)
        both = [F.cross_entropy(q @ k.T / temperature, labels) for q, k in ((q1, k2), (q2, k1))]
        return 2 * temperature * sum(both)

    def contrast(q, k, queue):
        logits = torch.cat([(q * k).sum(1, keepdim=True), q @ queue.entries.T], dim=1) / temperature
        return F.cross_entropy(logits, torch.zeros(BATCH, dtype=torch.int64))

    if method.config.version == 1:
        return contrast(q1, k2, method.queues[0])
    return (contrast(q1, k2, method.queues[0]) + contrast(q2, k1, method.queues[1])) / 2


@pytest.mark.parametrize("version", VERSIONS)
def test_the_method_pairs_views_and_queues_as_its_version_does(version):
    method = make(version=version)
    step(method, views(1))
    loss, _ = method(views(2), torch.arange(BATCH), None)
    expected = reference_loss(method, *views(2))
    assert torch.isclose(loss, expected, rtol=1e-10)
    assert gradients_agree(loss, expected, [p for p in method.parameters() if p.requires_grad])


@pytest.mark.parametrize("version", VERSIONS)
def test_every_version_takes_degenerate_batches_in_bfloat16(version):
    for value in (0.0, 1.0):
        method = make(version=version).float()
        constant = [torch.full((2, 3, 2, 2), value)] * 2
        with torch.autocast("cpu", torch.bfloat16):
            loss, _ = method(constant, torch.arange(2), None)
        loss.backward()
        assert loss.isfinite()
        assert loss.dtype == torch.float32
        assert all(p.grad is None or p.grad.isfinite().all() for p in method.parameters())


def test_keys_enter_the_queue_of_their_order_after_the_step():
    method = make(queue=3 * BATCH)
    before = [queue.entries.clone() for queue in method.queues]
    first, second = (F.normalize(copy.deepcopy(method.target)(view), dim=1) for view in views())
    loss, _ = method(views(), torch.arange(BATCH), None)
    assert all(torch.equal(queue.entries, old) for queue, old in zip(method.queues, before, strict=True))
    loss.backward()
    method.after_step(0.5)
    for queue, keys, old in zip(method.queues, (second, first), before, strict=True):
        assert torch.allclose(queue.entries[:BATCH], keys)
        assert torch.equal(queue.entries[BATCH:], old[BATCH:])


def test_parts_of_an_accumulated_batch_enter_in_order_and_once():
    method = make(queue=4 * BATCH)
    target = copy.deepcopy(method.target)
    parts = [views(seed) for seed in (1, 2)]
    expected = torch.cat([F.normalize(target(second), dim=1) for _, second in parts])
    step(method, *parts)
    assert torch.allclose(method.queues[0].entries[: 2 * BATCH], expected)
    assert int(method.queues[0].position) == 2 * BATCH
    step(method, parts[0])
    assert int(method.queues[0].position) == 3 * BATCH


@pytest.mark.parametrize(
    ("steps_per_epoch", "batch_size", "config", "length"),
    [
        (5, 256, {}, 640),
        (175, 256, {}, 22400),  # CIFAR
        (5004, 256, {}, 65536),  # ImageNet
        (175, 256, {"queue": 32768}, 32768),
        (1, 2, {}, 1),
    ],
)
def test_a_queue_is_at_most_half_an_epoch_unless_its_length_is_given(steps_per_epoch, batch_size, config, length):
    method = make(steps_per_epoch, batch_size, **config)
    assert [len(queue.entries) for queue in method.queues] == [length, length]
    assert method.resolved()["queue"] == length


@pytest.mark.parametrize(
    ("version", "settings"), [(1, (0.07, 0.999, 0.999)), (2, (0.2, 0.99, 0.999)), (3, (0.2, 0.99, 1.0))]
)
def test_settings_follow_the_version(version, settings):
    config = Config(version=version)
    assert (config.temperature, config.momentum, config.final_momentum) == settings
    assert Config(version=version, temperature=0.5).temperature == 0.5


def test_a_short_run_records_the_momentum_it_used():
    assert make(total_steps=200).resolved()["momentum"] == pytest.approx(0.9)
    finals = {version: make(total_steps=200, version=version).resolved()["final_momentum"] for version in VERSIONS}
    assert finals == pytest.approx({1: 0.9, 2: 0.9, 3: 1.0})
    assert make(total_steps=10**5).resolved()["momentum"] == 0.99
    assert make(total_steps=200, version=3).resolved().keys() == {"momentum", "final_momentum"}


def test_v3_refuses_a_queue():
    with pytest.raises(UserError, match="no queue"):
        Config(version=3, queue=10)


@pytest.mark.parametrize(
    ("version", "projector", "width"),
    [
        (1, ["Linear"], 128),
        (2, ["Linear", "BatchNorm1d", "ReLU", "Linear"], 256),
        (3, ["Linear", "BatchNorm1d", "ReLU", "Linear", "BatchNorm1d"], 256),
    ],
)
def test_heads_are_the_versions(version, projector, width):
    method = make(width=512, version=version)
    assert [type(layer).__name__ for layer in method.projector] == projector
    assert method.embed(torch.randn(3, 4, dtype=torch.float64)).shape == (3, width)
    assert make(width=5, version=version).embed(torch.randn(3, 4, dtype=torch.float64)).shape == (3, 5)
    assert isinstance(method.predictor, nn.Sequential) == (version == 3)


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
