"""Explicit MI: the three forms of the Gaussian mutual information, and the widths that are refused."""

import numpy as np
import pytest
import torch

from bench.api import Context, Projector
from bench.errors import UserError
from bench.methods.explicit_mi import Config, ExplicitMI, objective


def covariances(za, zb, beta):
    """Blocks of the covariance of standardised embeddings, in NumPy, from their definition."""
    a, b = ((z - z.mean(0)) / np.sqrt(z.var(0) + 1e-5) for z in (za.detach().numpy(), zb.detach().numpy()))
    ridge = beta * np.eye(a.shape[1])
    return a.T @ a / len(a) + ridge, b.T @ b / len(b) + ridge, a.T @ b / len(a)


def by_canonical_correlations(za, zb, beta):
    """-1/2 sum log(1 - rho_k^2) over the canonical correlations."""
    caa, cbb, cab = covariances(za, zb, beta)
    whitened = np.linalg.inv(np.linalg.cholesky(caa)) @ cab @ np.linalg.inv(np.linalg.cholesky(cbb)).T
    return -0.5 * np.log(1 - np.linalg.svd(whitened, compute_uv=False) ** 2).sum()


def by_schur_complement(za, zb, beta):
    caa, cbb, cab = covariances(za, zb, beta)
    return 0.5 * (np.linalg.slogdet(cbb)[1] - np.linalg.slogdet(cbb - cab.T @ np.linalg.inv(caa) @ cab)[1])


@pytest.mark.parametrize("beta", [0.01, 0.1, 1.0])
@pytest.mark.parametrize(("batch", "width"), [(64, 4), (16, 2), (8, 16)])
def test_value_is_the_mutual_information_in_all_its_forms(batch, width, beta, embeddings):
    za, zb = embeddings(batch, width)
    loss, terms = objective(za, zb, beta)
    for reference in (by_schur_complement, by_canonical_correlations):
        assert loss.item() == pytest.approx(-reference(za, zb, beta) / width, rel=1e-9)
    assert terms["mutual_information"].item() == pytest.approx(by_schur_complement(za, zb, beta), rel=1e-9)


def test_gradient_is_that_of_an_independent_expression(embeddings, agrees):
    leaves = embeddings(32, 4)
    a, b = ((z - z.mean(0)) / torch.sqrt(z.var(0, unbiased=False) + 1e-5) for z in leaves)
    ridge = 0.1 * torch.eye(4, dtype=torch.float64)
    caa, cbb, cab = a.T @ a / 32 + ridge, b.T @ b / 32 + ridge, a.T @ b / 32
    schur = cbb - cab.T @ torch.linalg.inv(caa) @ cab
    agrees(objective(*leaves, 0.1)[0], -(cbb.logdet() - schur.logdet()) / 8, leaves)


def context(width, batch_size):
    return Context(Config(width=width), 6, Projector(8, 64, 3), 4, 10, 5, batch_size)


def test_width_follows_the_batch_and_the_projector():
    encoder = torch.nn.Identity()
    assert ExplicitMI(encoder, context(None, 256)).resolved() == {"width": 32}
    assert ExplicitMI(encoder, context(None, 4096)).resolved() == {"width": 64}
    assert ExplicitMI(encoder, context(None, 256)).embed(torch.randn(5, 6)).shape == (5, 32)


def test_too_wide_an_embedding_is_refused():
    ExplicitMI.check(context(32, 256))
    with pytest.raises(UserError, match="take at most 32"):
        ExplicitMI.check(context(33, 256))
