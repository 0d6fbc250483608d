"""Methods with solo-learn's functions: the same network and views give the loss and gradients of our own."""

import csv
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F

from bench import discover
from bench.api import Context, Projector
from bench.errors import UserError
from bench.methods.solo._adapter import solo

PAIRS = {
    "barlow": {"scale": 0.1},
    "vicreg": {"variant": "solo-learn"},
    "simclr": {},
    "byol": {},
    "moco": {},
    "simsiam": {},
    "swav": {"queue": 0},
    "dino": {},
}
"""Our method -> settings with which it is solo-learn's."""

if discover.describe("methods", "solo/barlow").missing:
    pytest.skip(f"solo/* {discover.describe('methods', 'solo/barlow').missing}", allow_module_level=True)


def build(name, config=None, batch_size=16):
    cls = discover.load("methods", name)
    torch.manual_seed(0)
    encoder = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 8 * 8, 12), torch.nn.Tanh())
    context = Context(
        config=cls.Config(**(config or {})),
        feature_dim=12,
        projector=Projector(hidden=16, output=6, layers=3),
        num_classes=2,
        total_steps=1000,
        steps_per_epoch=10,
        batch_size=batch_size,
    )
    cls.check(context)
    return cls(encoder, context)


def batch(seed):
    generator = torch.Generator().manual_seed(seed)
    image = torch.randn(16, 3, 8, 8, generator=generator)
    return [image + 0.5 * torch.randn(image.shape, generator=generator) for _ in range(2)]


@pytest.mark.parametrize("name", PAIRS)
def test_losses_and_gradients_are_those_of_our_own_method_over_several_steps(name):
    """Several, so that targets, queues, centres and prototypes have moved."""
    ours, theirs = build(name, PAIRS[name]), build(f"solo/{name}")
    parameters = [dict(method.named_parameters()) for method in (ours, theirs)]
    assert parameters[0].keys() == parameters[1].keys()
    for step in range(4):
        losses = [method(batch(step), torch.arange(16), None)[0] for method in (ours, theirs)]
        assert torch.isclose(*losses, rtol=1e-4)
        for method, loss in zip((ours, theirs), losses, strict=True):
            method.zero_grad()
            loss.backward()
        largest = max(p.grad.abs().max() for p in parameters[0].values() if p.grad is not None)
        for key, parameter in parameters[0].items():
            other = parameters[1][key]
            if parameter.requires_grad:
                assert torch.allclose(parameter.grad, other.grad, rtol=1e-3, atol=1e-4 * float(largest)), key
                with torch.no_grad():
                    parameter -= 0.1 * parameter.grad / largest
                    other.copy_(parameter)
        for method in (ours, theirs):
            method.after_step((step + 1) / 1000)


@pytest.mark.parametrize("path", [name for name in discover.names("methods") if name.startswith("solo/")])
def test_the_loss_is_solo_learns_function_and_not_that_of_the_method_whose_heads_are_taken(path, monkeypatch):
    name, method = path.removeprefix("solo/"), build(path)

    def recognised(*arguments, **options):
        raise RuntimeError("solo-learn's function was called")

    module = importlib.import_module(f"bench.methods.solo.{name}")
    if name == "barlow":
        monkeypatch.setattr(module._losses, "barlow_loss_func", recognised)
    elif name == "dino":
        monkeypatch.setattr(module._DINOLoss, "forward", recognised)
    else:
        monkeypatch.setattr(module, f"_{name}_loss", recognised)
    with pytest.raises(RuntimeError, match="was called"):
        method(batch(0), torch.arange(16), None)


def test_each_method_has_a_module_of_solo_learn_for_itself():
    """Barlow's is changed; nobody else's code may see that."""
    barlow, again = solo("losses/barlow.py"), solo("losses/barlow.py")
    assert barlow is not again
    assert barlow.dist is torch.distributed


def test_w_mse_whitens_parts_of_at_least_two_images_per_dimension():
    method = build("solo/wmse", {"output": 4, "epsilon": 1e-6})
    z = torch.randn(16, 4) @ torch.randn(4, 4)
    for part in method._whiten(z).chunk(2):
        assert torch.allclose(part.T @ part / 7, torch.eye(4), atol=1e-3)
        assert part.mean(0).abs().max() < 1e-4


def test_w_mse_refuses_embeddings_too_wide_for_the_batch():
    with pytest.raises(UserError, match=r"solo/wmse\.output=9 cannot be whitened with 16 images per batch"):
        build("solo/wmse", {"output": 9})
    assert build("solo/wmse").resolved() == {"output": 4}


def test_nnclr_takes_the_nearest_entry_of_the_queue_as_it_was():
    method = build("solo/nnclr")
    z = torch.nn.functional.normalize(torch.randn(16, 6), dim=1)
    before = method.queue.entries.clone()
    expected = before[torch.cdist(z, before).argmin(1)]
    nearest = method._nearest(z)
    method.queue.push(z)
    assert torch.equal(nearest, expected)


