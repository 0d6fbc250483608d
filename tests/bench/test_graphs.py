"""CUDA graphs of the encoder: which calls they take over, and that a step with them is the step without."""

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from bench import discover
from bench.arms import parse
from bench.data import load
from bench.datasets._store import prepare
from bench.graphs import EncoderGraphs
from bench.plan import Request, open_dataset, plan
from bench.pretrain import Trainer

WORDS = ["backbone.width=4", "projector.hidden=16", "projector.output=16", "batch_size=128"]
WORDS += ["augment.blur=[0.5,0.5]", "augment.solarize=[0.5,0.5]"]


class Encoder(nn.Module):
    """Batch normalisation and a linear layer, as small as an encoder can be."""

    def __init__(self):
        super().__init__()
        self.norm, self.linear = nn.BatchNorm1d(3), nn.Linear(3, 2)

    def forward(self, images):
        return self.linear(self.norm(images))


def step(own, encoder, *views):
    """Features and the gradients of one step whose loss has all of them; forward replays are 0, 1, ..., then backward
    ones from the last to the first."""
    encoder.zero_grad()
    own.begin_step()
    features = [encoder(view) for view in views]
    sum(value.square().sum() for value in features).backward()
    return features, [parameter.grad for parameter in encoder.parameters()]


@pytest.fixture
def graphed(replays):
    """An encoder whose two calls of a step were captured, and its graphs."""
    encoder = Encoder()
    own = EncoderGraphs(encoder)
    for _ in range(2):
        step(own, encoder, torch.randn(5, 3), torch.randn(5, 3))
    replays.clear()
    return own, encoder


def test_the_first_step_runs_as_it_is_and_the_next_ones_replay_its_calls(replays):
    plain, encoder = Encoder(), Encoder()
    encoder.load_state_dict(plain.state_dict())
    own = EncoderGraphs(encoder)
    for number in range(3):
        views = torch.randn(2, 5, 3)
        replays.clear()
        features, gradients = step(own, encoder, *views)
        assert replays == [0, 1, 2, 3] * (number > 0)
        plain.zero_grad()
        expected = [plain(view) for view in views]
        sum(value.square().sum() for value in expected).backward()
        torch.testing.assert_close(features, expected, rtol=0, atol=0)
        torch.testing.assert_close(gradients, [parameter.grad for parameter in plain.parameters()])
    assert own.captured.hidden_bytes == 2**20
    for name, value in plain.state_dict().items():  # capturing left the running statistics alone
        torch.testing.assert_close(encoder.state_dict()[name], value, rtol=0, atol=0)


def test_features_of_a_step_outlive_the_next(graphed):
    own, encoder = graphed
    kept, _ = step(own, encoder, torch.randn(5, 3))
    before = kept[0].clone()
    step(own, encoder, torch.randn(5, 3))
    assert torch.equal(kept[0], before)


def test_other_calls_run_as_they_are(graphed, replays):
    own, encoder = graphed
    own.begin_step()
    with torch.no_grad():
        encoder(torch.randn(5, 3))  # a momentum target
    encoder.eval()
    encoder(torch.randn(5, 3))  # evaluation
    encoder.train()
    with torch.autocast("cpu", torch.bfloat16):
        encoder(torch.randn(5, 3))  # another precision
    images = torch.randn(5, 3, requires_grad=True)
    encoder(images).sum().backward()
    assert images.grad is not None
    assert replays == []
    encoder(torch.randn(5, 3))
    assert replays == [1]
    encoder(torch.randn(5, 3))  # one call more than there were
    encoder(torch.randn(4, 3))
    assert replays == [1]


@pytest.mark.parametrize(
    "change",
    [
        lambda encoder: setattr(encoder.linear, "weight", nn.Parameter(torch.randn(2, 3))),
        lambda encoder: setattr(encoder.norm, "running_mean", torch.zeros(3)),
        lambda encoder: encoder.linear.weight.requires_grad_(False),
        lambda encoder: encoder.norm.eval(),
        lambda encoder: encoder.linear.register_forward_hook(lambda *_: None),
        lambda encoder: encoder.linear.weight.register_hook(lambda gradient: gradient),
    ],
)
def test_a_changed_encoder_runs_as_it_is(graphed, replays, change):
    own, encoder = graphed
    change(encoder)
    features, _ = step(own, encoder, torch.ones(5, 3))
    assert replays == []
    torch.testing.assert_close(features[0], Encoder.forward(encoder, torch.ones(5, 3)))


def test_an_encoder_with_a_hook_is_not_captured(replays):
    encoder = Encoder()
    encoder.norm.register_forward_hook(lambda *_: None)
    own = EncoderGraphs(encoder)
    for _ in range(3):
        step(own, encoder, torch.randn(5, 3))
    assert replays == []


