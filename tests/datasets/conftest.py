"""Tiny raw data in the layouts that the plug-ins read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy.io import savemat

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


@pytest.fixture
def listed_files(tmp_path: Path, make_folder: MakeFolder) -> Mapping[str, Callable[[], Path]]:
    """Writers of datasets whose parts are lists of names, by name; each gives the dataset's folder.

    In all, pictures of one label are not side by side, and three quarters are of train.
    """

    def flowers102() -> Path:
        folder = make_folder(tmp_path / "flowers-102", {"": {"jpg": 8}})
        for number in range(8):
            (folder / f"jpg/{number}.jpg").rename(folder / f"jpg/image_{number + 1:05d}.jpg")
        savemat(folder / "imagelabels.mat", {"labels": [[1, 2, 1, 2, 1, 2, 1, 2]]})
        savemat(folder / "setid.mat", {"trnid": [[3, 4, 1]], "valid": [[2, 7, 8]], "tstid": [[6, 5]]})
        return folder

    def pets() -> Path:
        folder = make_folder(tmp_path / "oxford-iiit-pet", {"": {"images": 8}})
        lists: dict[str, list[str]] = {"trainval": ["#Image CLASS-ID SPECIES BREED ID"], "test": []}
        for number in range(8):
            breed = ("great_dane", "Sphynx")[number % 2]
            (folder / f"images/{number}.jpg").rename(folder / f"images/{breed}_{number}.jpg")
            lists["trainval" if number < 6 else "test"].append(f"{breed}_{number} {number % 2 + 1} 1 1")
        (folder / "annotations").mkdir()
        for name, rows in lists.items():
            (folder / f"annotations/{name}.txt").write_text("\n".join(rows) + "\n")
        return folder

    def dtd() -> Path:
        folder = make_folder(tmp_path / "dtd", {"images": {"woven": 4, "banded": 4}})
        (folder / "labels").mkdir()
        for part, numbers in {"train1": (3, 0), "val1": (1,), "test1": (2,), "train2": (2,)}.items():
            rows = [f"{kind}/{number}.jpg\n" for number in numbers for kind in ("woven", "banded")]
            (folder / f"labels/{part}.txt").write_text("".join(rows))
        return folder

    def aircraft() -> Path:
        folder = make_folder(tmp_path / "fgvc-aircraft-2013b/data", {"": {"images": 8}})
        (folder / "variants.txt").write_text("F/A-18\nBoeing 747-400\n")
        rows = [f"{number} {('F/A-18', 'Boeing 747-400')[number % 2]}\n" for number in range(8)]
        (folder / "images_variant_trainval.txt").write_text("".join(rows[:6]))
        (folder / "images_variant_test.txt").write_text("".join(rows[6:]))
        return folder.parent

    def cub() -> Path:
        folder = make_folder(tmp_path / "CUB_200_2011", {"images": {"001.Albatross": 4, "002.Wren": 4}})
        species = ["001.Albatross", "002.Wren"]
        rows = range(8)
        columns = {
            "images": [f"{row + 1} {species[row % 2]}/{row // 2}.jpg" for row in rows],
            "image_class_labels": [f"{row + 1} {row % 2 + 1}" for row in rows],
            "train_test_split": [f"{row + 1} {int(row < 6)}" for row in rows],
            "classes": [f"{number + 1} {name}" for number, name in enumerate(species)],
        }
        for name, lines in columns.items():
            (folder / f"{name}.txt").write_text("\n".join(lines) + "\n")
        return folder

    def cars() -> Path:
        folder = make_folder(tmp_path / "stanford_cars", {"": {"cars_train": 6, "cars_test": 2}})
        (folder / "devkit").mkdir()
        names = np.array(["AM General Hummer", "Audi R8"], dtype=object)
        savemat(folder / "devkit/cars_meta.mat", {"class_names": names})
        for path, count in (("devkit/cars_train_annos.mat", 6), ("cars_test_annos_withlabels.mat", 2)):
            rows = np.zeros((1, count), dtype=[("bbox_x1", object), ("class", object), ("fname", object)])
            rows["class"] = [[1 + number % 2 for number in range(count)]]
            rows["fname"] = [[f"{number}.jpg" for number in range(count)]]
            savemat(folder / path, {"annotations": rows})
        return folder

    return {"flowers102": flowers102, "pets": pets, "dtd": dtd, "aircraft": aircraft, "cub": cub, "cars": cars}
