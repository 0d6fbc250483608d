"""Ground truth that others drew: boxes (Pascal VOC, as ImageNet's; CUB-200-2011) and trimaps (Oxford-IIIT Pet)."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from bench.api import Dataset, ImageFiles
from bench.augment.crop import central_boxes
from bench.augment.pipeline import centre_crop
from bench.data import Data
from bench.errors import UserError

CUB_FILES = ("images.txt", "bounding_boxes.txt")
BACKGROUND = 2
"""Of a trimap: 1 is the animal, 3 its undecided border, which counts as the animal's."""
Box = tuple[float, float, float, float]
"""Top, left, bottom, right as shares of the picture's height and width."""
Annotation = list[Box] | Path
"""Boxes of a picture's objects, or the file of its trimap."""


class Annotated:
    """Annotated test pictures `rows` (N,) of `data`.

    Left out are pictures without an annotation and those whose central square, which evaluation sees, shows nothing of
    the object. `rows` and `labels` are of the pictures kept. Raises UserError where none is left.
    """

    def __init__(self, data: Data, rows: Tensor, annotations: Mapping[int, Annotation]) -> None:
        self.data, self._annotations = data, annotations
        kept = [row for row in rows.tolist() if row in annotations and self._mask(row, 64).any()]
        if not kept:
            raise UserError("None of the test images has an annotation that its central square shows.")
        self.rows = torch.tensor(kept, device=rows.device)
        self.labels = data.test.labels[self.rows]

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, part: slice | Tensor, size: int) -> tuple[Tensor, Tensor]:
        """Normalised evaluation crops (B, 3, size, size) and the masks (B, size, size) of all objects in each."""
        rows = self.rows[part]
        images = self.data.test
        pictures = centre_crop(images.canvases(rows), images.sizes[rows], size, self.data.mean, self.data.std)
        masks = np.stack([self._mask(row, size) for row in rows.tolist()])
        return pictures, torch.from_numpy(masks).to(rows.device)

    def _mask(self, row: int, size: int) -> NDArray[np.bool_]:
        annotation = self._annotations[row]
        mask = _of_trimap(annotation) if isinstance(annotation, Path) else None
        height, width = self.data.test.sizes[row].tolist() if mask is None else mask.shape
        top, left, side, _ = central_boxes(torch.tensor([[height, width]]))[0].tolist()
        # Centres of the crop's pixels, in pixels of the picture.
        lines, columns = ((np.arange(size) + 0.5) * side / size + start for start in (top, left))
        if mask is not None:
            return mask[lines.astype(int)[:, None], columns.astype(int)]
        inside = np.zeros((size, size), dtype=bool)
        assert not isinstance(annotation, Path)
        for first, begin, last, end in annotation:
            rows = (lines >= first * height) & (lines < last * height)
            inside |= rows[:, None] & (columns >= begin * width) & (columns < end * width)
        return inside


def find(folder: Path, dataset: Dataset, data: Data, data_root: Path) -> dict[int, Annotation]:
    """Annotations by test row, matched by the image file's name without its ending.

    `folder` holds, at any depth, VOC .xml files or .png trimaps, or is CUB's own folder with CUB_FILES. Raises
    UserError where it holds neither, a file cannot be read, or a name stands for several, and for data that are not
    image files.
    """
    paths = _test_paths(dataset, data, data_root)
    if all((folder / name).is_file() for name in CUB_FILES):
        return _cub(folder, paths)
    files = [path for suffix in ("*.png", "*.xml") for path in sorted(folder.rglob(suffix))]
    by_stem = {path.stem: path for path in files}
    if not by_stem:
        raise UserError(f"{folder} holds no .xml boxes, no .png trimaps and no {' with '.join(CUB_FILES)}.")
    _refuse_namesakes(files)
    _refuse_namesakes([path for path in paths if path.stem in by_stem])
    found = {row: by_stem[path.stem] for row, path in enumerate(paths) if path.stem in by_stem}
    return {row: _voc(path) if path.suffix == ".xml" else path for row, path in found.items()}


def _refuse_namesakes(files: Sequence[Path]) -> None:
    """Which annotation is whose would be a guess."""
    seen: dict[str, Path] = {}
    for path in files:
        if seen.setdefault(path.stem, path) is not path:
            raise UserError(f"{path} and {seen[path.stem]} have one name, so that annotations cannot be told apart.")


def _test_paths(dataset: Dataset, data: Data, data_root: Path) -> list[Path]:
    """The file of every test picture, in the order of the store."""
    raw = dataset.find(data_root)
    split = raw.splits["test"] if raw else None
    if not isinstance(split, ImageFiles):
        raise UserError(f"{dataset.key} is not stored as image files: annotations cannot be matched to its pictures.")
    skipped = {entry["path"] for entry in data.store.report["skipped"]}
    paths = [path for path in split.paths if str(path) not in skipped]
    if len(paths) != len(data.test):
        raise UserError(
            f"{dataset.key} has {len(paths)} test files, but {len(data.test)} decoded ones: prepare it anew."
        )
    return paths


def _voc(path: Path) -> list[Box]:
    try:
        root = ElementTree.parse(path).getroot()
        width, height = (float(root.findtext(f"size/{name}", "")) for name in ("width", "height"))
        boxes = [
            tuple(float(box.findtext(name, "")) for name in ("ymin", "xmin", "ymax", "xmax"))
            for box in root.iterfind("object/bndbox")
        ]
        return [(top / height, left / width, bottom / height, right / width) for top, left, bottom, right in boxes]
    except (OSError, ValueError, ZeroDivisionError, ElementTree.ParseError) as error:
        raise UserError(f"{path} cannot be read as a VOC annotation ({error}).") from error


def _cub(folder: Path, paths: Sequence[Path]) -> dict[int, Annotation]:
    """CUB's boxes are in pixels of the original files, whose sizes the files themselves say."""
    names, boxes = ([line.split() for line in (folder / name).read_text().splitlines()] for name in CUB_FILES)
    try:
        by_number = {number: tuple(map(float, numbers)) for number, *numbers in boxes}
        by_stem = {Path(name).stem: by_number[number] for number, name in names}
        found: dict[int, Annotation] = {}
        for row, path in enumerate(paths):
            if path.stem not in by_stem:
                continue
            left, top, wide, high = by_stem[path.stem]
            with Image.open(path) as image:
                width, height = image.size
            found[row] = [(top / height, left / width, (top + high) / height, (left + wide) / width)]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{folder} cannot be read as CUB's boxes ({error}).") from error
    return found


def _of_trimap(path: Path) -> NDArray[np.bool_]:
    try:
        with Image.open(path) as image:
            return np.asarray(image) != BACKGROUND
    except (OSError, UnidentifiedImageError) as error:
        raise UserError(f"{path} cannot be read as a trimap ({error}).") from error
