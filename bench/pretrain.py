"""The pretraining loop: indices, views, loss, backward, step. Repeats bit for bit after an interruption."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from bench import backbones, discover, optim
from bench.api import Context, Method
from bench.augment import pipeline
from bench.context import context_of
from bench.data import Data, pretraining_rows
from bench.errors import UserError
from bench.hardware import peak_memory_mib
from bench.seeds import derive
from bench.spec import RunSpec


@dataclass
class Progress:
    """Where a run stands: `step` optimiser steps are done; `rows` are metrics.csv; `sums` are the current epoch's."""

    step: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    sums: dict[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    first_bad_step: int | None = None


class Trainer:
    """A method, its optimiser and its data; `train` runs it to the end or to the first non-finite loss."""

    def __init__(self, spec: RunSpec, data: Data, device: torch.device) -> None:
        self.spec, self.data, self.device = spec, data, device
        protocol = spec.protocol
        labels, seed = data.train.labels.cpu().numpy(), derive(spec.axis_seed("order"), "subset")
        self.rows = torch.from_numpy(pretraining_rows(labels, protocol.data.fraction, seed))
        context = context_of(spec, method_class(spec), len(self.rows))
        self.steps_per_epoch, self.total_steps = context.steps_per_epoch, context.total_steps
        method = build_method(spec, context)
        self.method = method.to(device).to(memory_format=torch.channels_last)
        self.optimizer = optim.build(self.method, protocol.optimizer, protocol.batch_size, self.method.constant_rate)
        self.progress = Progress()
        self._bad_step = torch.full((), -1, dtype=torch.int64, device=device)
        self._order: tuple[int, Tensor] | None = None

    def train(
        self,
        probe: Callable[[], float],
        on_epoch: Callable[[], None],
        checkpoint: Callable[[], None],
        checkpoint_seconds: float,
    ) -> Progress:
        """Run from where `progress` stands. `probe` gives validation kNN accuracy at the epochs of the learning curve;
        `on_epoch` is called after each epoch, `checkpoint` every `checkpoint_seconds`."""
        progress = self.progress
        since = saved = time.perf_counter()
        self.method.train()
        while progress.step < self.total_steps and progress.first_bad_step is None:
            self._step()
            ends_epoch = progress.step % self.steps_per_epoch == 0
            due = time.perf_counter() - saved >= checkpoint_seconds
            if not ends_epoch and not due:
                continue
            self._look_for_bad_step()  # waits for the device, so that the time below is the steps' own
            progress.seconds += time.perf_counter() - since
            progress.epoch_seconds += time.perf_counter() - since
            if progress.first_bad_step is None:
                if ends_epoch:
                    self._close_epoch(probe)
                    on_epoch()
                if due:
                    checkpoint()
                    saved = time.perf_counter()
            since = time.perf_counter()
        return progress

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on."""
        return {
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "progress": {**vars(self.progress), "sums": {k: v.clone() for k, v in self.progress.sums.items()}},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a `state`."""
        self.method.load_state_dict(state["method"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress = Progress(**state["progress"])
        self.progress.sums = {key: value.to(self.device) for key, value in self.progress.sums.items()}

    def views(self, rows: Tensor, parameters: Sequence[pipeline.Parameters]) -> list[Tensor]:
        """Augmented views (B, 3, S, S) of the training pictures `rows` (B,), channels last; local ones are smaller."""
        canvases, protocol = self.data.train.canvases(rows), self.spec.protocol
        views = []
        for view, drawn in enumerate(parameters):
            side = protocol.augment.side(view, protocol.image_size)
            views.append(pipeline.apply(canvases, drawn, side, self.data.mean, self.data.std))
        return views

    def measure_step(self, count: int = 1) -> None:
        """`count` steps as in `train`, to measure their cost; waits until the device is done."""
        self.method.train()
        for _ in range(count):
            self._step()
        self._look_for_bad_step()

    def _step(self) -> None:
        protocol, progress = self.spec.protocol, self.progress
        epoch, batch = divmod(progress.step, self.steps_per_epoch)
        # What a method draws itself (dropout, noise) must not depend on what this process ran before.
        torch.manual_seed(derive(self.spec.axis_seed("views"), "method", progress.step))
        peak = optim.peak_lr(protocol.optimizer, protocol.batch_size)
        rate = optim.learning_rate(peak, progress.step, self.total_steps, protocol.optimizer.warmup_fraction)
        optim.set_learning_rate(self.optimizer, rate, peak)
        rows = self._epoch_order(epoch)[batch * protocol.batch_size : (batch + 1) * protocol.batch_size]
        parts = rows.tensor_split(protocol.accumulate)
        parameters = self._draw(rows, epoch, batch)
        offset = 0
        for part in parts:
            self._accumulate(part, [p[offset : offset + len(part)] for p in parameters], len(part) / len(rows))
            offset += len(part)
        if self.method.trains:
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            self.method.after_step((progress.step + 1) / self.total_steps)
        progress.step += 1

    def _accumulate(self, rows: Tensor, parameters: Sequence[pipeline.Parameters], share: float) -> None:
        """Forward and backward of one part of the batch, which is `share` of it."""
        with torch.no_grad():
            views = self.views(rows, parameters)
        labels = self.data.train.labels[rows] if self.method.needs_labels else None
        with torch.set_grad_enabled(self.method.trains), self._autocast():
            loss, terms = self.method(views, rows, labels)
        if self.method.trains:
            (loss * share).backward()
        loss = loss.detach()
        bad = ~torch.isfinite(loss) & (self._bad_step < 0)
        self._bad_step = torch.where(bad, self.progress.step, self._bad_step)
        for name, value in {"loss": loss, **terms}.items():
            summed = self.progress.sums.get(name, torch.zeros((), device=self.device))
            self.progress.sums[name] = summed + share * value.detach()

    def _epoch_order(self, epoch: int) -> Tensor:
        if self._order is None or self._order[0] != epoch:
            generator = torch.Generator().manual_seed(derive(self.spec.axis_seed("order"), epoch))
            order = self.rows[torch.randperm(len(self.rows), generator=generator)]
            self._order = (epoch, order.to(self.device))
        return self._order[1]

    def _draw(self, rows: Tensor, epoch: int, batch: int) -> list[pipeline.Parameters]:
        """Augmentation parameters of the whole batch, one set per view, from (seed, epoch, step, view) alone."""
        sizes, seed = self.data.train.sizes[rows], self.spec.axis_seed("views")
        augment = self.spec.protocol.augment
        views = range(augment.views)
        return [pipeline.draw(augment, view, sizes, derive(seed, epoch, batch, view)) for view in views]

    def _autocast(self) -> torch.autocast:
        enabled = self.spec.protocol.precision == "bfloat16"
        return torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=enabled)

    def _close_epoch(self, probe: Callable[[], float]) -> None:
        """Turn the epoch's sums into a row of metrics."""
        progress = self.progress
        epoch = progress.step // self.steps_per_epoch
        means = {name: (value / self.steps_per_epoch).item() for name, value in progress.sums.items()}
        images = self.steps_per_epoch * self.spec.protocol.batch_size
        row = {
            "epoch": epoch,
            "step": progress.step,
            "loss": means.pop("loss"),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "images_per_second": images / progress.epoch_seconds,
            "memory_mib": peak_memory_mib(self.device),
            "knn_validation": probe() if self._on_curve(epoch) else None,
            **means,
        }
        progress.rows.append(row)
        progress.sums, progress.epoch_seconds = {}, 0.0
        self.method.train()

    def _on_curve(self, epoch: int) -> bool:
        """Whether the learning curve has a point at the end of this epoch: evenly spaced, the last one included."""
        points, epochs = self.spec.protocol.evaluate.curve_points, self.total_steps // self.steps_per_epoch
        return points * epoch // epochs > points * (epoch - 1) // epochs

    def _look_for_bad_step(self) -> None:
        """Wait for the device and note the first step whose loss is not finite, or cannot be by the state it meets."""
        step = int(self._bad_step.item())
        statistics = [value for value in self.method.encoder.buffers() if value.is_floating_point()]
        state = [*self.method.parameters(), *statistics]
        if step < 0 and not torch.stack(torch._foreach_norm(state)).isfinite().all():
            step = self.progress.step
        self.progress.first_bad_step = None if step < 0 else step


def method_class(spec: RunSpec) -> type[Method]:
    """The class of the run's method. Raises UserError when its file is not the one that the run was planned with."""
    digest = discover.source_digest(spec.method.name)
    if digest not in (None, spec.method.version):
        raise UserError(f"{spec.method.name} was edited after this run was planned; give the command again.")
    return discover.load("methods", spec.method.name)


def build_method(spec: RunSpec, context: Context) -> Method:
    """The run's method, its encoder and its heads initialised from their own streams of the `init` axis."""
    protocol, cls, seed = spec.protocol, method_class(spec), spec.axis_seed("init")
    backbone = protocol.backbone
    encoder = backbones.build(backbone.name, backbone.width, protocol.image_size, derive(seed, "encoder"))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, "heads"))
        return cls(encoder, context)
