"""One run from its specification to result.json: prepare, pretrain, evaluate, record."""

from __future__ import annotations

import statistics
import time
import traceback
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save as serialise
from torch import Tensor

from bench import checkpoint, distributed, interrupt, tensorboard
from bench.analysis import representation
from bench.augment import pipeline
from bench.data import Data
from bench.errors import DataGone, less_memory
from bench.evaluate.features import evaluation_mode, extract
from bench.evaluate.knn import knn_predict
from bench.evaluate.linear import accuracy
from bench.evaluate.protocol import evaluate, labelled_features, part_features
from bench.hardware import environment, is_out_of_memory, reset_peak_memory
from bench.interrupt import Interrupted
from bench.lock import LockLost
from bench.pretrain import Progress, Trainer
from bench.seeds import derive
from bench.spec import RunSpec
from bench.store import RunFolder, digests, disk_trouble

BITS = (
    "bench",
    "git_commit",
    "git_dirty",
    "python",
    "torch",
    "numba",
    "hardware",
    "cpu_capability",
    "device",
    "threads",
)
"""Facts of environment.json on which the bits of a result hang."""
GEOMETRY_IMAGES = 2048
"""Training pictures on which the final encoder's geometry is measured (all, if there are fewer)."""
CURVE_IMAGES = 512
"""The same at the epochs of the learning curve."""


@dataclass(frozen=True)
class Settings:
    """How a run is carried out, none of which changes its result."""

    output: Path
    device: torch.device
    threads: int
    checkpoint_seconds: float
    tensorboard: bool = False


def execute(spec: RunSpec, data: Data, folder: RunFolder, settings: Settings) -> str:
    """Carry a run out under its folder's lock, which the caller holds; returns the status it ended with.

    With several processes all call this; process 0 evaluates and writes. A failure of the run itself is recorded with
    its traceback (`failed`, error.log) by the process in which it happened. What says nothing about the run reaches the
    caller and leaves it unfinished: an OSError of the output folder, LockLost, Interrupted, DataGone, and BrokenUp
    where another process is gone.
    """
    try:
        return _execute(spec, data, folder, settings)
    except (LockLost, Interrupted, DataGone):
        raise
    except Exception as error:
        if isinstance(error, OSError) and disk_trouble(error, settings.output) is not None:
            raise
        if distributed.is_lost_peer(error) and not is_out_of_memory(error):
            raise distributed.BrokenUp(str(error).partition("\n")[0]) from error
        folder.write_failure(_explain(error, spec), traceback.format_exc())
        return "failed"


def _execute(spec: RunSpec, data: Data, folder: RunFolder, settings: Settings) -> str:
    started = time.perf_counter()
    leads = distributed.leads()
    reset_peak_memory(settings.device)
    here = environment(settings.device, settings.threads)
    if leads:
        folder.write_config(spec.canonical())
        folder.write_environment(here)
    trainer = Trainer(spec, data, settings.device)
    state, problems = distributed.share(checkpoint.load(folder) if leads else (None, []))
    earlier, incidents = 0.0, []
    if state is not None:
        trainer.restore(state["trainer"])
        earlier, incidents = state["seconds"], state["incidents"]
        incidents += _moved(state.get("environment", here), here, trainer.progress.step)
    incidents += [f"{problem}, the run went on from step {trainer.progress.step}" for problem in problems]

    def elapsed() -> float:
        return earlier + time.perf_counter() - started

    def write_metrics() -> None:
        if leads:
            folder.write_metrics(trainer.progress.rows)

    def save_checkpoint() -> None:
        facts = {"seconds": elapsed(), "incidents": incidents, "environment": here}
        state = {"trainer": trainer.state(), **facts}
        if leads:
            checkpoint.save(folder, state)

    def close_epoch() -> None:
        write_metrics()
        if write_events is not None:
            write_events(trainer.progress.rows[-1])

    write_metrics()  # cut back to the checkpoint
    watched = leads and settings.tensorboard
    begin = trainer.progress.step, trainer.progress.rows
    with tensorboard.recorder(folder.events, *begin) if watched else nullcontext() as write_events:
        progress = trainer.train(
            probe=lambda: _curve_point(spec, data, trainer),
            on_epoch=close_epoch,
            checkpoint=save_checkpoint,
            checkpoint_seconds=settings.checkpoint_seconds,
        )
    if progress.first_bad_step is None:
        save_checkpoint()  # evaluation may be interrupted, too
    if not leads:
        return "completed" if progress.first_bad_step is None else "diverged"
    if progress.first_bad_step is not None:
        outcome = _diverged(progress, trainer)
    else:
        outcome = {"status": "completed", "reason": None, **_evaluate(spec, data, trainer, folder)}
        encoder = serialise(_portable(trainer.method.encoder.state_dict()))
        folder.write_binary(folder.encoder, lambda path: path.write_bytes(encoder))
    resolved = trainer.method.resolved()
    cost = _cost(trainer, elapsed())
    facts = {"resolved": resolved, "cost": cost, "incidents": incidents, "files": digests(folder.path)}
    folder.write_result({**outcome, "id": spec.id, **facts})
    checkpoint.remove(folder)
    return str(outcome["status"])


