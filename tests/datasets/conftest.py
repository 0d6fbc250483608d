"""Tiny raw data in the layouts that the plug-ins read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

MakeFolder = Callable[..., Path]


def picture(seed: int, height: int = 24, width: int = 32) -> np.ndarray:
    """Smooth random picture (height, width, 3) uint8, so that JPEG keeps it apart from others."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BILINEAR))


@pytest.fixture
def make_folder() -> MakeFolder:
    """`make_folder(root, {'train': {'cat': 3}, 'test': {'cat': 2}})` writes pictures; split '' is `root`."""

    def make(
        root: Path, splits: Mapping[str, Mapping[str, int]], suffix: str = ".jpg", size: tuple[int, int] = (24, 32)
    ) -> Path:
        seed = 0
        for split, classes in splits.items():
            for name, count in classes.items():
                folder = root / split / name
                folder.mkdir(parents=True)
                for number in range(count):
                    seed += 1
                    Image.fromarray(picture(seed, *size)).save(folder / f"{number}{suffix}")
        return root

    return make
