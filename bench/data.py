"""A decoded dataset on the device, split into training, validation and test pictures."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench import ahead
from bench.api import Dataset, Split
from bench.datasets._store import Store
from bench.seeds import derive

VALIDATION_FRACTION = 0.1
LARGEST_NATIVE = 128
"""Pixels; of a dataset that does not say at which size it is used."""
RESIDENT_SHARE = 0.5
"""Of a GPU's free memory, that a dataset may take to live there."""
VALIDATION_SEED = derive(0, "validation split")


@dataclass(frozen=True)
class Images:
    """Some pictures of a split: canvases stay memory-mapped on the CPU and live on a GPU whole, where they fit."""

    split: Split
    indices: np.ndarray
    resident: Tensor | None
    """Canvases (n, 3, H, W) uint8 on the GPU; None on the CPU, and where they do not fit."""
    sizes: Tensor
    labels: Tensor
    device: torch.device

    @staticmethod
    def of(split: Split, indices: np.ndarray, device: torch.device, resides: bool) -> Images:
        resident = torch.from_numpy(split.images[indices]).to(device) if resides else None
        sizes = torch.from_numpy(split.sizes[indices].astype(np.int64)).to(device)
        labels = torch.from_numpy(split.labels[indices].astype(np.int64)).to(device)
        return Images(split, indices, resident, sizes, labels, device)

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def come_ahead(self) -> bool:
        """Whether other processes make batches ready, since they take time: pictures that are decoded from their
        files, and those for which a GPU has no room. Such are looked up by rows on the CPU."""
        mapped = isinstance(self.split.images, np.ndarray) and self.device.type == "cpu"
        return self.resident is None and not mapped

    def canvases(self, rows: Tensor) -> Tensor:
        """Canvases (B, 3, H, W) uint8 of the given rows (B,) on the device, at once; see `stream` for many."""
        if self.resident is not None:
            return self.resident[rows]
        return torch.from_numpy(self.split.images[self.indices[rows.cpu().numpy()]]).to(self.device)

    def stream(self, batches: Iterable[Tensor]) -> Iterator[Tensor]:
        """`canvases` of one batch of rows after the other, made ready ahead of their use where they `come_ahead`."""
        if not self.come_ahead:
            return map(self.canvases, batches)
        return ahead.stream(self.split.images, (self.indices[rows.cpu().numpy()] for rows in batches), self.device)


@dataclass(frozen=True)
class Data:
    """`train` is what pretraining sees, `validation` what every choice is made on, `test` what is reported once."""

    train: Images
    validation: Images
    test: Images
    store: Store
    mean: Tensor
    std: Tensor


def load(store: Store, device: torch.device) -> Data:
    """The store's pictures on `device`; no file is decoded."""
    train, test = store.split("train"), store.split("test")
    training, validation = cut_validation(train.labels)
    resides = _fits([train, test], device)
    return Data(
        train=Images.of(train, training, device, resides),
        validation=Images.of(train, validation, device, resides),
        test=Images.of(test, np.arange(len(test.labels)), device, resides),
        store=store,
        mean=torch.tensor(store.mean, dtype=torch.float32, device=device),
        std=torch.tensor(store.std, dtype=torch.float32, device=device),
    )


def _fits(splits: Sequence[Split], device: torch.device) -> bool:
    """Whether a dataset's decoded canvases live on a GPU."""
    if device.type == "cpu" or not all(isinstance(split.images, np.ndarray) for split in splits):
        return False
    torch.cuda.empty_cache()  # what torch keeps for later is free, too
    free, _ = torch.cuda.mem_get_info(device)
    return sum(math.prod(split.images.shape) for split in splits) <= RESIDENT_SHARE * free


def stratified_rows(labels: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """Sorted row numbers of a `fraction` in (0, 1] of every class of labels (N,), at least one picture of it.

    So that a small part is made up like the whole. Unlabelled pictures (-1) count as one class. At one seed a smaller
    fraction's pictures are among a larger one's.
    """
    generator = np.random.default_rng(seed)
    shuffled = (generator.permutation(np.flatnonzero(labels == label)) for label in np.unique(labels))
    return np.sort(np.concatenate([members[: _share(len(members), fraction)] for members in shuffled]))


def stratified_count(labels: np.ndarray, fraction: float) -> int:
    """How many rows `stratified_rows` gives at any seed."""
    return sum(_share(int(count), fraction) for count in np.unique(labels, return_counts=True)[1])


def _share(count: int, fraction: float) -> int:
    return max(1, round(fraction * count))


def native_image_size(dataset: Dataset, store: Store) -> int:
    """Side in pixels at which a dataset is used where nothing else is asked for."""
    declared = dataset.defaults.get("image_size")
    return declared or min(LARGEST_NATIVE, int(store.split("train").sizes.min(axis=1).max()))


def cut_validation(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sorted row numbers of the training and the validation part of labels (N,).

    Validation is a tenth of every class, at least one picture of a class that has two.

    The cut is the same for every seed and method. Unlabelled pictures (-1) all go to training.
    """
    generator = np.random.default_rng(VALIDATION_SEED)
    chosen = []
    for label in np.unique(labels[labels >= 0]):
        members = np.flatnonzero(labels == label)
        count = min(len(members) - 1, max(1, round(VALIDATION_FRACTION * len(members))))
        chosen.append(generator.permutation(members)[:count])
    validation = np.sort(np.concatenate(chosen))
    return np.setdiff1d(np.arange(len(labels)), validation), validation
