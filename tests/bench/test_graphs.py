"""CUDA graphs of the encoder: which calls they take over, and that a step with them is the step without."""

import copy

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

WORDS = ["backbone.width=4", "projector.hidden=16", "projector.output=16", "batch_size=128", "precision=float32"]
WORDS += ["augment.blur=[0.5,0.5]", "augment.solarize=[0.5,0.5]"]


class Encoder(nn.Module):
    """Batch normalisation and a linear layer, as small as an encoder can be."""

    def __init__(self):
        super().__init__()
        self.norm, self.linear = nn.BatchNorm1d(3), nn.Linear(3, 2)

    def forward(self, images):
        return self.linear(self.norm(images))


def test_the_first_step_runs_as_it_is_and_the_next_ones_replay_its_calls(replays):
    plain, encoder = Encoder(), Encoder()
    encoder.load_state_dict(plain.state_dict())
    own = EncoderGraphs(encoder)
    views = torch.randn(3, 2, 5, 3)
    for step in range(3):
        own.begin_step()
        for view in views[step]:
            torch.testing.assert_close(encoder(view), plain(view), rtol=0, atol=0)
        assert replays == [0, 1] * step
        assert own.captured.hidden_bytes == (2**20 if step else 0)
    for name, value in plain.state_dict().items():  # capturing left the running statistics alone
        torch.testing.assert_close(encoder.state_dict()[name], value, rtol=0, atol=0)


def test_other_calls_run_as_they_are(replays):
    encoder = Encoder()
    own = EncoderGraphs(encoder)
    encoder(torch.randn(5, 3))
    own.begin_step()
    with torch.no_grad():
        encoder(torch.randn(5, 3))  # a momentum target
    encoder.eval()
    encoder(torch.randn(5, 3))  # evaluation
    encoder.train()
    encoder(torch.randn(4, 3))  # another shape
    encoder(torch.randn(5, 3))  # one call more than there were
    assert replays == []
    own.begin_step()
    encoder(torch.randn(5, 3))
    assert replays == [0]


def test_a_released_encoder_is_what_it_was(replays):
    encoder = Encoder()
    own = EncoderGraphs(encoder)
    for _ in range(2):
        own.begin_step()
        encoder(torch.randn(5, 3))
    own.release()
    encoder(torch.randn(5, 3))
    assert replays == [0]
    assert "forward" not in vars(encoder)


@pytest.fixture(params=discover.names("methods"))
def trainers(request, tmp_path):
    """Two trainers of one run on the GPU, the second without graphs."""
    missing = discover.describe("methods", request.param).missing
    if missing:
        pytest.skip(f"{request.param} {missing}")
    device = torch.device("cuda")
    arm = Request([parse(request.param)], ["digits"], [0], "quick", WORDS, tmp_path, recipe="none")
    data = load(prepare(open_dataset("digits"), tmp_path), device)
    (spec,) = plan(arm, device)
    with_graphs, without = Trainer(spec, data, device), Trainer(spec, data, device)
    without.run_without_graphs()
    return with_graphs, without


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_step_with_graphs_is_the_step_without(trainers):
    """Views, and gradients of every parameter, in the step that replays for the first time and in the one after it."""
    with_graphs, without = trainers
    assert with_graphs.batches.replayed
    for trainer in trainers:
        trainer.measure_step()
    for _ in range(2):
        without.restore(copy.deepcopy(with_graphs.state()))
        views = [next(iter(trainer.batches.of_step(2)))[1] for trainer in trainers]
        for replayed, expected in zip(*views, strict=True):
            torch.testing.assert_close(replayed, expected, rtol=0, atol=0)
        gradients = [_gradients_of_a_step(trainer) for trainer in trainers]
        assert gradients[0].keys() == gradients[1].keys()
        for name, expected in gradients[1].items():
            scale = expected.abs().max().item()
            torch.testing.assert_close(gradients[0][name], expected, rtol=1e-3, atol=1e-4 * scale, msg=name)


def _gradients_of_a_step(trainer):
    found = {}

    def keep(optimizer, arguments, options):
        named = trainer.method.named_parameters()
        found.update({name: p.grad.clone() for name, p in named if p.grad is not None})

    handle = trainer.optimizer.register_step_pre_hook(keep)
    trainer.measure_step()
    handle.remove()
    return found
