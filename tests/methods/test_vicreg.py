"""VICReg against a transcription of the official code and solo-learn's function."""

import pytest
import torch

from bench.methods.vicreg import Config, objective


def transcription(za, zb):
    """The official code's forward, line by line; off-diagonal entries by a mask instead of its view trick."""
    repr_loss = torch.nn.functional.mse_loss(za, zb)
    x, y = za - za.mean(dim=0), zb - zb.mean(dim=0)
    std_x, std_y = torch.sqrt(x.var(dim=0) + 0.0001), torch.sqrt(y.var(dim=0) + 0.0001)
    std_loss = torch.mean(torch.relu(1 - std_x)) / 2 + torch.mean(torch.relu(1 - std_y)) / 2
    cov_x, cov_y = x.T @ x / (len(x) - 1), y.T @ y / (len(y) - 1)
    off = ~torch.eye(x.shape[1], dtype=torch.bool)
    cov_loss = cov_x[off].pow(2).sum() / x.shape[1] + cov_y[off].pow(2).sum() / x.shape[1]
    return 25 * repr_loss + 25 * std_loss + cov_loss


@pytest.mark.parametrize(("batch", "width"), [(16, 5), (5, 16), (2, 3)])
def test_value_and_gradient_are_the_official_codes(batch, width, embeddings, agrees):
    za, zb = embeddings(batch, width)
    za, zb = (0.5 * z for z in (za, zb))  # so that some standard deviations are below the hinge
    leaves = [za.detach().requires_grad_(), zb.detach().requires_grad_()]
    agrees(objective(*leaves, Config())[0], transcription(*leaves), leaves)


def test_the_other_variant_is_solo_learns(embeddings, agrees, solo_losses):
    theirs = solo_losses("vicreg").vicreg_loss_func
    leaves = embeddings(32, 16, dtype=torch.float32)
    ours, _ = objective(*leaves, Config(variant="solo-learn"))
    agrees(ours, theirs(*leaves), leaves, rtol=1e-4, atol=1e-5)


def test_the_variants_differ_by_half_the_variance_term(embeddings):
    leaves = [0.3 * z.detach() for z in embeddings(16, 5)]
    official, terms = objective(*leaves, Config())
    other, _ = objective(*leaves, Config(variant="solo-learn"))
    assert terms["variance"] > 0
    assert torch.isclose(other - official, 25 * terms["variance"])