def _moved(before: Mapping[str, Any], now: Mapping[str, Any], step: int) -> list[str]:
    """What is another than at the checkpoint with which the run goes on, and can change the last bits of its result."""
    old = {name: before.get(name) for name in BITS}  # an earlier version may not have noted all
    return [f"{name} {old[name]} became {now[name]} at step {step}" for name in BITS if old[name] != now[name]]


def _diverged(progress: Progress, trainer: Trainer) -> dict[str, Any]:
    step = progress.first_bad_step
    assert step is not None
    epoch = step // trainer.steps_per_epoch + 1
    return {"status": "diverged", "reason": f"the loss or the weights were not finite at step {step} (epoch {epoch})"}


def _curve_point(spec: RunSpec, data: Data, trainer: Trainer) -> dict[str, float | None]:
    """Columns of the learning curve: kNN accuracy on validation pictures, and the geometry so far."""
    shape = geometry(trainer, CURVE_IMAGES)
    knn = _validation_knn(spec, data, trainer)
    return {"knn_validation": knn, **{f"geometry.{name}": value for name, value in shape.items()}}


def _validation_knn(spec: RunSpec, data: Data, trainer: Trainer) -> float:
    """Accuracy on validation pictures."""
    wanted, encoder = spec.protocol.evaluate, trainer.method.encoder
    size, precision = spec.protocol.image_size, spec.protocol.precision
    train, validation = (part_features(encoder, data, part, size, precision) for part in (data.train, data.validation))
    predictions = knn_predict(*train, validation.features, spec.dataset.classes, wanted.neighbours, wanted.temperature)
    return accuracy(predictions, validation.labels)


def _evaluate(spec: RunSpec, data: Data, trainer: Trainer, folder: RunFolder) -> dict[str, Any]:
    """Scores and geometry of the final encoder; test predictions and labels, by picture, go to predictions.npz.

    With evaluate.test=false no number of the test split comes into being, and there are no predictions.
    Raises Interrupted, between its parts, when bench.interrupt was asked for it.
    """
    protocol, encoder = spec.protocol, trainer.method.encoder
    wanted = protocol.evaluate
    seen = data if wanted.test else replace(data, test=data.validation)
    _stop_if_asked()
    parts = labelled_features(encoder, seen, protocol.image_size, protocol.precision)
    _stop_if_asked()
    evaluation = evaluate(parts, spec.dataset.classes, wanted.neighbours, wanted.temperature)
    scores = evaluation.scores
    if wanted.test:
        labels = parts.test.labels.cpu().numpy().astype(evaluation.predictions["linear"].dtype)
        arrays = {**evaluation.predictions, "labels": labels}
        folder.write_binary(folder.predictions, lambda path: _save_arrays(path, arrays))
    else:
        scores = {name: score for name, score in scores.items() if name.endswith("_validation")}
    _stop_if_asked()
    shape = geometry(trainer, GEOMETRY_IMAGES)
    supervised = trainer.method.needs_labels  # class means may span few dimensions: that is no collapse
    collapsed = trainer.method.trains and not supervised
    collapsed &= representation.is_collapsed(shape["effective_rank_embedding"], shape["negative_positives"])
    return {"collapsed": collapsed, "scores": scores, "probe": evaluation.probe, "geometry": shape}


