"""NT-Xent against the paper's formula written out, and solo-learn's function."""

import pytest
import torch

from bench.cost.counters import peak_tensor_mib
from bench.methods import simclr
from bench.methods.simclr import objective


def transcription(za, zb, temperature):
    """Equation 1 of the paper and algorithm 1, pair by pair."""
    z = [row / row.norm() for row in torch.cat([za, zb])]
    batch, total = len(za), 0
    for i in range(2 * batch):
        similarities = torch.stack([z[i] @ z[k] / temperature for k in range(2 * batch) if k != i])
        positive = z[i] @ z[(i + batch) % (2 * batch)] / temperature
        total = total - (positive - torch.logsumexp(similarities, 0))
    return total / (2 * batch)


@pytest.mark.parametrize("temperature", [0.1, 0.5])
@pytest.mark.parametrize(("batch", "width"), [(6, 4), (3, 8), (2, 2)])
def test_value_and_gradient_are_the_papers(batch, width, temperature, embeddings, agrees):
    leaves = embeddings(batch, width)
    agrees(objective(*leaves, temperature)[0], transcription(*leaves, temperature), leaves)


@pytest.mark.parametrize("rows", [1, 5, 16])
def test_in_blocks_of_rows_it_is_the_same(rows, monkeypatch, embeddings, agrees):
    leaves = embeddings(8, 4)
    whole, terms = objective(*leaves, 0.2)
    monkeypatch.setattr(simclr, "ROWS", rows)
    blocked, blocked_terms = objective(*leaves, 0.2)
    agrees(blocked, whole, leaves)
    assert all(torch.isclose(blocked_terms[name], term) for name, term in terms.items())


def test_in_blocks_of_rows_memory_grows_with_the_batch_instead_of_its_square(monkeypatch, embeddings):
    def mib(batch):
        leaves = embeddings(batch, 4, dtype=torch.float32)
        return peak_tensor_mib(lambda: objective(*leaves, 0.2)[0].backward(), torch.device("cpu"))

    def growth():
        return mib(512) / mib(256)

    assert growth() > 3.5
    monkeypatch.setattr(simclr, "ROWS", 64)
    assert growth() < 2.3


def test_agrees_with_solo_learn(embeddings, agrees, solo_losses):
    theirs = solo_losses("simclr").simclr_loss_func
    leaves = embeddings(32, 16, dtype=torch.float32)
    agrees(objective(*leaves, 0.2)[0], theirs(*leaves, temperature=0.2), leaves, rtol=1e-4, atol=1e-6)


def test_symmetric_under_exchange_of_views_and_permutation_of_the_batch(embeddings):
    za, zb = embeddings(8, 4)
    order = torch.randperm(8, generator=torch.Generator().manual_seed(0))
    loss = objective(za, zb, 0.2)[0]
    assert torch.isclose(loss, objective(zb, za, 0.2)[0])
    assert torch.isclose(loss, objective(za[order], zb[order], 0.2)[0])
