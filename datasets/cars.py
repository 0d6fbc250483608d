"""Stanford Cars: 196 models of cars."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.api import Archive, Dataset, ImageFiles, RawData
from bench.datasets._layout import holding
from bench.datasets._listed import listed
from bench.datasets._matlab import variable
from bench.errors import UserError

FOLDER = "stanford_cars"
LISTS = {"train": "devkit/cars_train_annos.mat", "test": "cars_test_annos_withlabels.mat"}
MEND = "take it from your copy again"


class Cars(Dataset):
    """`stanford_cars/` as torchvision lays it out: `cars_train/`, `cars_test/` and their lists.

    Its makers' pages are gone, so that nothing is downloaded.
    """

    citation = "Krause, Stark, Deng, Fei-Fei (2013), 3D Object Representations for Fine-Grained Categorization"
    licence = "not stated; research (ImageNet terms)"

    @property
    def key(self) -> str:
        return "cars"

    @property
    def short_side(self) -> int:
        return 256

    def find(self, data_root: Path) -> RawData | None:
        folder = holding(data_root, FOLDER, ("devkit", *(f"cars_{part}" for part in LISTS), LISTS["test"]))
        if folder is None:
            return None
        classes = [str(name) for name in variable(folder / "devkit/cars_meta.mat", "class_names", MEND)]
        return RawData(classes, {part: _split(folder, part, len(classes)) for part in LISTS})

    def archives(self) -> Sequence[Archive]:
        raise UserError(
            "cars cannot be downloaded any more: put your copy, cars_train/, cars_test/, devkit/ and "
            f"{LISTS['test']}, into the folder {FOLDER} of the data root."
        )


def _split(folder: Path, part: str, classes: int) -> ImageFiles:
    path = folder / LISTS[part]
    rows = variable(path, "annotations", MEND)
    try:
        names, labels = [str(name) for name in rows["fname"]], rows["class"].astype(np.int64) - 1
        known = labels.min() >= 0 and labels.max() < classes
    except (IndexError, ValueError, TypeError) as error:
        raise UserError(f"{path} is missing or damaged ({error}); {MEND}.") from error
    if not known:
        raise UserError(f"{path} has classes that cars_meta.mat has not; {MEND}.")
    return listed(folder / f"cars_{part}", names, labels.tolist())
