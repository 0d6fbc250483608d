"""Geometry against float64 NumPy transcriptions, closed forms and invariances."""

import math

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from bench.analysis.representation import (
    alignment,
    class_separation,
    effective_rank,
    is_collapsed,
    negative_positives,
    redundancy,
    spectrum,
    uniformity,
)

seeds = st.integers(0, 2**32 - 1)
rows = st.integers(2, 30)
widths = st.integers(1, 12)


def gaussian(seed, *shape):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def rotation(seed, width):
    return torch.linalg.qr(gaussian(seed + 1, width, width)).Q


def reference_effective_rank(x):
    singular = np.linalg.svd(x - x.mean(0), compute_uv=False)
    shares = singular / singular.sum()
    shares = shares[shares > 1e-14]
    return np.exp(-(shares * np.log(shares)).sum())


def unit(x):
    return x / np.linalg.norm(x, axis=1, keepdims=True)


def reference_uniformity(x, t):
    x = unit(x)
    pairs = [np.exp(-t * ((x[i] - x[j]) ** 2).sum()) for i in range(len(x)) for j in range(i)]
    return np.log(np.mean(pairs))


@settings(deadline=None, max_examples=50)
@given(seeds, rows, widths)
def test_effective_rank_equals_the_definition(seed, count, width):
    x = gaussian(seed, count, width) * torch.logspace(0, -3, width, dtype=torch.float64) + 5
    rank = effective_rank(x)
    assert rank == pytest.approx(reference_effective_rank(x.numpy()), rel=1e-9)
    assert 1 - 1e-9 <= rank <= min(count - 1, width) + 1e-9


@settings(deadline=None, max_examples=50)
@given(seeds, rows, widths, st.floats(1e-6, 1e6))
def test_effective_rank_ignores_rotation_scale_and_shift(seed, count, width, scale):
    x = gaussian(seed, count, width)
    rank = effective_rank(x)
    assert effective_rank(x @ rotation(seed, width)) == pytest.approx(rank, rel=1e-9)
    assert effective_rank(x * scale) == pytest.approx(rank, rel=1e-9)
    assert effective_rank(x + 3) == pytest.approx(rank, rel=1e-9)


@pytest.mark.parametrize("count", [2, 3, 10])
def test_effective_rank_of_orthogonal_features(count):
    """Centring takes one of the directions; the others carry equal shares."""
    assert effective_rank(torch.eye(count)) == pytest.approx(count - 1)
    symmetric = torch.cat([torch.eye(count), -torch.eye(count)])
    assert effective_rank(symmetric) == pytest.approx(count)


def test_effective_rank_of_two_unequal_directions():
    x = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    entropy = -(0.75 * math.log(0.75) + 0.25 * math.log(0.25))
    assert effective_rank(x) == pytest.approx(math.exp(entropy))


@pytest.mark.parametrize("value", [0.0, 0.1, -1e20, 1e-30])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_effective_rank_of_constant_features_is_zero(value, dtype):
    assert effective_rank(torch.full((100, 8), value, dtype=dtype)) == 0.0
    assert effective_rank(torch.full((1, 8), value, dtype=dtype)) == 0.0


def test_rounding_noise_is_not_taken_for_dimensions():
    """A constant representation computed in float32: the last bit of every entry is random."""
    noise = torch.randint(-1, 2, (500, 64), generator=torch.Generator().manual_seed(0)).float()
    constant = (0.7 + noise * 2**-24).float()
    assert constant.unique().numel() > 1
    assert effective_rank(constant) == 0.0
    line = torch.linspace(-1, 1, 500).unsqueeze(1) * torch.ones(64)
    assert effective_rank(constant + line) == pytest.approx(1.0, abs=1e-3)


def test_effective_rank_refuses_what_is_not_finite():
    with pytest.raises(ValueError, match="not finite"):
        effective_rank(torch.tensor([[1.0, float("nan")], [0.0, 1.0]]))


def test_collapse_is_an_effective_rank_below_three():
    assert is_collapsed(0.0, 0.0)
    assert is_collapsed(2.999, 0.0)
    assert not is_collapsed(3.0, 0.2)
    assert is_collapsed(50.0, 0.21)
    assert is_collapsed(effective_rank(torch.ones(10, 4)), 0.0)


def test_negative_positives_counts_pairs_by_pearson_correlation():
    a = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, 3.0], [5.0, 5.0, 5.0], [10.0, 11.0, 12.0]])
    b = torch.tensor([[2.0, 4.0, 7.0], [3.0, 2.0, 1.0], [1.0, 2.0, 3.0], [12.0, 11.0, 10.0]])
    assert negative_positives(a, b) == 0.5
    assert negative_positives(a, a) == 0