def test_parameters_without_a_part_in_the_features_have_no_gradient(replays):
    encoder = Encoder()
    encoder.unused, encoder.linear.bias.requires_grad = nn.Parameter(torch.ones(1)), False
    own = EncoderGraphs(encoder)
    for _ in range(2):
        step(own, encoder, torch.randn(5, 3))
    assert replays
    assert encoder.unused.grad is None
    assert encoder.linear.bias.grad is None
    assert encoder.linear.weight.grad is not None


@pytest.mark.parametrize("order", [[0, 1], [0, 0]])
def test_backward_out_of_turn_is_an_error(graphed, order):
    own, encoder = graphed
    own.begin_step()
    features = [encoder(torch.randn(5, 3)) for _ in range(2)]
    features[order[0]].sum().backward(retain_graph=True)
    with pytest.raises(RuntimeError, match="replays = False"):
        features[order[1]].sum().backward()


def test_a_copy_runs_as_it_is(graphed, replays):
    _, encoder = graphed
    other = copy.deepcopy(encoder)
    with torch.no_grad():
        encoder.linear.bias.add_(1)
    images = torch.randn(5, 3)
    torch.testing.assert_close(other(images) + 1, Encoder.forward(encoder, images))
    assert replays == []


def test_a_released_encoder_is_what_it_was(graphed, replays):
    own, encoder = graphed
    own.release()
    encoder(torch.randn(5, 3))
    assert replays == []
    assert "forward" not in vars(encoder)


def pair(arm, tmp_path, precision="float32", resides=True):
    """Two trainers of one run on the GPU, the second without graphs."""
    device = torch.device("cuda")
    request = Request(
        [parse(arm)], ["digits"], [0], "quick", [*WORDS, f"precision={precision}"], tmp_path, recipe="none"
    )
    data = load(prepare(open_dataset("digits"), tmp_path), device)
    if not resides:
        data = replace(data, train=replace(data.train, resident=None))
    (spec,) = plan(request, device)
    with_graphs, without = Trainer(spec, data, device), Trainer(spec, data, device)
    without.run_without_graphs()
    assert bool(with_graphs.batches.replayed) == resides
    for trainer in (with_graphs, without):
        trainer.measure_step()
    return with_graphs, without


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("arm", [*discover.names("methods"), "swav:augment.local_views=1"])
def test_a_step_with_graphs_is_the_step_without(arm, tmp_path):
    missing = discover.describe("methods", parse(arm).method).missing
    if missing:
        pytest.skip(f"{arm} {missing}")
    with_graphs, without = pair(arm, tmp_path)
    for _ in range(2):  # the step that replays for the first time and the one after it
        without.restore(copy.deepcopy(with_graphs.state()))
        views = [next(iter(trainer.batches.of_step(2)))[1] for trainer in (with_graphs, without)]
        for replayed, expected in zip(*views, strict=True):
            torch.testing.assert_close(replayed, expected, rtol=0, atol=0)
        _assert_the_same_step(with_graphs, without, rtol=1e-3, share=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_in_bfloat16_they_agree_to_its_rounding(tmp_path):
    _assert_the_same_step(*pair("barlow", tmp_path, "bfloat16"), rtol=0.05, share=0.02)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_the_encoder_is_captured_while_pictures_come_ahead(tmp_path):
    with_graphs, without = pair("barlow", tmp_path, resides=False)
    _assert_the_same_step(with_graphs, without, rtol=1e-3, share=1e-4)
    for trainer in (with_graphs, without):
        trainer.batches.end_ahead()


def _assert_the_same_step(with_graphs, without, rtol, share):
    """In gradients, up to `rtol` and a `share` of the largest of each parameter, and in what the encoder keeps."""
    found, expected = (_gradients_of_a_step(trainer) for trainer in (with_graphs, without))
    assert found.keys() == expected.keys()
    for name, gradient in expected.items():
        atol = share * gradient.abs().max().item()
        torch.testing.assert_close(found[name], gradient, rtol=rtol, atol=atol, msg=name)
    for own, other in zip(with_graphs.method.encoder.buffers(), without.method.encoder.buffers(), strict=True):
        torch.testing.assert_close(own, other, rtol=rtol, atol=share)


def _gradients_of_a_step(trainer):
    found = {}

    def keep(optimizer, arguments, options):
        named = trainer.method.named_parameters()
        found.update({name: p.grad.clone() for name, p in named if p.grad is not None})

    handle = trainer.optimizer.register_step_pre_hook(keep)
    trainer.measure_step()
    handle.remove()
    return found
