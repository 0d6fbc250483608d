"""Spectral Contrastive against a transcription of the official code, and the linear loss it equals on a sphere."""

import pytest
import torch

from bench.methods import smi
from bench.methods.spectral import objective


def transcription(z1, z2, mu):
    """The official code's `D` and its mask, line by line."""
    mask1 = (torch.norm(z1, p=2, dim=1) < mu**0.5).double().unsqueeze(1)
    mask2 = (torch.norm(z2, p=2, dim=1) < mu**0.5).double().unsqueeze(1)
    z1 = mask1 * z1 + (1 - mask1) * torch.nn.functional.normalize(z1, dim=1) * mu**0.5
    z2 = mask2 * z2 + (1 - mask2) * torch.nn.functional.normalize(z2, dim=1) * mu**0.5
    loss_part1 = -2 * torch.mean(z1 * z2) * z1.shape[1]
    square_term = torch.matmul(z1, z2.T) ** 2
    loss_part2 = torch.mean(torch.triu(square_term, diagonal=1) + torch.tril(square_term, diagonal=-1))
    loss_part2 = loss_part2 * z1.shape[0] / (z1.shape[0] - 1)
    return (loss_part1 + loss_part2) / mu


@pytest.mark.parametrize("mu", [0.5, 3.0, 100.0])
@pytest.mark.parametrize(("batch", "width"), [(8, 4), (4, 16), (2, 3)])
def test_value_and_gradient_are_the_official_codes(batch, width, mu, embeddings, agrees):
    leaves = embeddings(batch, width)
    agrees(objective(*leaves, mu)[0], transcription(*leaves, mu), leaves)


def test_cut_embeddings_make_it_a_linear_loss_on_cosines(embeddings):
    za, zb = (100 * z.detach() for z in embeddings(8, 4))
    (a, scale), (b, _) = (smi.normalised(z, "sample", "none") for z in (za, zb))
    rho = scale * a @ b.T
    off = ~torch.eye(8, dtype=torch.bool)
    expected = -2 * rho.diagonal().mean() + 3.0 * rho[off].square().mean()
    assert torch.isclose(objective(za, zb, 3.0)[0], expected)
