"""Barlow Twins: both forms against the paper's formula, each other and solo-learn's function."""

import pytest
import torch

from bench.methods.barlow import objective


def transcription(za, zb, lambda_):
    """Algorithm 1 of the paper with the official code's batch normalisation (biased variance, epsilon 1e-5)."""
    normalise = torch.nn.BatchNorm1d(za.shape[1], affine=False, dtype=za.dtype)
    c = normalise(za).T @ normalise(zb) / len(za)
    on = (1 - torch.diagonal(c)).pow(2).sum()
    off = c.pow(2).sum() - torch.diagonal(c).pow(2).sum()
    return on + lambda_ * off


@pytest.mark.parametrize("form", ["features", "samples"])
@pytest.mark.parametrize(("batch", "width"), [(16, 5), (5, 16), (2, 3)])
def test_value_and_gradient_are_the_papers(form, batch, width, embeddings):
    za, zb = embeddings(batch, width)
    expected = torch.autograd.grad(transcription(za, zb, 0.0051), [za, zb])
    loss, _ = objective(za, zb, 0.0051, form=form)
    assert torch.isclose(loss, transcription(za, zb, 0.0051), rtol=1e-10)
    for gradient, reference in zip(torch.autograd.grad(loss, [za, zb]), expected, strict=True):
        assert torch.allclose(gradient, reference, rtol=1e-9, atol=1e-12)


def test_the_two_forms_agree_in_float32(embeddings):
    za, zb = embeddings(64, 256, dtype=torch.float32)
    direct, exact = (objective(za, zb, 0.0051, form=form)[0] for form in ("features", "samples"))
    assert torch.isclose(direct, exact, rtol=1e-4)
    for a, b in zip(torch.autograd.grad(direct, [za, zb]), torch.autograd.grad(exact, [za, zb]), strict=True):
        assert (a - b).norm() / a.norm() < 1e-5


def test_the_cheaper_form_is_chosen_by_shape(monkeypatch, embeddings):
    sizes = []
    original = torch.Tensor.__matmul__

    def record(a, b):
        sizes.append((a.shape[0], b.shape[1]))
        return original(a, b)

    monkeypatch.setattr(torch.Tensor, "__matmul__", record)
    objective(*embeddings(8, 64), 0.01)
    assert set(sizes) == {(8, 8)}
    sizes.clear()
    objective(*embeddings(64, 8), 0.01)
    assert set(sizes) == {(8, 8)}
    assert len(sizes) == 1


def test_scale_multiplies_the_whole_loss(embeddings):
    za, zb = embeddings(8, 4)
    assert torch.isclose(objective(za, zb, 0.01, scale=0.1)[0], 0.1 * objective(za, zb, 0.01)[0])


def test_agrees_with_solo_learn(solo_losses, embeddings):
    barlow_loss = solo_losses("barlow").barlow_loss_func
    for batch, width in [(32, 16), (8, 64)]:
        za, zb = embeddings(batch, width, dtype=torch.float32)
        ours, _ = objective(za, zb, 0.005, scale=0.025)
        theirs = barlow_loss(za, zb, lamb=0.005, scale_loss=0.025)
        assert torch.isclose(ours, theirs, rtol=1e-4)
        for a, b in zip(torch.autograd.grad(ours, [za, zb]), torch.autograd.grad(theirs, [za, zb]), strict=True):
            assert torch.allclose(a, b, rtol=1e-3, atol=1e-6)
