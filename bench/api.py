"""The contracts between the harness and its plug-ins: `Method` (methods/*.py) and `Dataset` (datasets/*.py).

A plug-in file holds exactly one public subclass of one of these; its name on the command line is the file's name.
The first line of the file's docstring is its title in tables and lists.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Protocol

import numpy as np
from torch import Tensor, nn

from bench.errors import UserError


@dataclass(frozen=True)
class Range:
    """Bounds of a configuration field: `w: Annotated[float, Range(minimum=0)] = 10.0`.

    `above` and `below` exclude the bound itself. Choices are written as `Literal["match", "maxmin"]`.
    """

    minimum: float | None = None
    maximum: float | None = None
    above: float | None = None
    below: float | None = None

    def __contains__(self, value: float) -> bool:
        return (
            (self.minimum is None or value >= self.minimum)
            and (self.maximum is None or value <= self.maximum)
            and (self.above is None or value > self.above)
            and (self.below is None or value < self.below)
        )

    def __str__(self) -> str:
        bounds = {"at least": self.minimum, "above": self.above, "at most": self.maximum, "below": self.below}
        return " and ".join(f"{word} {bound:g}" for word, bound in bounds.items() if bound is not None)


@dataclass(frozen=True)
class Search:
    """Where `bench tune` looks for a field's value: `w: Annotated[float, Range(minimum=0), Search(1, 100)] = 10.0`.

    `scale` says in which variable the trials are spread evenly: the value's logarithm, the value itself, or for a
    momentum m the logarithm of 1 - m.
    """

    low: float
    high: float
    scale: Literal["log", "linear", "momentum"] = "log"


Terms = dict[str, Tensor]
"""Named scalars on the device: the parts of a loss and its diagnostics, averaged per epoch into metrics.csv."""


@dataclass(frozen=True)
class Projector:
    """Shape of the projection head, the same for every method of a comparison: `layers` linear layers in all."""

    hidden: Annotated[int, Range(minimum=1)]
    output: Annotated[int, Range(minimum=4)]
    layers: Annotated[int, Range(minimum=1)]


@dataclass(frozen=True)
class Context:
    """What a method is told about its run when it builds its heads."""

    config: Any
    """Instance of the method's own `Config` dataclass."""
    feature_dim: int
    """Width of the encoder's output."""
    projector: Projector
    num_classes: int
    """Number of classes; only a method with `needs_labels` may use it."""
    total_steps: int
    """Optimiser steps in the whole run."""
    steps_per_epoch: int
    batch_size: int
    """Images in one call of `loss`, over all processes."""
    accumulate: int = 1
    """Calls of `loss` per optimiser step."""

    @property
    def images_per_epoch(self) -> int:
        return self.steps_per_epoch * self.accumulate * self.batch_size


class Method(nn.Module, ABC):
    """A pretraining objective with its heads around a shared encoder.

    The encoder maps images (B, 3, S, S) to features (B, feature_dim); it arrives initialised and is trained in
    place. Everything that must survive a restart is a parameter or a buffer. `loss` runs on the device without
    reading a value back to the host.
    """

    citation: ClassVar[str]
    """Authors (year), title, arXiv number."""
    version: ClassVar[int] = 1
    """Raised whenever the mathematics change: part of the run id, so that old results are not taken for new ones."""
    needs_labels: ClassVar[bool] = False
    trains: ClassVar[bool] = True
    """False for an untrained reference: no optimiser step is taken."""
    replays: ClassVar[bool] = True
    """Whether CUDA graphs may stand for the encoder on a GPU (bench/graphs.py). False for a method that goes backward
    through it more than once per step, or gives it layers that draw at random or change what they do in Python."""
    multi_crop: ClassVar[bool] = False
    """Whether `loss` takes more than two views; the first two are the large ones."""
    constant_rate: ClassVar[tuple[str, ...]] = ()
    """Names of submodules whose learning rate stays at its peak instead of following the schedule."""
    requires: ClassVar[str] = ""
    """Command that installs the one package that the method needs beyond this project's own dependencies, its last word
    `package==version`; written in the plug-in's own file."""
    Config: ClassVar[type]
    """Frozen dataclass of hyperparameters (numbers, text, Literal choices, None), each with default and source."""

    def __init__(self, encoder: nn.Module, context: Context) -> None:
        super().__init__()
        self.encoder = encoder
        self.config = context.config

    @classmethod
    def check(cls, context: Context) -> None:
        """Raise UserError, before anything runs, for a configuration that cannot work in this run."""

    @abstractmethod
    def loss(self, views: Sequence[Tensor], indices: Tensor, labels: Tensor | None) -> tuple[Tensor, Terms]:
        """Scalar loss and its terms for views (B, 3, S, S) of the images `indices` (B,); `labels` (B,) if needed.

        With N processes each calls it with its share of the batch, B / N images in order of rank. The mean over
        processes of the loss, and of its gradient, is then that of one process with the whole batch.
        """

    def forward(self, views: Sequence[Tensor], indices: Tensor, labels: Tensor | None) -> tuple[Tensor, Terms]:
        loss, terms = self.loss(views, indices, labels)
        return loss, {name: value.detach() for name, value in terms.items()}

    def embed(self, features: Tensor) -> Tensor:
        """Embedding (B, D) that the objective sees for features (B, feature_dim); themselves where there is no head."""
        return features

    def after_step(self, progress: float) -> None:
        """Called after each optimiser step with progress in (0, 1]: EMA targets, queues, schedules."""

    def resolved(self) -> dict[str, float]:
        """Hyperparameters that follow from the run rather than from the configuration; recorded in result.json."""
        return {}


