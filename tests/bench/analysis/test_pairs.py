"""Pulls at pairs: autograd through the registered objectives against closed forms worked out apart from them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.dynamics import gradient_shares, structured_cosines
from bench.analysis.pairs import attraction, closed_form, objective_of
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


def test_shares_of_an_even_and_of_a_concentrated_pull():
    cosines = torch.tensor([0.9, -0.8, *[0.1] * 98], dtype=torch.float64)
    even = {row["top"]: row["share"] for row in gradient_shares([1.0] * 39, cosines)}
    assert all(share == pytest.approx(top) for top, share in even.items())
    only_positive = [0.0] * 19 + [index / 20 for index in range(20)]  # max(cosine, 0)
    shares = {row["top"]: row["share"] for row in gradient_shares(only_positive, cosines)}
    assert shares[0.01] == shares[0.02] == pytest.approx(0.9 / (0.9 + 9.8))
    assert shares[1.0] == pytest.approx(1.0)


@given(st.integers(0, 1000))
def test_the_structured_batch_has_related_pairs(seed):
    cosines = structured_cosines(seed)
    assert cosines.shape == (256 * 255,)
    related = cosines.sort(descending=True).values[: 256 * 15]
    assert 0.4 < related.mean() < 0.6
    assert abs(cosines.sort().values[: -256 * 15].mean()) < 0.05
