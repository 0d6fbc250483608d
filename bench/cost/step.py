"""A training step against the floor, the bare network on ready tensors, and where the difference goes."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from bench import checkpoint
from bench.api import Method
from bench.augment import pipeline
from bench.cost.clock import paired_ratio, repeated, take_turns, wait
from bench.cost.counters import gigaflops, peak_tensor_mib
from bench.cost.record import Row, described_by
from bench.data import Data
from bench.evaluate.protocol import Parts, evaluate, labelled_features
from bench.methods._momentum import Momentum
from bench.observe import GEOMETRY_IMAGES, geometry, pictured
from bench.pretrain import Trainer
from bench.spec import RunSpec
from bench.store import RunFolder

ROUNDS = 21
SECONDS = 60.0
"""Per method; three rounds at least."""
MATRIX = 2048
"""Side of the matrix product that stands for the machine's arithmetic peak."""
GPU_MATRIX = 8192
"""The same on a GPU, where a smaller product is over before the next one is launched."""


@dataclass(frozen=True)
class Ready:
    """A batch at every stage of a step, and gradients to send back from there."""

    rows: Tensor
    canvases: Tensor
    views: Sequence[Tensor]
    labels: Tensor | None
    feature_gradient: Tensor
    embedding_gradient: Tensor


def measure(spec: RunSpec, data: Data, device: torch.device) -> Iterator[Row]:
    """Rows of one run's step: `step` (the whole), `floor`, the stages between, and the arithmetic peak.

    floor: encoder and projection head forward, backward from a ready gradient, optimiser; on ready views; and the
    forward pass of a momentum target, where there is one. It is what a step cannot do without, whatever the objective.
    Stages: `gather` (pictures by index), `views` (with the gathering where CUDA graphs make them), `encoder` (forward
    and backward), `method` (encoder, heads, targets, objective: forward and backward, with what it does after a step)
    and `optimiser`. All take turns.
    """
    trainer = Trainer(spec, data, device)
    parts = stages(trainer) | {"step": trainer.measure_step}
    contenders = {name: repeated(call) for name, call in parts.items()} | {"step": trainer.measure_step}
    times = take_turns(contenders, device, ROUNDS, SECONDS)
    trainer.run_without_graphs()
    described = {"what": "step", **described_by(spec)}
    for name, own in times.items():
        counted = {}
        if name in ("floor", "step", "matmul"):
            counted = {"gflop": gigaflops(parts[name]), "memory_mib": peak_tensor_mib(parts[name], device)}
        yield {**described, "stage": name, **own.numbers(), **paired_ratio(own, times["floor"], device), **counted}


def measure_rest(spec: RunSpec, data: Data, device: torch.device) -> Iterator[Row]:
    """What comes beside the steps, each measured once: features, classifiers, a run's geometry, a checkpoint."""
    trainer = Trainer(spec, data, device)
    protocol, encoder = spec.protocol, trainer.method.encoder
    found: list[Parts] = []

    def features() -> None:
        found[:] = [labelled_features(encoder, data, protocol.image_size, protocol.precision)]

    def classifiers() -> None:
        evaluate(found[0], spec.dataset.classes, protocol.evaluate.neighbours, protocol.evaluate.temperature)

    with tempfile.TemporaryDirectory() as folder:
        run = RunFolder(Path(folder), spec.id)
        run.lock.acquire()
        trainer.measure_step()  # momentum buffers exist
        contenders = {
            "features": features,
            "classifiers": classifiers,
            "geometry": lambda: geometry(trainer, pictured(trainer, GEOMETRY_IMAGES)),
            "checkpoint": lambda: checkpoint.save(run, {"trainer": trainer.state(), "seconds": 0.0}),
        }
        for stage, contender in contenders.items():
            times = take_turns({stage: repeated(contender)}, device, rounds=1, seconds=0.0)[stage]
            yield {"what": "rest", "dataset": spec.dataset.key, "stage": stage, **times.numbers()}
        run.lock.release()


