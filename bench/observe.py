"""What is measured of a run's encoder: the points of its learning curve, then its scores and its geometry."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import numpy as np
import torch
from torch import Tensor

from bench import interrupt
from bench.analysis import representation
from bench.augment import pipeline
from bench.data import Images
from bench.evaluate.features import evaluation_mode, extract
from bench.evaluate.knn import knn_predict
from bench.evaluate.linear import Labelled, accuracy
from bench.evaluate.protocol import Parts, evaluate, part_features
from bench.interrupt import Interrupted
from bench.pretrain import Trainer
from bench.seeds import derive
from bench.store import RunFolder

GEOMETRY_IMAGES = 2048
"""Training pictures on which the final encoder's geometry is measured (all, if there are fewer)."""
CURVE_IMAGES = 512
"""The same at the epochs of the learning curve."""
BLOCK = 512
"""Pictures whose features are taken at a time, which the bits of a feature may hang on."""

T = TypeVar("T")


class Pictured(NamedTuple):
    """Features (n, d) float32 of n training pictures, and of two views of each."""

    pictures: Tensor
    first: Tensor
    second: Tensor

    def head(self, count: int) -> Pictured:
        """Those of the first `count` pictures."""
        return Pictured(*(features[:count] for features in self))


class Observer:
    """Measures the encoder of a `trainer` as it stands.

    The last point of the learning curve and the evaluation see the same encoder: features are taken once for both.
    """

    def __init__(self, trainer: Trainer) -> None:
        self._trainer = trainer
        self._spec, self._data = trainer.spec, trainer.data
        self._final: dict[str, Any] = {}

    def curve_point(self) -> dict[str, float | None]:
        """Columns of the learning curve: kNN accuracy on validation pictures, and the geometry so far."""
        shape = self._geometry(CURVE_IMAGES)
        return {
            "knn_validation": self._validation_knn(),
            **{f"geometry.{name}": value for name, value in shape.items()},
        }

    def evaluate(self, folder: RunFolder) -> dict[str, Any]:
        """Scores and geometry of the final encoder; test predictions and labels, by picture, go to predictions.npz.

        With evaluate.test=false no number of the test split comes into being, and there are no predictions.
        Raises Interrupted, between its parts, when bench.interrupt was asked for it.
        """
        wanted, data = self._spec.protocol.evaluate, self._data
        _stop_if_asked()
        train, validation = self._labelled("train", data.train), self._labelled("validation", data.validation)
        parts = Parts(train, validation, self._labelled("test", data.test) if wanted.test else validation)
        _stop_if_asked()
        evaluation = evaluate(parts, self._spec.dataset.classes, wanted.neighbours, wanted.temperature)
        scores = evaluation.scores
        if wanted.test:
            labels = parts.test.labels.cpu().numpy().astype(evaluation.predictions["linear"].dtype)
            arrays = {**evaluation.predictions, "labels": labels}
            folder.write_binary(folder.predictions, lambda path: _save_arrays(path, arrays))
        else:
            scores = {name: score for name, score in scores.items() if name.endswith("_validation")}
        _stop_if_asked()
        shape = self._geometry(GEOMETRY_IMAGES)
        method = self._trainer.method
        collapsed = method.trains and not method.needs_labels  # class means may span few dimensions: no collapse
        collapsed &= representation.is_collapsed(shape["effective_rank_embedding"], shape["negative_positives"])
        return {"collapsed": collapsed, "scores": scores, "probe": evaluation.probe, "geometry": shape}

    def _validation_knn(self) -> float:
        train = self._labelled("train", self._data.train)
        validation = self._labelled("validation", self._data.validation)
        wanted, classes = self._spec.protocol.evaluate, self._spec.dataset.classes
        predictions = knn_predict(*train, validation.features, classes, wanted.neighbours, wanted.temperature)
        return accuracy(predictions, validation.labels)

    def _labelled(self, name: str, part: Images) -> Labelled:
        encoder, protocol = self._trainer.method.encoder, self._spec.protocol
        size, precision = protocol.image_size, protocol.precision
        return self._kept_at_the_end(name, lambda: part_features(encoder, self._data, part, size, precision))

    def _geometry(self, images: int) -> dict[str, Any]:
        most = GEOMETRY_IMAGES if self._ended else images
        features = self._kept_at_the_end("geometry", lambda: pictured(self._trainer, most))
        return geometry(self._trainer, features.head(images))

    def _kept_at_the_end(self, name: str, take: Callable[[], T]) -> T:
        if not self._ended:  # while training goes on nobody needs them again
            return take()
        if name not in self._final:
            self._final[name] = take()
        found: T = self._final[name]
        return found

    @property
    def _ended(self) -> bool:
        return self._trainer.progress.step == self._trainer.total_steps


@torch.no_grad()
def pictured(trainer: Trainer, images: int) -> Pictured:
    """Features of so many training pictures, always the same, and of two views of each.

    In float32 whatever the run's precision: the rounding of bfloat16 makes a collapsed embedding look rich.
    """
    method, data, spec = trainer.method, trainer.data, trainer.spec
    size = spec.protocol.image_size
    generator = torch.Generator().manual_seed(derive(spec.axis_seed("probe"), "geometry"))
    rows = torch.randperm(len(data.train), generator=generator)[:images].to(data.train.device)
    features = extract(method.encoder, data.train, size, data.mean, data.std, "float32", rows, BLOCK)
    with evaluation_mode(method):
        parts = torch.split(rows, BLOCK)
        streamed = zip(parts, data.train.stream(parts), strict=True)
        views = zip(*(_view_features(trainer, *part) for part in streamed), strict=True)
        first, second = (torch.cat(list(view)) for view in views)
    return Pictured(features, first, second)


@torch.no_grad()
def geometry(trainer: Trainer, features: Pictured) -> dict[str, Any]:
    """Effective rank of features and of their embeddings; how the views align, spread and repeat."""
    method, (pictures, first, second) = trainer.method, features
    with evaluation_mode(method):
        embeddings = method.embed(pictures)
        negative = representation.negative_positives(method.embed(first), method.embed(second))
    return {
        "effective_rank": representation.effective_rank(pictures),
        "effective_rank_embedding": representation.effective_rank(embeddings),
        "alignment": representation.alignment(first, second),
        "uniformity": representation.uniformity(first),
        "redundancy": representation.redundancy(first, second),
        "negative_positives": negative,
    }


def _view_features(trainer: Trainer, rows: Tensor, canvases: Tensor) -> list[Tensor]:
    """Features (n, d) of the two large views of the pictures `rows`, drawn from the `probe` axis."""
    spec, sizes = trainer.spec, trainer.data.train.sizes[rows]
    seed, first = spec.axis_seed("probe"), int(rows[0])
    parameters = [
        pipeline.draw(spec.protocol.augment, view, sizes, derive(seed, "geometry", first, view))
        for view in range(pipeline.LARGE_VIEWS)
    ]
    return [trainer.method.encoder(view) for view in trainer.batches.views(canvases, parameters)]


def _stop_if_asked() -> None:
    if interrupt.requested():
        raise Interrupted


def _save_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with open(path, "wb") as handle:
        np.savez_compressed(handle, allow_pickle=False, **arrays)
