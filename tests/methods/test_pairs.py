"""Sums over pairs against autograd on the plain formula, and how many matrices they hold at once."""

import pytest
import torch

from bench.cost.counters import peak_tensor_mib
from bench.methods import barlow, smi, spectral
from bench.methods._pairs import pair_sums, squares, sum_of_squares


def matrices(rows, width, dtype=torch.float64):
    generator = torch.Generator().manual_seed(rows + width)
    return [torch.randn(rows, width, dtype=dtype, generator=generator, requires_grad=True) for _ in range(2)]


def cubes(r):
    """h(r) = r^3, and the largest entry as what else is to be told."""
    return (r**3).sum(), 3 * r**2, r.max()


@pytest.mark.parametrize("transposed", [False, True])
def test_values_and_gradients_are_those_of_the_plain_formula(transposed):
    leaves = matrices(4, 7)
    a, b = (leaf.T if transposed else leaf for leaf in leaves)
    r = 0.3 * a @ b.T
    off = r - torch.diag(r.diagonal())
    for transfer, plain in ((squares, off.square().sum()), (cubes, (off**3).sum())):
        diagonal, total, *others = pair_sums(a, b, 0.3, transfer)
        torch.testing.assert_close(diagonal, r.diagonal())
        torch.testing.assert_close(total, plain)
        ours, expected = (3 * d.exp().sum() - 2 * t for d, t in ((diagonal, total), (r.diagonal(), plain)))
        torch.testing.assert_close(
            torch.autograd.grad(ours, leaves), torch.autograd.grad(expected, leaves, retain_graph=True)
        )
    torch.testing.assert_close(others[0], off.max())
    assert not others[0].requires_grad


def test_gradients_are_those_of_finite_differences():
    a, b = matrices(3, 5)
    assert torch.autograd.gradcheck(lambda a, b: pair_sums(a, b, 0.7, squares), (a, b))


@pytest.mark.parametrize(
    "objective", [lambda a, b: smi.objective(a, b, smi.Config()), lambda a, b: spectral.objective(a, b, 1.0)]
)
def test_a_row_that_is_not_finite_is_seen_in_the_loss(objective):
    a, b = (leaf.detach() for leaf in matrices(4, 7))
    a[1, 0] = torch.nan
    assert torch.isnan(objective(a, b)[0])


def test_a_sum_of_millions_of_squares_keeps_the_precision_of_float32():
    r = torch.randn(2048, 2048, generator=torch.Generator().manual_seed(0))
    assert sum_of_squares(r).item() == pytest.approx(r.double().square().sum().item(), rel=1e-6)


@pytest.mark.parametrize(
    ("objective", "shape", "most"),
    [
        (lambda a, b: barlow.objective(a, b, 0.005, form="features"), (16, 1024), 1),
        (lambda a, b: spectral.objective(a, b, 1.0), (1024, 16), 1),
        (lambda a, b: smi.objective(a, b, smi.Config()), (1024, 16), 3.3),  # which entries saturate f takes a quarter
        (lambda a, b: smi.objective(a, b, smi.Config(level="feature")), (16, 1024), 3.3),
    ],
    ids=["Barlow Twins, D x D", "Spectral Contrastive", "SMI", "SMI, D x D"],
)
def test_no_more_matrices_than_the_formula_needs(objective, shape, most):
    """1,024 x 1,024 in float32 are 4 MiB; all that is B x D takes 0.4 beside them."""
    leaves = matrices(*shape, dtype=torch.float32)
    mib = peak_tensor_mib(lambda: objective(*leaves)[0].backward(), torch.device("cpu"))
    assert 4 < mib < 4 * most + 1
