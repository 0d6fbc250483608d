"""Products of Gram matrices against what autograd makes of the plain formula."""

import pytest
import torch

from bench.methods._gram import gram_norm, gram_product


def matrices(batch, width):
    generator = torch.Generator().manual_seed(batch + width)
    return [torch.randn(batch, width, dtype=torch.float64, generator=generator, requires_grad=True) for _ in range(2)]


@pytest.mark.parametrize(("batch", "width"), [(4, 9), (9, 4), (5, 5)])
def test_values_and_gradients_are_those_of_the_plain_formulas(batch, width):
    a, z = matrices(batch, width)
    for ours, plain, inputs in (
        (gram_product(a, z), (a.T @ z).square().sum(), (a, z)),
        (gram_norm(z), (z.T @ z).square().sum(), (z,)),
    ):
        torch.testing.assert_close(ours, plain)
        expected = torch.autograd.grad(3 * plain, inputs)
        torch.testing.assert_close(torch.autograd.grad(3 * ours, inputs), expected)


@pytest.mark.parametrize("shape", [(3, 5), (5, 3)])
def test_gradients_are_those_of_finite_differences(shape):
    a, z = matrices(*shape)
    assert torch.autograd.gradcheck(gram_product, (a, z))
    assert torch.autograd.gradcheck(gram_norm, (z,))
