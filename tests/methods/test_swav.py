"""SwAV: assignments and loss against the paper's pseudo-code and solo-learn; prototypes, queue, local views."""

import importlib.util
import itertools
import math
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from bench.api import Context, Projector
from bench.errors import UserError
from bench.methods.swav import Config, SwAV, objective, sinkhorn

BATCH, WIDTH = 8, 6


class Encoder(torch.nn.Module):
    """Takes views of any size."""

    def __init__(self):
        super().__init__()
        self.convolution = torch.nn.Conv2d(3, 5, 3)

    def forward(self, images):
        return torch.tanh(self.convolution(images)).mean((2, 3))


def context(steps=100, steps_per_epoch=4, batch_size=BATCH, **config):
    return Context(
        Config(**{"epsilon": 0.05, **config}), 5, Projector(7, WIDTH, 2), 3, steps, steps_per_epoch, batch_size
    )


def make(**settings):
    torch.manual_seed(0)
    return SwAV(Encoder(), context(**settings)).double()


def pictures(seed, sides=(12, 12)):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(BATCH, 3, side, side, generator=generator, dtype=torch.float64) for side in sides]


def train(method, steps, total=100):
    """Every state of the prototypes, the one before the first step included."""
    optimizer = torch.optim.SGD(method.parameters(), 0.1)
    states = [method.prototypes.weight.detach().clone()]
    for step in range(steps):
        optimizer.zero_grad()
        method(pictures(step), torch.arange(BATCH), None)[0].backward()
        optimizer.step()
        method.after_step((step + 1) / total)
        states.append(method.prototypes.weight.detach().clone())
    return states


