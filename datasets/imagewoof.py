"""Imagewoof: ten dog breeds of ImageNet, hard to tell apart."""

from __future__ import annotations

from typing import ClassVar

from bench.datasets._fastai import FastAiDataset


class Imagewoof(FastAiDataset):
    """Version 2 (70 % train, 30 % val) as fast.ai publishes it."""

    citation = "Howard (2019), Imagewoof, https://github.com/fastai/imagenette"
    licence = "non-commercial research (ImageNet terms)"
    name = "imagewoof"
    stem = "imagewoof2"
    wnids: ClassVar = {
        "n02086240": "Shih-Tzu",
        "n02087394": "Rhodesian ridgeback",
        "n02088364": "beagle",
        "n02089973": "English foxhound",
        "n02093754": "Border terrier",
        "n02096294": "Australian terrier",
        "n02099601": "golden retriever",
        "n02105641": "Old English sheepdog",
        "n02111889": "Samoyed",
        "n02115641": "dingo",
    }
    # fast.ai's own list is of an earlier upload. These come from the project whose digests for Imagenette, listed
    # beside them, are the same as torchvision's.
    md5: ClassVar = {
        "160": "3d200a7be99704a0d7509be2a9fbfe15",
        "320": "0f46d997ec2264e97609196c95897a44",
        "full": "9aafe18bcdb1632c4249a76c458465ba",
    }
    digest_source = "catalyst-team/catalyst, catalyst/contrib/datasets/imagewoof.py"
