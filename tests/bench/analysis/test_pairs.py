"""Pulls at pairs: autograd through the registered objectives against closed forms worked out apart from them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.dynamics import gradient_shares
from bench.analysis.pairs import attraction, attractions, closed_form, objective_of, related_batch
from bench.errors import UserError

BATCH, WIDTH = 8, 24
COSINES = (-0.9, -0.5, -0.1, 0.0, 0.3, 0.7, 0.95)
IN_CLOSED_FORM = (
    "smi",
    "smi:w=3:epsilon=0.1",
    "smi:form=maxmin",
    "smi:form=fisher:centre=none",
    "smi:transform=identity:centre=none",
    "spectral",
    "spectral:mu=5",
)


@pytest.mark.parametrize("kind", ["positive", "negative"])
@pytest.mark.parametrize("name", IN_CLOSED_FORM)
def test_autograd_gives_the_closed_form(name, kind):
    objective, config = objective_of(name, BATCH, WIDTH)
    measured = attraction(objective, kind, COSINES, BATCH, WIDTH, draws=2, seed=1)
    assert torch.allclose(measured, closed_form(name, config, kind, COSINES, BATCH), atol=1e-12)


@pytest.mark.parametrize("name", ["smi:level=feature", "smi:form=fisher", "barlow", "vicreg", "simclr"])
def test_no_closed_form_is_claimed_for_others(name):
    assert closed_form(name, objective_of(name, BATCH, WIDTH)[1], "negative", COSINES, BATCH) is None


def test_gaussian_mutual_information_pulls_with_the_cotangent():
    """maxmin without shrinking: d/drho of -1/2 log(1 - rho^2) is rho / (1 - rho^2), times the sine of the angle."""
    _, config = objective_of("smi:form=maxmin:w=1:epsilon=0.001", BATCH, WIDTH)
    angle = math.acos(0.5)
    found = closed_form("smi:form=maxmin", config, "positive", [0.5], BATCH).item()
    assert found == pytest.approx(1 / math.tan(angle) / BATCH, rel=2e-3)
    pushed = closed_form("smi:form=maxmin", config, "negative", [0.5], BATCH).item()
    assert pushed == pytest.approx(-1 / math.tan(angle) / (BATCH * (BATCH - 1)), rel=2e-3)


@pytest.mark.parametrize("kind", ["positive", "negative"])
@pytest.mark.parametrize("name", ["simclr", "barlow", "vicreg", "smi:form=fisher"])
def test_attraction_is_the_fall_of_the_loss_along_the_arc(name, kind):
    """Against finite differences, for objectives without a closed form."""
    from bench.analysis.pairs import _batch
    from bench.seeds import derive

    objective, _ = objective_of(name, BATCH, WIDTH)
    generator = torch.Generator().manual_seed(derive(4, "pair", 0))
    za, zb, direction = _batch(kind, torch.tensor(0.4, dtype=torch.float64), BATCH, WIDTH, generator)
    step, losses = 1e-5, []
    for sign in (1, -1):
        moved = za.clone()
        moved[0] = math.cos(step) * za[0] + sign * math.sin(step) * direction
        losses.append(objective(moved, zb).item())
    expected = -(losses[0] - losses[1]) / (2 * step)
    measured = attraction(objective, kind, [0.4], BATCH, WIDTH, draws=1, seed=4).item()
    assert measured == pytest.approx(expected, rel=1e-5)


def test_a_pair_needs_room_and_an_objective_of_embeddings():
    with pytest.raises(ValueError, match="18 dimensions"):
        attraction(lambda za, zb: za.sum(), "positive", [0.0], 8, 18, 1, 0)
    with pytest.raises(UserError, match="no objective of two embeddings"):
        objective_of("byol", BATCH, WIDTH)
    with pytest.raises(UserError, match="Did you mean 'smi'"):
        objective_of("sni", BATCH, WIDTH)


@pytest.mark.parametrize("name", [*IN_CLOSED_FORM, "simclr", "barlow", "vicreg"])
def test_the_pulls_of_a_whole_batch_are_those_of_its_pairs(name):
    """Against the closed form, or the fall of the loss where a row moves along what only its partner has."""
    objective, config = objective_of(name, BATCH, WIDTH)
    za, zb = related_batch(BATCH, WIDTH, 3, 0.4, seed=2)
    pulls, cosines = attractions(objective, za, zb), za @ zb.T
    for kind, (i, j) in {"positive": (2, 2), "negative": (1, 4)}.items():
        expected = closed_form(name, config, kind, [cosines[i, j].item()], BATCH)
        if expected is None:
            others = torch.cat([zb[torch.arange(BATCH) != j], za])
            free = zb[j] - others.T @ torch.linalg.lstsq(others.T, zb[j][:, None]).solution[:, 0]
            step, losses = 1e-5, []
            for sign in (1, -1):
                moved = za.clone()
                moved[i] += sign * step * free
                losses.append(objective(moved, zb).item())
            slope = (losses[1] - losses[0]) / (2 * step) / (free @ free)
            expected = slope * (1 - cosines[i, j] ** 2).sqrt()
        assert pulls[i, j].item() == pytest.approx(expected.item(), rel=1e-5, abs=1e-10)


def test_pulls_need_room():
    with pytest.raises(ValueError, match="16 dimensions"):
        attractions(lambda za, zb: za.sum(), torch.ones(8, 16), torch.ones(8, 16))


def test_shares_of_an_even_and_of_a_concentrated_pull():
    cosines = torch.full((11, 11), 0.1, dtype=torch.float64)
    cosines[0, 1], cosines[1, 0] = 0.9, -0.8
    even = {row["top"]: row["share"] for row in gradient_shares(torch.ones(11, 11), cosines)}
    assert all(share == pytest.approx(max(1, round(110 * top)) / 110) for top, share in even.items())
    pulls = -cosines.clamp_min(0)
    pulls[range(11), range(11)] = 100.0  # positive pairs do not count
    shares = {row["top"]: row["share"] for row in gradient_shares(pulls, cosines)}
    assert shares[0.01] == shares[0.02] == pytest.approx(0.9 / (0.9 + 10.8))
    assert shares[1.0] == pytest.approx(1.0)


@given(st.integers(0, 1000))
def test_the_batch_with_classes_has_related_pairs(seed):
    za, zb = related_batch(64, 256, 16, 0.5, seed)
    for view in (za, zb):
        assert torch.allclose(view.mean(1), torch.zeros(64, dtype=torch.float64), atol=1e-12)
        assert torch.allclose(view.norm(dim=1), torch.ones(64, dtype=torch.float64))
    assert torch.allclose((za * zb).sum(1), torch.full((64,), 0.8, dtype=torch.float64))
    related = torch.arange(64)[:, None] % 16 == torch.arange(64) % 16
    cosines = za @ za.T
    assert 0.4 < cosines[related & ~torch.eye(64, dtype=torch.bool)].mean() < 0.6
    assert abs(cosines[~related].mean()) < 0.05
