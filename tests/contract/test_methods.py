"""What every method and its variants must do, as conftest.py finds them: a new file is tested by being there."""

import copy
import dataclasses
from contextlib import nullcontext

import pytest
import torch
import yaml
from torch.overrides import TorchFunctionMode

from bench import discover
from bench.api import Context, Method, Projector
from bench.arms import parse
from bench.config.check import build
from bench.config.schema import Protocol
from bench.methods._joint_embedding import JointEmbedding
from bench.methods._momentum import Momentum

BATCH, SIZE, CLASSES = 8, 16, 4
FLOAT32_ALONE = {"solo/barlow": "solo-learn's function makes a BatchNorm1d in float32"}
GRAPH_BREAKS = {
    "solo/barlow": "solo-learn's function indexes by a boolean mask, whose number of entries is not known in advance",
    "solo/vicreg": "solo-learn's function indexes by a boolean mask, whose number of entries is not known in advance",
    "solo/swav": "solo-learn's function counts views with NumPy's delete, which is not compiled",
}


class Encoder(torch.nn.Module):
    """Small and smooth, so that float64 gradient checks mean something; smaller views are enlarged."""

    feature_dim = 6

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3 * SIZE * SIZE, self.feature_dim)

    def forward(self, images):
        whole = torch.nn.functional.interpolate(images, SIZE)
        return torch.tanh(self.linear(whole.flatten(1)))


def make(arm, dtype=torch.float32):
    cls = discover.load("methods", parse(arm).method)
    settings = dict(setting.split("=") for setting in parse(arm).settings)
    settings.pop("augment.local_views", None)  # the protocol's
    torch.manual_seed(0)
    context = Context(
        config=cls.Config(**{key: yaml.safe_load(text) for key, text in settings.items()}),
        feature_dim=Encoder.feature_dim,
        projector=Projector(8, 5, 3),
        num_classes=CLASSES,
        total_steps=10,
        steps_per_epoch=5,
        batch_size=BATCH,
    )
    return cls(Encoder(), context).to(dtype)


