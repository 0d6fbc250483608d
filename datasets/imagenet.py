"""ImageNet-1k (ILSVRC 2012), or with `imagenet:100` the hundred of its classes called ImageNet-100."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

import numpy as np

from bench.api import Archive, Dataset, ImageFiles, RawData
from bench.datasets._imagefolder import read_splits
from bench.datasets._layout import unpacked
from bench.errors import UserError, suggest

CLASSES = {"": 1000, "100": 100}
IMAGENET_100 = """
    n01558993 n01692333 n01729322 n01735189 n01749939 n01773797 n01820546 n01855672 n01978455 n01980166 n01983481
    n02009229 n02018207 n02085620 n02086240 n02086910 n02087046 n02089867 n02089973 n02090622 n02091831 n02093428
    n02099849 n02100583 n02104029 n02105505 n02106550 n02107142 n02108089 n02109047 n02113799 n02113978 n02114855
    n02116738 n02119022 n02123045 n02138441 n02172182 n02231487 n02259212 n02326432 n02396427 n02483362 n02488291
    n02701002 n02788148 n02804414 n02859443 n02869837 n02877765 n02974003 n03017168 n03032252 n03062245 n03085013
    n03259280 n03379051 n03424325 n03492542 n03494278 n03530642 n03584829 n03594734 n03637318 n03642806 n03764736
    n03775546 n03777754 n03785016 n03787032 n03794056 n03837869 n03891251 n03903868 n03930630 n03947888 n04026417
    n04067472 n04099969 n04111531 n04127249 n04136333 n04229816 n04238763 n04336792 n04418357 n04429376 n04435653
    n04485082 n04493381 n04517823 n04589890 n04592741 n07714571 n07715103 n07753275 n07831146 n07836838 n13037406
    n13040303
"""
"""Tian et al. (2020), Contrastive Multiview Coding: imagenet100.txt of their repository HobbitLong/CMC."""


class ImageNet(Dataset):
    """Folders `imagenet/{train,val}/<wnid>/`, or for the hundred classes alone also `imagenet100/...`.

    Nobody may pass the pictures on, so that nothing is downloaded. Decoded they take about 470 GB (46 GB the hundred
    classes): `prepare --stream` keeps none of them.
    """

    citation = "Russakovsky et al. (2015), ImageNet Large Scale Visual Recognition Challenge, arXiv:1409.0575"
    licence = "non-commercial research (ImageNet terms)"
    defaults: ClassVar = {"image_size": 224}
    takes_argument = True

    def __init__(self, argument: str = "") -> None:
        if argument not in CLASSES:
            raise UserError(f"imagenet has no part '{argument}'.{suggest(argument, ['100'])}")
        super().__init__(argument)

    @property
    def key(self) -> str:
        return f"imagenet{self.argument}"

    @property
    def short_side(self) -> int:
        return 256

    def find(self, data_root: Path) -> RawData | None:
        folder = unpacked(data_root, self.key) or unpacked(data_root, "imagenet")
        if folder is None:
            return None
        for part in ("train", "val"):
            if not (folder / part).is_dir():
                raise UserError(f"{folder} has no folder '{part}'; expected is {folder}/{part}/<wnid>/<image>.")
        raw = read_splits({"train": folder / "train", "test": folder / "val"})
        if self.argument:
            raw = _chosen(raw)
        if len(raw.classes) != CLASSES[self.argument]:
            raise UserError(f"{folder} holds {len(raw.classes)} classes of {self.key}, not {CLASSES[self.argument]}.")
        return raw

    def archives(self) -> Sequence[Archive]:
        raise UserError(
            f"{self.key} cannot be downloaded without an account at image-net.org: put train/<wnid>/ and val/<wnid>/ "
            "into the folder imagenet of the data root."
        )


def _chosen(raw: RawData) -> RawData:
    """The classes of ImageNet-100 that are there, with their pictures."""
    chosen = [label for label, wnid in enumerate(raw.classes) if wnid in IMAGENET_100.split()]
    splits = {}
    for name, split in raw.splits.items():
        assert isinstance(split, ImageFiles)
        rows = np.flatnonzero(np.isin(split.labels, chosen)).tolist()
        labels = np.searchsorted(chosen, np.asarray(split.labels)[rows])
        splits[name] = ImageFiles([split.paths[row] for row in rows], labels.tolist())
    return RawData([raw.classes[label] for label in chosen], splits)
