"""Cuts a test part from labelled pictures, stratified, by a fixed seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

SEED = 20240501


def cut_test(labels: Sequence[int] | np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Sorted rows (train, test) of labels (N,): about `count` for test, every class in proportion.

    Shares are rounded by largest remainder, so that they add up to `count`, but every class keeps at least one
    picture on either side. Raises ValueError for a class of fewer than two pictures.
    """
    labels = np.asarray(labels)
    names, sizes = np.unique(labels, return_counts=True)
    if sizes.min() < 2:
        raise ValueError(f"class {names[sizes.argmin()]} has a single picture")
    shares = sizes * count / len(labels)
    parts = np.floor(shares).astype(int)
    parts[np.argsort(parts - shares, kind="stable")[: count - parts.sum()]] += 1
    parts = np.clip(parts, 1, sizes - 1)
    generator = np.random.default_rng(SEED)
    chosen = [
        generator.permutation(np.flatnonzero(labels == name))[:part] for name, part in zip(names, parts, strict=True)
    ]
    test = np.sort(np.concatenate(chosen))
    return np.setdiff1d(np.arange(len(labels)), test), test
