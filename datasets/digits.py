"""Digits: 1,797 handwritten digits of 8 x 8 pixels, embedded in scikit-learn."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import numpy as np

from bench.api import Dataset, ImageArrays, RawData
from bench.datasets._cut import cut_test

TEST_IMAGES = 500


class Digits(Dataset):
    """Greys of 0 to 16, scaled to 0 to 255 in three equal channels; 1,297 for train and 500 for test by a fixed cut."""

    citation = "Alpaydin & Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine Learning Repository"
    licence = "CC BY 4.0"
    defaults: ClassVar = {
        "image_size": 16,
        "augment.flip": 0.0,
        "augment.hue": 0.0,
        "augment.saturation": 0.0,
        "augment.grayscale": 0.0,
        "augment.minimum_scale": 0.4,
    }

    @property
    def key(self) -> str:
        return "digits"

    def find(self, data_root: Path) -> RawData:
        from sklearn.datasets import load_digits

        images, labels = load_digits(return_X_y=True)
        grey = np.rint(images.reshape(-1, 1, 8, 8) * (255 / 16)).astype(np.uint8)
        colour = np.repeat(grey, 3, axis=1)
        train, test = cut_test(labels, TEST_IMAGES)
        splits = {"train": ImageArrays(colour[train], labels[train]), "test": ImageArrays(colour[test], labels[test])}
        return RawData([str(digit) for digit in range(10)], splits)