def cosines(count, prototypes, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return 2 * torch.rand(count, prototypes, generator=generator, dtype=torch.float64) - 1


def papers_sinkhorn(scores, epsilon=0.05, iterations=3):
    """Algorithm 1 of the paper."""
    q = torch.exp(scores / epsilon).T
    q = q / q.sum()
    k, b = q.shape
    r, c = torch.ones(k, dtype=q.dtype) / k, torch.ones(b, dtype=q.dtype) / b
    for _ in range(iterations):
        u = q.sum(1)
        q = q * (r / u)[:, None]
        q = q * (c / q.sum(0))[None]
    return (q / q.sum(0, keepdim=True)).T


def papers_loss(scores, codes, temperature):
    """The official code's loop over the two large views."""
    loss = 0
    for u in range(2):
        for v in [v for v in range(len(scores)) if v != u]:
            loss = loss - (codes[u] * torch.log(torch.softmax(scores[v] / temperature, 1))).sum(1).mean()
    return loss / (2 * (len(scores) - 1))


def solos_sinkhorn(solo_losses):
    solo_losses("swav")
    path = Path(sys.modules["solo"].__path__[0]) / "utils" / "sinkhorn_knopp.py"
    specification = importlib.util.spec_from_file_location("solo_sinkhorn_knopp", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module.SinkhornKnopp


@pytest.mark.parametrize("iterations", [1, 3, 7])
@pytest.mark.parametrize("shape", [(16, 5), (5, 16)])
def test_assignments_are_the_papers_and_solo_learns(solo_losses, shape, iterations):
    scores = cosines(*shape)
    ours = sinkhorn(scores, 0.05, iterations)
    assert torch.allclose(ours, papers_sinkhorn(scores, 0.05, iterations), rtol=1e-10)
    assert torch.allclose(ours, solos_sinkhorn(solo_losses)(iterations, 0.05)(scores), rtol=1e-10)


@given(st.integers(2, 12), st.integers(2, 12), st.integers(0, 99))
def test_marginals(count, prototypes, seed):
    scores = cosines(count, prototypes, seed)
    rows = torch.ones(count, dtype=torch.float64)
    assert torch.allclose(sinkhorn(scores, 0.05, 1).sum(1), rows)
    converged = sinkhorn(scores, 0.5, 300)
    assert torch.allclose(converged.sum(1), rows)
    assert torch.allclose(converged.sum(0), torch.full((prototypes,), count / prototypes, dtype=torch.float64))


def test_samples_of_weight_0_take_no_part():
    scores, weights = cosines(12, 5), torch.tensor([1.0] * 8 + [0.0] * 4, dtype=torch.float64)
    assert torch.allclose(sinkhorn(scores, 0.05, 3, weights)[:8], sinkhorn(scores[:8], 0.05, 3))
    assert not torch.allclose(sinkhorn(scores, 0.05, 3)[:8], sinkhorn(scores[:8], 0.05, 3), rtol=0.01)


@pytest.mark.parametrize("epsilon", [1e-4, 0.05, 10])
def test_assignments_are_finite_in_float32_at_any_epsilon(epsilon):
    for scores in (cosines(16, 40), torch.zeros(16, 40), torch.ones(2, 40)):
        codes = sinkhorn(scores.float(), epsilon, 3)
        assert codes.isfinite().all()
        assert torch.allclose(codes.sum(1), torch.ones(len(codes)), atol=1e-5)


@pytest.mark.parametrize("views", [2, 5])
def test_value_and_gradient_are_the_official_codes(agrees, views):
    scores = [cosines(BATCH, 5, seed).requires_grad_() for seed in range(views)]
    codes = [papers_sinkhorn(score.detach()) for score in scores[:2]]
    agrees(objective(scores, codes, 0.1)[0], papers_loss(scores, codes, 0.1), scores)


def test_agrees_with_solo_learn(agrees, solo_losses):
    scores = [cosines(32, 9, seed).requires_grad_() for seed in range(2)]
    codes = [sinkhorn(score.detach(), 0.05, 3) for score in scores]
    agrees(objective(scores, codes, 0.1)[0], solo_losses("swav").swav_loss_func(scores, codes, 0.1), scores)


def test_local_views_are_predicted_and_make_no_codes():
    method = make(prototypes=9)
    views = pictures(0, (12, 12, 6, 6, 6))
    z = [F.normalize(method.projector(method.encoder(view)), dim=1) for view in views]
    scores = [each @ method.prototypes.weight.T for each in z]
    expected = papers_loss(scores, [papers_sinkhorn(score) for score in scores[:2]], 0.1)
    assert torch.isclose(method(views, torch.arange(BATCH), None)[0], expected, rtol=1e-10)


def test_prototypes_are_unit_rows_and_stand_still_at_first():
    method = make(steps=300, prototypes=9)
    assert method.resolved()["frozen_steps"] == 3
    states = train(method, 5, total=300)
    for state in states:
        assert torch.allclose(state.norm(dim=1), torch.ones(9, dtype=torch.float64))
    moved = [not torch.allclose(before, after) for before, after in itertools.pairwise(states)]
    assert moved == [False] * 3 + [True] * 2


def test_prototypes_stand_still_for_one_epoch_at_most():
    assert make(steps=10_000, steps_per_epoch=4).resolved()["frozen_steps"] == 4
    assert make(steps=10).resolved()["frozen_steps"] == 0


def test_the_queue_is_assigned_with_the_batch_from_its_start_on():
    method = make(prototypes=9, queue=2 * BATCH, queue_start=0.03)
    assert method.resolved() == {"prototypes": 9, "frozen_steps": 1, "queue": 16, "queue_start": 3}
    twin = make(prototypes=9, queue=0)
    agree, optimizer = [], torch.optim.SGD(method.parameters(), 0.1)
    batches = []
    for step in range(5):
        twin.load_state_dict({k: v for k, v in method.state_dict().items() if not k.startswith("queues")})
        views = pictures(step)
        optimizer.zero_grad()
        loss, _ = method(views, torch.arange(BATCH), None)
        agree.append(torch.isclose(loss, twin(views, torch.arange(BATCH), None)[0], rtol=1e-10).item())
        batches.append([F.normalize(method.projector(method.encoder(view)), dim=1).detach() for view in views])
        weight = method.prototypes.weight.detach().clone()
        loss.backward()
        optimizer.step()
        method.after_step((step + 1) / 100)
    assert agree == [True, True, True, False, False]
    scores = [batches[4][v] @ weight.T for v in range(2)]
    queued = [torch.cat([batches[4][v], batches[3][v], batches[2][v]]) for v in range(2)]
    codes = [papers_sinkhorn(samples @ weight.T)[:BATCH] for samples in queued]
    assert torch.isclose(loss, papers_loss(scores, codes, 0.1), rtol=1e-10)


def test_the_queue_is_not_used_before_it_is_full():
    assert make(prototypes=9, queue=20, queue_start=0.0).queue_start == 3


def test_prototypes_and_queue_follow_the_data():
    cifar = make(steps_per_epoch=195, batch_size=256, steps=195_000).resolved()
    assert cifar["prototypes"] == 3000
    assert cifar["queue"] == 3840
    assert cifar["queue_start"] == math.ceil(0.075 * 195_000)
    digits = make(steps_per_epoch=4, batch_size=256, steps=276).resolved()
    assert digits["prototypes"] == 68
    assert digits["queue"] == 0, "a batch of 256 is enough for 68 prototypes"
    assert make(steps_per_epoch=4, batch_size=256, prototypes=300).resolved()["queue"] == 512


def test_a_queue_that_is_never_used_is_refused():
    SwAV.check(context())
    SwAV.check(context(prototypes=9, queue=99 * BATCH))
    with pytest.raises(UserError, match=r"^swav\.queue=800 is never used in a run over 800 images[^\n]*$"):
        SwAV.check(context(prototypes=9, queue=100 * BATCH))
