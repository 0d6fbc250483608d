"""The protocol of one run as typed, frozen dataclasses; config.yaml and preset/*.yaml hold the values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from bench.api import Projector, Range
from bench.augment.pipeline import Augmentation

PROTOCOL_VERSION = "1"
"""Version of docs/protocol.md: raised when the rules change, part of every run id."""


@dataclass(frozen=True)
class Backbone:
    name: Literal["resnet18", "resnet50", "slim"]
    width: Annotated[int, Range(minimum=1)] | None
    """Channels of the first stage; None: the network's own (64, slim 32)."""


@dataclass(frozen=True)
class Pretraining:
    fraction: Annotated[float, Range(above=0, maximum=1)] = 1.0
    """Share of every class's training images that pretraining sees (bench.data.stratified_rows); probes see all."""


@dataclass(frozen=True)
class Optimizer:
    name: Literal["lars", "sgd", "adamw"]
    lr: Annotated[float, Range(minimum=0)]
    """Base learning rate; for lars and sgd it belongs to a batch of 256 and is scaled by batch_size / 256."""
    weight_decay: Annotated[float, Range(minimum=0)]
    """Not applied to biases and normalisation parameters."""
    momentum: Annotated[float, Range(minimum=0, below=1)]
    """Of lars and sgd; adamw takes betas 0.9 and 0.999."""
    trust: Annotated[float, Range(above=0)]
    """Of lars: coefficient eta of |weights| / |gradient|. Official codes 0.001; solo-learn 0.02 with clip."""
    clip: bool
    """Of lars: take eta |weights| / |gradient| itself as a layer's rate, and lr as its limit (LARC, solo-learn)."""
    warmup_fraction: Annotated[float, Range(minimum=0, maximum=1)]
    """Part of all steps in which the learning rate rises linearly from 0; cosine to 0 afterwards."""


@dataclass(frozen=True)
class Evaluation:
    neighbours: Annotated[int, Range(minimum=1)]
    temperature: Annotated[float, Range(above=0)]
    """Of the weights exp(similarity / temperature) of the nearest neighbours."""
    curve_points: Annotated[int, Range(minimum=0)]
    """How often kNN on validation images is measured during training (for the learning curve only)."""
    test: bool
    """Whether the test split is scored; false while choices are being made (`bench tune`)."""


@dataclass(frozen=True)
class SeedAxes:
    """A fixed seed for one axis of randomness; None follows the run's own seed."""

    init: int | None
    order: int | None
    views: int | None
    probe: int | None


@dataclass(frozen=True)
class Budget:
    """Fills epochs and image_size where they are null, stretches epochs; what follows is in the id, not the budget."""

    images: Annotated[int, Range(minimum=1)] | None
    """Pictures seen in pretraining, over all epochs."""
    largest_image: Annotated[int, Range(minimum=8)] | None
    """Pixels; cap on the dataset's own image size."""
    length: Annotated[float, Range(above=0)]
    """Times the epochs, whether set or filled in: half or twice as long as any preset."""


@dataclass(frozen=True)
class Protocol:
    backbone: Backbone
    projector: Projector
    image_size: Annotated[int, Range(minimum=8)]
    """Side of the square views and evaluation pictures in pixels."""
    epochs: Annotated[int, Range(minimum=1)]
    batch_size: Annotated[int, Range(minimum=2)]
    """Images per optimiser step, over all processes."""
    accumulate: Annotated[int, Range(minimum=1)]
    """Parts in which a batch goes through the network. The objective sees each part alone: only a mean over
    images (supervised) is reproduced; every objective over the batch (SMI, Barlow Twins, ...) becomes that of
    batch_size / accumulate, as does batch normalisation."""
    optimizer: Optimizer
    augment: Augmentation
    evaluate: Evaluation
    precision: Literal["float32", "bfloat16"]
    """Arithmetic of the networks (autocast); objectives are never below float32."""
    seeds: SeedAxes
    data: Pretraining = Pretraining()