@dataclass(frozen=True)
class Archive:
    """A file to download: checked against `sha256` or `md5` before anything reads it."""

    url: str
    filename: str
    md5: str | None = None
    sha256: str | None = None
    digest_source: str = ""
    """Who published the digest. Empty with no digest: trusted on first use, announced and recorded."""
    folder: str = ""
    """Where it goes below the data root: for files of one dataset that have no folder in common."""
    entry: str = ""
    """The one thing in it that is wanted, as it is called below `folder`; the file itself if it is `filename`. Where it
    is there already nothing is fetched. Empty: all of its content, whatever is there."""


@dataclass(frozen=True)
class ImageFiles:
    """A split as image files on the disk, in a fixed order, with labels (N,)."""

    paths: Sequence[Path]
    labels: Sequence[int]


@dataclass(frozen=True)
class ImageArrays:
    """A split as an array (N, 3, H, W) uint8 with labels (N,); -1 marks an image without a label."""

    images: np.ndarray
    labels: np.ndarray


@dataclass(frozen=True)
class RawData:
    """What a dataset finds on the disk before decoding: class names and the splits `train` and `test`."""

    classes: Sequence[str]
    splits: Mapping[str, ImageFiles | ImageArrays]


class Dataset(ABC):
    """Where a dataset comes from and how its raw files are read; decoding and storing are shared (datasets/_store.py).

    `argument` is what follows the colon on the command line: `imagewoof:320`, `folder:PATH`; '' where none is given.
    Raises UserError for an argument it does not know, or any unless it `takes_argument`.
    """

    citation: ClassVar[str]
    licence: ClassVar[str]
    defaults: ClassVar[Mapping[str, Any]] = {}
    """Protocol fields that follow from the data itself, as dotted keys: {'image_size': 32, 'augment.flip': 0.0}.
    Without image_size it is the shorter side of the largest picture, 128 px at most."""
    takes_argument: ClassVar[bool] = False
    """Whether anything may follow the colon."""

    def __init__(self, argument: str = "") -> None:
        self.argument = argument
        if argument and not self.takes_argument:
            raise UserError(f"{self.key} takes no argument, but got '{argument}'.")

    @property
    @abstractmethod
    def key(self) -> str:
        """Name of the decoded store's folder, unique to the raw data and safe in a path, e.g. 'imagewoof-160'."""

    @property
    def label(self) -> str:
        """Name in run ids and tables; another fingerprint of the same label is another run all the same."""
        return self.key

    @property
    def short_side(self) -> int | None:
        """Length in pixels to which the shorter side is scaled when decoding files; None for arrays."""
        return None

    @abstractmethod
    def find(self, data_root: Path) -> RawData | None:
        """Raw data already under `data_root`, or None. Raises UserError when it is there but unusable."""

    def archives(self) -> Sequence[Archive]:
        """What to download, and unpack, under `data_root` when `find` returns None; empty where nothing can be."""
        return ()


class Canvases(Protocol):
    """What stands for an array (N, 3, H, W) uint8 of canvases: one of them, or an array of those of some rows (n,)."""

    @property
    def shape(self) -> tuple[int, ...]: ...

    def __getitem__(self, rows: Any, /) -> np.ndarray: ...


@dataclass(frozen=True)
class Split:
    """Images (N, 3, H, W) uint8, on canvases of which the picture fills the top left corner: memory-mapped, or
    decoded from their files as they are asked for (datasets/_streamed.py).

    `sizes` (N, 2) holds each picture's height and width in pixels; `labels` (N,) int64, -1 without a label.
    """

    images: Canvases
    sizes: np.ndarray
    labels: np.ndarray
