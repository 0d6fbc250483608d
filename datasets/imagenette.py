"""Imagenette: ten classes of ImageNet that are easily told apart."""

from __future__ import annotations

from typing import ClassVar

from bench.datasets._fastai import FastAiDataset


class Imagenette(FastAiDataset):
    """Version 2 (70 % train, 30 % val) as fast.ai publishes it."""

    citation = "Howard (2019), Imagenette, https://github.com/fastai/imagenette"
    licence = "non-commercial research (ImageNet terms)"
    name = "imagenette"
    stem = "imagenette2"
    wnids: ClassVar = {
        "n01440764": "tench",
        "n02102040": "English springer",
        "n02979186": "cassette player",
        "n03000684": "chain saw",
        "n03028079": "church",
        "n03394916": "French horn",
        "n03417042": "garbage truck",
        "n03425413": "gas pump",
        "n03445777": "golf ball",
        "n03888257": "parachute",
    }
    md5: ClassVar = {
        "160": "e793b78cc4c9e9a4ccc0c1155377a412",
        "320": "3df6f0d01a2c9592104656642f5e78a3",
        "full": "fe2fc210e6bb7c5664d602c3cd71e612",
    }
    digest_source = "torchvision.datasets.Imagenette"