def batch(arm, dtype=torch.float32, size=BATCH, seed=0):
    """Two views, and a third of half their size where the arm has a local one; indices and labels."""
    generator = torch.Generator().manual_seed(seed)
    sides = [SIZE, SIZE, *[SIZE // 2] * ("local_views" in arm)]
    views = [torch.randn(size, 3, side, side, generator=generator, dtype=torch.float64).to(dtype) for side in sides]
    return views, torch.arange(size), torch.randint(CLASSES, (size,), generator=generator)


def loss_of(method, views, indices, labels):
    return method(views, indices, labels if method.needs_labels else None)


def test_describes_itself_without_being_imported(name):
    description = discover.describe("methods", name)
    assert description.title
    assert description.citation
    cls = discover.load("methods", name)
    assert cls.citation == description.citation
    assert set(description.defaults) == {field.name for field in dataclasses.fields(cls.Config)}


def test_configuration_is_typed_and_its_names_clash_with_no_setting(name):
    cls = discover.load("methods", name)
    fields = {field.name: field.default for field in dataclasses.fields(cls.Config)}
    assert isinstance(build(cls.Config, fields, name), cls.Config)
    assert not set(fields) & set(Protocol.__dataclass_fields__)


def test_loss_and_terms_are_finite_scalars_on_the_graph(arm):
    method = make(arm)
    loss, terms = loss_of(method, *batch(arm))
    assert loss.shape == ()
    assert loss.isfinite()
    assert loss.dtype == torch.float32
    assert "loss" not in terms
    assert all(term.shape == () and term.isfinite() for term in terms.values())
    if method.trains:
        loss.backward()
        gradients = [p.grad for p in method.encoder.parameters()]
        assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
        assert any(gradient.abs().max() > 0 for gradient in gradients)


DTYPES = [torch.float32, torch.bfloat16]


def assert_finite(method, inputs, dtype):
    """Loss and gradients, with bfloat16 as autocast gives it; the objective itself is never below float32."""
    with torch.autocast("cpu", torch.bfloat16, enabled=dtype == torch.bfloat16):
        loss, _ = loss_of(method, *inputs)
    assert loss.isfinite()
    assert loss.dtype == torch.float32, "objectives are never below float32"
    if method.trains:
        loss.backward()
        assert all(p.grad is None or p.grad.isfinite().all() for p in method.parameters())


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", ["identical views", "constant", "zero", "two images"])
def test_degenerate_images_stay_finite(arm, case, dtype):
    views, indices, labels = batch(arm, size=2 if case == "two images" else BATCH)
    if case == "identical views":
        views = [views[0] for _ in views]
    elif case == "constant":
        views = [torch.ones_like(view) for view in views]
    elif case == "zero":
        views = [torch.zeros_like(view) for view in views]
    assert_finite(make(arm), (views, indices, labels), dtype)


def make_linear(arm):
    """The method with networks that are linear in the images: without biases, normalisation and nonlinearities a zero
    image has a zero embedding, and constant images have a constant one that is not zero."""
    method = make(arm)
    for module in list(method.modules()):
        for key, child in list(module.named_children()):
            if isinstance(child, (torch.nn.BatchNorm1d, torch.nn.ReLU, torch.nn.GELU)):
                setattr(module, key, torch.nn.Identity())
            elif isinstance(child, torch.nn.Linear) and child.bias is not None:
                torch.nn.init.zeros_(child.bias)
    return method


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("size", [BATCH, 2])
@pytest.mark.parametrize("case", ["identical views", "constant", "zero row", "ordinary"])
def test_degenerate_embeddings_stay_finite(arm, case, size, dtype):
    method = make_linear(arm)
    views, indices, labels = batch(arm, size=size)
    if case == "identical views":
        views = [views[0] for _ in views]
    elif case == "constant":
        views = [torch.ones_like(view) for view in views]
    elif case == "zero row":
        views = [view.index_fill(0, torch.tensor([1]), 0) for view in views]
    for view in views:
        embeddings = method.embed(method.encoder(view))
        assert (embeddings == 0).all(1).tolist() == [case == "zero row" and row == 1 for row in range(size)]
        assert case != "constant" or torch.allclose(embeddings, embeddings[:1], rtol=1e-4)
    assert_finite(method, (views, indices, labels), dtype)


class FixedTargets(TorchFunctionMode):
    """Repeats what `detach` gave the first time: a stop-gradient's target must stand still in a finite difference."""

    def __init__(self):
        super().__init__()
        self.targets, self.position = [], 0

    def rewind(self):
        self.position = 0

    def __torch_function__(self, function, types, arguments=(), options=None):
        if function is not torch.Tensor.detach:
            return function(*arguments, **(options or {}))
        if self.position == len(self.targets):
            self.targets.append(function(*arguments).clone())
        self.position += 1
        return self.targets[self.position - 1]


def test_gradient_is_right_in_float64(arm):
    """Against finite differences; a stop-gradient is written `.detach()`, which is what holds targets still here.

    Methods without one (JointEmbedding) get no such help, so that one too many is found.
    """
    if parse(arm).method in FLOAT32_ALONE:
        pytest.skip(FLOAT32_ALONE[parse(arm).method])
    method = make(arm, torch.float64)
    if not method.trains:
        pytest.skip("an untrained reference has no gradient")
    views, indices, labels = batch(arm, torch.float64, size=6)
    small = [view[:, :, :1, :1].clone().requires_grad_() for view in views]
    targets = nullcontext() if isinstance(method, JointEmbedding) else FixedTargets()

    def loss(*corners):
        whole = [view.clone() for view in views]
        for view, corner in zip(whole, corners, strict=True):
            view[:, :, :1, :1] = corner
        fresh = copy.deepcopy(method)
        if isinstance(targets, FixedTargets):
            targets.rewind()
        with targets:
            return loss_of(fresh, whole, indices, labels)[0]

    # Variants, and solo-learn's functions: along a random direction instead of every coordinate, which is much faster.
    one_direction = arm != parse(arm).method or arm.startswith("solo/")
    assert torch.autograd.gradcheck(loss, small, atol=1e-5, rtol=1e-4, fast_mode=one_direction)


def test_state_survives_a_round_trip_in_mid_training(arm):
    def steps(method, optimizer, count, start):
        losses = []
        for step in range(start, start + count):
            loss, _ = loss_of(method, *batch(arm, seed=step))
            if method.trains:
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
                method.after_step((step + 1) / 10)
            losses.append(loss.item())
        return losses

    method = make(arm)
    optimizer = torch.optim.AdamW(method.parameters(), 1e-2)
    steps(method, optimizer, 3, 0)
    saved = copy.deepcopy({"method": method.state_dict(), "optimizer": optimizer.state_dict()})
    onward = steps(method, optimizer, 3, 3)
    torch.manual_seed(99)
    again = make(arm)
    other = torch.optim.AdamW(again.parameters(), 1e-2)
    again.load_state_dict(saved["method"])
    other.load_state_dict(saved["optimizer"])
    assert steps(again, other, 3, 3) == onward


def test_the_momentum_used_is_recorded(arm):
    """It follows the length of the run; `resolved` goes to result.json."""
    method = make(arm)
    targets = [module for module in method.modules() if isinstance(module, Momentum)]
    if not targets:
        pytest.skip("has no momentum target")
    assert targets[0].base < method.config.momentum, "ten steps are too few for the published one"
    recorded = method.resolved()
    assert [(recorded["momentum"], recorded["final_momentum"])] == [(target.base, target.final) for target in targets]


def test_training_lowers_the_loss(arm):
    method = make(arm)
    if not method.trains:
        pytest.skip("an untrained reference does not learn")
    optimizer = torch.optim.AdamW(method.parameters(), 1e-3)
    fixed = batch(arm)
    losses = []
    for step in range(30):
        loss, _ = loss_of(method, *fixed)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        method.after_step((step + 1) / 30)
        losses.append(loss.item())
    assert min(losses[-5:]) < losses[0]


@pytest.mark.slow
def test_compiles_without_a_graph_break(arm):
    if parse(arm).method in GRAPH_BREAKS:
        pytest.skip(GRAPH_BREAKS[parse(arm).method])
    method = make(arm)
    explanation = torch._dynamo.explain(lambda *inputs: loss_of(method, *inputs))(*batch(arm))
    assert explanation.graph_break_count == 0, explanation.break_reasons


def test_is_a_method(name):
    assert issubclass(discover.load("methods", name), Method)