def online(method, view):
    return method.embed(method.encoder(view))


def nnclr(method, views):
    """Both orders of -log softmax_j(<n_i, p_j> / t)_i, n the queue's entry nearest to z."""
    embeddings = [online(method, view) for view in views]
    p1, p2 = (F.normalize(method.predictor(z), dim=1) for z in embeddings)
    queue = method.queue.entries
    n1, n2 = (queue[torch.cdist(F.normalize(z.detach(), dim=1), queue).argmin(1)] for z in embeddings)
    losses = [-torch.log((n @ p.T / 0.2).softmax(1).diagonal()).mean() for n, p in ((n1, p2), (n2, p1))]
    return sum(losses) / 2


def ressl(method, views):
    """Cross-entropy of similarities to the queue, the target's sharper."""
    query = F.normalize(online(method, views[0]), dim=1)
    key = F.normalize(method.target(views[1]), dim=1).detach()
    queue = method.queue.entries.clone()
    return -((key @ queue.T / 0.04).softmax(1) * (query @ queue.T / 0.1).log_softmax(1)).sum(1).mean()


def wmse(method, views):
    """|v1 - v2|^2 of unit vectors, white within each part of 2 D images; none into v2."""

    def whiten(z):
        z = z - z.mean(0)
        covariance = (1 - 1e-4) * z.T @ z / (len(z) - 1) + 1e-4 * torch.eye(z.shape[1])
        return F.normalize(z @ torch.linalg.inv(torch.linalg.cholesky(covariance)).T, dim=1)

    first, second = (torch.cat([whiten(part) for part in online(method, view).split(8)]) for view in views)
    return (first - second.detach()).square().sum(1).mean()


REFERENCES = {"nnclr": nnclr, "ressl": ressl, "wmse": wmse}
"""Methods of solo-learn alone -> their whole loss by its definition, with solo-learn's settings."""


def test_every_method_of_solo_learn_is_held_against_our_own_or_a_reference():
    assert {f"solo/{name}" for name in [*PAIRS, *REFERENCES]} == {
        name for name in discover.names("methods") if name.startswith("solo/")
    }


@pytest.mark.parametrize("name", REFERENCES)
def test_value_and_gradient_of_the_whole_loss_are_the_references(name):
    """Twice, with a queue of random vectors and with one that holds earlier embeddings."""
    method = build(f"solo/{name}")
    parameters = [parameter for parameter in method.parameters() if parameter.requires_grad]
    for step in range(2):
        expected = REFERENCES[name](method, batch(step))
        loss, _ = method(batch(step), torch.arange(16), None)
        assert torch.isclose(loss, expected, rtol=1e-5)
        ours, theirs = (torch.autograd.grad(each, parameters, allow_unused=True) for each in (loss, expected))
        largest = float(theirs[0].abs().max())  # of the encoder's weight
        assert largest > 0
        for a, b in zip(ours, theirs, strict=True):
            assert (a is None) == (b is None)
            assert a is None or torch.allclose(a, b, rtol=1e-3, atol=1e-4 * largest)
        method.after_step((step + 1) / 1000)


def test_queues_of_nnclr_and_ressl_take_unit_embeddings():
    """NNCLR those of the first view, ReSSL the target's of the second."""
    for name, expected in (("nnclr", lambda m, v: online(m, v[0])), ("ressl", lambda m, v: m.target(v[1]))):
        method, views = build(f"solo/{name}"), batch(0)
        z = F.normalize(expected(build(f"solo/{name}"), views), dim=1)
        method(views, torch.arange(16), None)
        assert torch.allclose(method.queue.entries[:16], z, atol=1e-6)


@pytest.mark.slow
def test_a_run_with_either_implementation_is_the_same_up_to_rounding(tmp_path):
    """The command as users give it, with settings and a reference by a name with a slash."""
    command = [sys.executable, "-m", "bench", "run", "--methods", "barlow,solo/barlow", "--dataset", "digits"]
    command += ["--data-root", str(tmp_path / "data"), "--output", str(tmp_path / "runs"), "--seeds", "1"]
    command += ["--epochs", "4", "--reference", "solo/barlow", "solo/barlow.scale=1", "precision=float32"]
    command += ["backbone.width=4", "projector.hidden=16", "projector.output=16", "evaluate.curve_points=2"]
    root = Path(__file__).parents[2]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    assert "Barlow Twins (solo-learn)" in done.stdout
    losses, scores = [], []
    for name in ("barlow", "solo-barlow"):
        folder = next((tmp_path / "runs").glob(f"digits/{name}/*/seed0"))
        with open(folder / "metrics.csv", newline="") as handle:
            losses.append([float(row["loss"]) for row in csv.DictReader(handle)])
        scores.append(json.loads((folder / "result.json").read_text())["scores"]["linear"])
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert scores[1] == pytest.approx(scores[0], abs=0.02)
