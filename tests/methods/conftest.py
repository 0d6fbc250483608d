"""What tests of objectives share: embeddings of two views, and solo-learn's functions to compare with."""

import importlib
import sys
import types
from importlib.metadata import PackageNotFoundError, distribution

import pytest
import torch


@pytest.fixture
def embeddings():
    """Function of (batch, width, seed, dtype) giving correlated leaves (B, D) with gradient."""

    def make(batch, width, seed=0, dtype=torch.float64):
        generator = torch.Generator().manual_seed(seed)
        shared = torch.randn(batch, width, generator=generator, dtype=torch.float64)
        noise = torch.randn(2, batch, width, generator=generator, dtype=torch.float64)
        return [(shared + 0.7 * part).to(dtype).requires_grad_() for part in noise]

    return make


@pytest.fixture
def agrees():
    """Function that asserts that two scalars of the same leaves are equal in value and in gradient."""

    def check(ours, reference, leaves, rtol=1e-9, atol=1e-12):
        assert torch.isclose(ours, reference, rtol=rtol, atol=atol), (ours.item(), reference.item())
        gradients = [torch.autograd.grad(loss, leaves, retain_graph=True) for loss in (ours, reference)]
        for a, b in zip(*gradients, strict=True):
            assert b.abs().max() > 0
            assert torch.allclose(a, b, rtol=rtol, atol=atol)

    return check


@pytest.fixture
def solo_losses():
    """Function that gives solo-learn's loss module without running its package's __init__, whose dependencies
    cannot be had any more; skips the test where solo-learn is not installed."""

    def module(name):
        try:
            root = distribution("solo-learn").locate_file("solo")
        except PackageNotFoundError:
            pytest.skip("solo-learn is not installed: `make test` installs it with --no-deps")
        for package, path in [("solo", root), ("solo.losses", root / "losses")]:
            empty = types.ModuleType(package)
            empty.__path__ = [str(path)]
            sys.modules.setdefault(package, empty)
        return importlib.import_module(f"solo.losses.{name}")

    return module