def _stop_if_asked() -> None:
    if interrupt.requested():
        raise Interrupted


@torch.no_grad()
def geometry(trainer: Trainer, images: int) -> dict[str, Any]:
    """Effective rank of features and embeddings of so many training pictures; how their views align, spread and repeat.

    In float32 whatever the run's precision: the rounding of bfloat16 makes a collapsed embedding look rich.
    """
    method, data, spec = trainer.method, trainer.data, trainer.spec
    size = spec.protocol.image_size
    generator = torch.Generator().manual_seed(derive(spec.axis_seed("probe"), "geometry"))
    rows = torch.randperm(len(data.train), generator=generator)[:images].to(data.train.device)
    features = extract(method.encoder, data.train, size, data.mean, data.std, "float32", rows)
    with evaluation_mode(method):
        embeddings = method.embed(features)
        parts = torch.split(rows, 512)
        streamed = zip(parts, data.train.stream(parts), strict=True)
        views = zip(*(_view_features(spec, data, trainer, *part) for part in streamed), strict=True)
        first, second = (torch.cat(list(view)) for view in views)
        negative = representation.negative_positives(method.embed(first), method.embed(second))
    return {
        "effective_rank": representation.effective_rank(features),
        "effective_rank_embedding": representation.effective_rank(embeddings),
        "alignment": representation.alignment(first, second),
        "uniformity": representation.uniformity(first),
        "redundancy": representation.redundancy(first, second),
        "negative_positives": negative,
    }


def _view_features(spec: RunSpec, data: Data, trainer: Trainer, rows: Tensor, canvases: Tensor) -> list[Tensor]:
    """Features (n, d) of the two large views of the pictures `rows`, drawn from the `probe` axis."""
    seed, first = spec.axis_seed("probe"), int(rows[0])
    parameters = [
        pipeline.draw(spec.protocol.augment, view, data.train.sizes[rows], derive(seed, "geometry", first, view))
        for view in range(pipeline.LARGE_VIEWS)
    ]
    return [trainer.method.encoder(view) for view in trainer.batches.views(canvases, parameters)]


def _cost(trainer: Trainer, seconds: float) -> dict[str, float | int | None]:
    """Seconds over all attempts at this run; images/s is the median over epochs but the first, which warms up, and
    memory their highest: in the first a GPU also tries out which convolutions are fastest."""
    rows = trainer.progress.rows[1:] or trainer.progress.rows
    rates = [row["images_per_second"] for row in rows]
    method = trainer.method
    return {
        "seconds": seconds,
        "seconds_pretrain": trainer.progress.seconds,
        "images_per_second": statistics.median(rates) if rates else None,
        "peak_memory_mib": max((row["memory_mib"] for row in rows), default=None),
        "parameters_encoder": sum(p.numel() for p in method.encoder.parameters()),
        "parameters_trained": sum(p.numel() for p in method.parameters() if p.requires_grad) if method.trains else 0,
    }


def _portable(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights as torchvision's ResNet names them, contiguous, on the CPU."""
    return {name: value.detach().cpu().contiguous() for name, value in state.items()}


def _save_arrays(path: Path, arrays: dict[str, np.ndarray]) -> None:
    with open(path, "wb") as handle:
        np.savez_compressed(handle, allow_pickle=False, **arrays)


def _explain(error: Exception, spec: RunSpec) -> str:
    if is_out_of_memory(error):
        batch, shares = spec.protocol.batch_size, spec.world_size * spec.protocol.accumulate
        return f"out of memory at batch_size={batch}; {less_memory(batch, shares)}"
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
