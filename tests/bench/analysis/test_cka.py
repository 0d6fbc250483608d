"""Linear CKA against a reference from N x N kernels, and its invariances."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.analysis.cka import linear_cka

seeds = st.integers(0, 2**32 - 1)


def gaussian(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def reference_hsic(k, l):  # noqa: E741
    """Song et al. 2012 from the kernels themselves."""
    n = len(k)
    k, l = k - np.diag(np.diag(k)), l - np.diag(np.diag(l))  # noqa: E741
    one = np.ones(n)
    total = (
        np.trace(k @ l) + (one @ k @ one) * (one @ l @ one) / ((n - 1) * (n - 2)) - 2 / (n - 2) * (one @ k @ l @ one)
    )
    return total / (n * (n - 3))


def reference_cka(x, y):
    k, l = x @ x.T, y @ y.T  # noqa: E741
    return reference_hsic(k, l) / np.sqrt(reference_hsic(k, k) * reference_hsic(l, l))


@given(seeds, st.integers(12, 40), st.integers(1, 6), st.integers(1, 6), st.floats(0, 1))
def test_equals_the_estimate_from_kernels(seed, count, width, other, mixed):
    x = gaussian(seed, count, width)
    y = mixed * x @ gaussian(seed + 1, width, other) + (1 - mixed) * gaussian(seed + 2, count, other) + 3
    assert linear_cka(x, y) == pytest.approx(reference_cka(x.numpy(), y.numpy()), abs=1e-9)


@given(seeds, st.floats(0.01, 100))
def test_is_one_up_to_rotation_scale_and_shift(seed, scale):
    x = gaussian(seed, 30, 5)
    turned = x @ torch.linalg.qr(gaussian(seed + 1, 5, 5)).Q * scale + gaussian(seed + 2, 5)
    assert linear_cka(x, turned) == pytest.approx(1.0, abs=1e-9)
    y = gaussian(seed + 3, 30, 7)
    assert linear_cka(y, turned) == pytest.approx(linear_cka(x, y), abs=1e-9)


def test_has_no_bias_where_the_plain_estimate_has():
    """Independent features of as many dimensions as images: the plain estimate is far from 0."""
    values, plain = [], []
    for seed in range(200):
        x, y = gaussian(seed, 20, 20), gaussian(seed + 1000, 20, 20)
        values.append(linear_cka(x, y))
        x, y = x - x.mean(0), y - y.mean(0)
        plain.append(((x.T @ y).norm() ** 2 / ((x.T @ x).norm() * (y.T @ y).norm())).item())
    assert abs(np.mean(values)) < 4 * np.std(values) / np.sqrt(200)
    assert np.mean(plain) > 0.3


def test_without_variation_or_images():
    assert np.isnan(linear_cka(torch.ones(10, 3), gaussian(0, 10, 3)))
    with pytest.raises(ValueError, match="four images"):
        linear_cka(torch.eye(3), torch.eye(3))
    with pytest.raises(ValueError, match="same four images"):
        linear_cka(torch.eye(5), torch.eye(6))