@settings(deadline=None, max_examples=50)
@given(seeds, rows, widths, st.floats(1e-3, 1e3))
def test_alignment(seed, count, width, scale):
    a, b = gaussian(seed, count, width), gaussian(seed + 7, count, width)
    expected = ((unit(a.numpy()) - unit(b.numpy())) ** 2).sum(1).mean()
    assert alignment(a, b) == pytest.approx(expected, abs=1e-12)
    turn = rotation(seed, width)
    assert alignment(a @ turn, b @ turn * scale) == pytest.approx(expected, abs=1e-9)


def test_alignment_of_equal_orthogonal_and_opposite_views():
    a = torch.eye(4)
    assert alignment(a, 5 * a) == 0.0
    assert alignment(a, a.roll(1, 0)) == pytest.approx(2.0)
    assert alignment(a, -a) == pytest.approx(4.0)


@settings(deadline=None, max_examples=50)
@given(seeds, rows, widths, st.floats(0.1, 5), st.integers(1, 40))
def test_uniformity(seed, count, width, t, block):
    x = gaussian(seed, count, width)
    expected = reference_uniformity(x.numpy(), t)
    assert uniformity(x, t, block) == pytest.approx(expected, abs=1e-9)
    lengths = gaussian(seed + 3, count, 1).exp()
    assert uniformity(x @ rotation(seed, width) * lengths, t, block) == pytest.approx(expected, abs=1e-9)


def test_uniformity_of_constant_orthogonal_and_opposite_features():
    assert uniformity(torch.ones(10, 3)) == pytest.approx(0.0, abs=1e-12)
    assert uniformity(torch.eye(5)) == pytest.approx(-4.0)
    assert uniformity(torch.tensor([[1.0, 0.0], [-1.0, 0.0]])) == pytest.approx(-8.0)


def test_uniformity_does_not_underflow():
    """exp(-t d^2) is 0 in float64 here; its logarithm is not."""
    assert uniformity(torch.eye(5), t=500.0) == pytest.approx(-1000.0)


def test_uniformity_needs_a_pair():
    with pytest.raises(ValueError, match="two rows"):
        uniformity(torch.ones(1, 3))


@given(seeds, rows, widths)
def test_spectrum_falls_and_adds_up(seed, count, width):
    shares = spectrum(gaussian(seed, count, width))
    assert len(shares) == min(count - 1, width)
    assert shares.sum().item() == pytest.approx(1.0)
    assert (shares.diff() <= 0).all()


@given(seeds, st.integers(5, 40), st.integers(2, 8))
def test_redundancy_equals_the_mean_squared_off_diagonal_correlation(seed, count, width):
    a = gaussian(seed, count, width)
    b = 0.5 * a + gaussian(seed + 1, count, width) + 2
    correlation = np.corrcoef(a.numpy().T, b.numpy().T)[:width, width:]
    expected = (correlation[~np.eye(width, dtype=bool)] ** 2).mean()
    assert redundancy(a, b) == pytest.approx(expected, rel=1e-9)
    assert redundancy(7 * a - 3, b) == pytest.approx(expected, rel=1e-9)


def test_redundancy_of_independent_repeated_and_dead_features():
    x = gaussian(0, 400, 20)
    assert redundancy(x, gaussian(1, 400, 20)) == pytest.approx(1 / 400, rel=0.2)
    repeated = x[:, :1].repeat(1, 4)
    assert redundancy(repeated, -repeated) == pytest.approx(1.0)
    dead = torch.cat([repeated, torch.full((400, 5), 0.3, dtype=torch.float64)], dim=1)
    assert redundancy(dead, dead) == pytest.approx(1.0)
    assert redundancy(torch.ones(10, 3), torch.ones(10, 3)) is None


@given(seeds, st.integers(2, 4), st.integers(1, 5))
def test_class_separation_equals_the_definition_over_pairs(seed, classes, width):
    labels = torch.cat(
        [torch.arange(classes), torch.randint(classes, (9,), generator=torch.Generator().manual_seed(3))]
    )
    x = gaussian(seed, len(labels), width) + 1
    u = unit(x.numpy())
    distances = 1 - u @ u.T
    blocks = np.array([[distances[labels == i][:, labels == j].mean() for j in range(classes)] for i in range(classes)])
    assume(blocks.mean() > 1e-6)  # in one dimension all may point the same way
    expected = 1 - np.diag(blocks).mean() / blocks.mean()
    assert class_separation(x, labels) == pytest.approx(expected, abs=1e-9)


def test_class_separation_of_points_noise_and_nothing():
    labels = torch.arange(400) % 4
    assert class_separation(torch.eye(4)[labels] * 3, labels) == pytest.approx(1.0)
    assert class_separation(gaussian(0, 400, 50), labels) == pytest.approx(3 / 400, abs=4e-3)
    assert math.isnan(class_separation(torch.ones(400, 3), labels))