def trace(spec: RunSpec, data: Data, device: torch.device, path: Path) -> None:
    """Write a trace of five steps for chrome://tracing or ui.perfetto.dev: gaps between kernels, waits.

    Of a GPU's own work alone: recording the host's operations too slows the host until the GPU waits for it.
    """
    trainer = Trainer(spec, data, device)
    trainer.measure_step(2)
    wait(device)
    activity = torch.profiler.ProfilerActivity
    with torch.profiler.profile(activities=[activity.CUDA if device.type == "cuda" else activity.CPU]) as recorded:
        trainer.measure_step(5)
        wait(device)
    path.parent.mkdir(parents=True, exist_ok=True)
    recorded.export_chrome_trace(str(path))


def stages(trainer: Trainer) -> dict[str, Callable[[], object]]:
    """The stages of a step (see `measure`), each on what the one before gives, in the precision of the run."""
    data, device = trainer.data, trainer.device
    trainer.measure_step()  # the optimiser has its state
    batch = _ready(trainer)
    method, optimizer = trainer.method, trainer.optimizer
    large = batch.views[: pipeline.LARGE_VIEWS]
    targets = [module for module in method.modules() if isinstance(module, Momentum)]

    def views() -> None:
        if trainer.batches.replayed:
            for view, make in enumerate(trainer.batches.replayed):
                make(batch.rows, view)
        else:
            trainer.batches.views(batch.canvases, _drawn(trainer, batch.rows))

    def encoder() -> None:
        with trainer.forward_pass():
            features = [method.encoder(view) for view in large]
        torch.autograd.backward(features, [batch.feature_gradient] * len(features))
        _drop_gradients(method)

    def whole_method() -> None:
        with trainer.forward_pass():
            loss, _ = method(batch.views, batch.rows, batch.labels)
        loss.backward()
        method.after_step(0.5)
        _drop_gradients(method)

    def floor() -> None:
        with trainer.forward_pass():
            for target in targets:
                for view in large:
                    target(view)
            embeddings = [method.embed(method.encoder(view)) for view in large]
        torch.autograd.backward(embeddings, [batch.embedding_gradient.to(z.dtype) for z in embeddings])
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    gradients = {p: torch.full_like(p, 1e-6) for p in method.parameters() if p.requires_grad}

    def optimiser() -> None:
        for parameter, gradient in gradients.items():
            parameter.grad = gradient
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    side = MATRIX if device.type == "cpu" else GPU_MATRIX
    matrix = torch.randn(side, side, device=device)

    def matmul() -> None:
        with trainer.forward_pass():
            matrix @ matrix

    calls: dict[str, Callable[[], object]] = {
        "floor": floor,
        "gather": lambda: data.train.canvases(batch.rows),
        "views": views,
        "encoder": encoder,
        "method": whole_method,
        "optimiser": optimiser,
        "matmul": matmul,
    }
    if trainer.batches.replayed:
        del calls["gather"]  # part of the views
    return calls


def _ready(trainer: Trainer) -> Ready:
    data = trainer.data
    rows = torch.arange(trainer.spec.protocol.batch_size, device=data.train.device)
    canvases = data.train.canvases(rows)
    views = trainer.batches.views(canvases, _drawn(trainer, rows))
    with torch.no_grad(), trainer.forward_pass():
        features = trainer.method.encoder(views[0])
        embedding = trainer.method.embed(features)
    return Ready(
        rows=rows,
        canvases=canvases,
        views=views,
        labels=data.train.labels[rows] if trainer.method.needs_labels else None,
        feature_gradient=torch.full_like(features, 1e-3 / features.numel()),
        embedding_gradient=torch.full_like(embedding, 1e-3 / embedding.numel()),
    )


def _drawn(trainer: Trainer, rows: Tensor) -> list[pipeline.Parameters]:
    """Parameters of every view of the pictures `rows`."""
    augment, sizes = trainer.spec.protocol.augment, trainer.data.train.sizes[rows]
    return [pipeline.draw(augment, view, sizes, view) for view in range(augment.views)]


def _drop_gradients(method: Method) -> None:
    for parameter in method.parameters():
        parameter.grad = None
