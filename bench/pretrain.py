"""The pretraining loop: indices, views, loss, backward, step. Repeats bit for bit after an interruption."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from bench import backbones, discover, distributed, optim
from bench.api import Context, Method
from bench.batches import Batches
from bench.context import context_of
from bench.data import Data, stratified_rows
from bench.errors import UserError
from bench.graphs import EncoderGraphs
from bench.hardware import peak_memory_mib
from bench.interrupt import Interrupted
from bench.order import Order
from bench.pace import Pace
from bench.seeds import derive
from bench.spec import RunSpec


@dataclass
class Progress:
    """Where a run stands: `step` optimiser steps are done; `rows` are metrics.csv; `sums` are the current epoch's, of
    this process's images."""

    step: int = 0
    rows: list[dict[str, Any]] = field(default_factory=list)
    sums: dict[str, Tensor] = field(default_factory=dict)
    seconds: float = 0.0
    epoch_seconds: float = 0.0
    first_bad_step: int | None = None


class Trainer:
    """A method, its optimiser and its data; `train` runs it to the end or to the first non-finite loss.

    With several processes all call the same functions; each takes its images of every batch, and their gradients are
    averaged. A batch and its views are drawn whole everywhere, so that they are those of one process.
    """

    def __init__(self, spec: RunSpec, data: Data, device: torch.device) -> None:
        self.spec, self.data, self.device = spec, data, device
        protocol = spec.protocol
        labels, seed = data.train.labels.cpu().numpy(), derive(spec.axis_seed("order"), "subset")
        rows = torch.from_numpy(stratified_rows(labels, protocol.data.fraction, seed))
        context = context_of(spec, method_class(spec), len(rows))
        self.steps_per_epoch, self.total_steps = context.steps_per_epoch, context.total_steps
        order = Order(rows, spec.axis_seed("order"), protocol.batch_size, self.steps_per_epoch)
        self.batches = Batches(spec, data, order, self.total_steps, device)
        method = build_method(spec, context)
        if distributed.size() > 1 and device.type == "cuda":
            method = nn.SyncBatchNorm.convert_sync_batchnorm(method)  # type: ignore[no-untyped-call]
        self.method = method.to(device).to(memory_format=torch.channels_last)
        self._parallel = distributed.parallel(self.method) if distributed.size() > 1 and method.trains else None
        self._encoder_graphs = EncoderGraphs(self.method.encoder) if self._may_replay() else None
        self.optimizer = optim.build(self.method, protocol.optimizer, protocol.batch_size, self.method.constant_rate)
        self.progress = Progress()
        self._bad_step = torch.full((), -1, dtype=torch.int64, device=device)

    def train(
        self,
        probe: Callable[[], Mapping[str, float | None]],
        on_epoch: Callable[[], None],
        checkpoint: Callable[[], None],
        checkpoint_seconds: float,
    ) -> Progress:
        """Run from where `progress` stands. `probe` gives the row's columns at the epochs of the learning curve,
        in process 0; `on_epoch` is called after each epoch, `checkpoint` every `checkpoint_seconds`.

        Raises Interrupted, after a `checkpoint`, when bench.interrupt was asked for it.
        """
        progress, pace = self.progress, Pace(checkpoint_seconds)
        since = time.perf_counter()
        self.method.train()
        try:
            while progress.step < self.total_steps and progress.first_bad_step is None:
                self._step()
                ends_epoch = progress.step % self.steps_per_epoch == 0
                due, stop = pace.after_step()
                if not (ends_epoch or due or stop):
                    continue
                self._look_for_bad_step()  # waits for the device, so that the time below is the steps' own
                progress.seconds += time.perf_counter() - since
                progress.epoch_seconds += time.perf_counter() - since
                if progress.first_bad_step is None:
                    if ends_epoch:
                        self._close_epoch(probe)
                        on_epoch()
                    if due or stop:
                        checkpoint()
                        pace.saved()
                    if stop:
                        raise Interrupted
                since = time.perf_counter()
        finally:
            self.batches.end_ahead()
            self.run_without_graphs()  # classifiers may want the memory
        return progress

    def state(self) -> dict[str, Any]:
        """Everything that the rest of the run depends on, in every process; all must call it."""
        return {
            "method": self.method.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "progress": {**vars(self.progress), "sums": self._gathered_sums()},
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Continue from a `state`."""
        self.method.load_state_dict(state["method"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.progress = Progress(**state["progress"])
        own = {name: values.flatten()[distributed.rank()] for name, values in self.progress.sums.items()}
        self.progress.sums = {name: value.to(self.device) for name, value in own.items()}
        self.batches.end_ahead()

    @contextmanager
    def forward_pass(self) -> Iterator[None]:
        """Around the method's forward pass in a step: the run's precision and, on a GPU, graphs of the encoder."""
        lowered = self.spec.protocol.precision == "bfloat16"
        with torch.autocast(self.device.type, dtype=torch.bfloat16, enabled=lowered):
            if self._encoder_graphs is not None:
                self._encoder_graphs.begin_step()
            yield

    def run_without_graphs(self) -> None:
        """From now on every operation is launched by itself, so that it can be counted."""
        if self._encoder_graphs is not None:
            self._encoder_graphs.release()
        self._encoder_graphs, self.batches.replayed = None, []

    def peak_memory_mib(self) -> float:
        """Peak since the last reset (see bench.hardware), with what graphs work in."""
        hidden = sum(view.captured.hidden_bytes for view in self.batches.replayed)
        if self._encoder_graphs is not None:
            hidden += self._encoder_graphs.captured.hidden_bytes
        return peak_memory_mib(self.device) + hidden / 2**20

    def measure_step(self, count: int = 1) -> None:
        """`count` steps as in `train`, to measure their cost; waits until the device is done."""
        self.method.train()
        for _ in range(count):
            self._step()
        self._look_for_bad_step()

    def _step(self) -> None:
        protocol, progress = self.spec.protocol, self.progress
        # What a method draws itself (dropout, noise) must not depend on what this process ran before.
        process = [distributed.rank()] if distributed.rank() else []
        torch.manual_seed(derive(self.spec.axis_seed("views"), "method", progress.step, *process))
        peak = optim.peak_lr(protocol.optimizer, protocol.batch_size)
        rate = optim.learning_rate(peak, progress.step, self.total_steps, protocol.optimizer.warmup_fraction)
        optim.set_learning_rate(self.optimizer, rate, peak)
        for part, (rows, views) in enumerate(self.batches.of_step(progress.step), start=1):
            last = part == protocol.accumulate
            with self._parallel.no_sync() if self._parallel and not last else nullcontext():
                self._accumulate(rows, views)
        if self.method.trains:
            self.optimizer.step()
            self.optimizer.zero_grad(set_to_none=True)
            self.method.after_step((progress.step + 1) / self.total_steps)
        progress.step += 1

    def _may_replay(self) -> bool:
        """Whether CUDA graphs can stand for the encoder: on one GPU, with one backward pass per step."""
        alone = self.spec.world_size * self.spec.protocol.accumulate == 1
        return self.device.type == "cuda" and alone and self.method.trains and self.method.replays

    def _accumulate(self, rows: Tensor, views: Sequence[Tensor]) -> None:
        """Forward and backward of this process's images of one part of the batch."""
        share = len(rows) * self.spec.world_size / self.spec.protocol.batch_size
        labels = self.data.train.labels[rows] if self.method.needs_labels else None
        with torch.set_grad_enabled(self.method.trains), self.forward_pass():
            loss, terms = (self._parallel or self.method)(views, rows, labels)
        if self.method.trains:
            (loss if share == 1 else loss * share).backward()
        loss = loss.detach()
        bad = ~torch.isfinite(loss) & (self._bad_step < 0)
        self._bad_step = torch.where(bad, self.progress.step, self._bad_step)
        for name, value in {"loss": loss, **terms}.items():
            if name not in self.progress.sums:
                self.progress.sums[name] = torch.zeros((), device=self.device)
            self.progress.sums[name] = self.progress.sums[name] + (value if share == 1 else share * value)

    def _gathered_sums(self) -> dict[str, Tensor]:
        """The epoch's sums so far, each (processes,) on the CPU."""
        sums = self.progress.sums
        gathered = distributed.gather(torch.stack(list(sums.values()))) if sums else torch.empty(0, 0)
        return dict(zip(sums, gathered.T.contiguous().unbind(), strict=True))

    def _close_epoch(self, probe: Callable[[], Mapping[str, float | None]]) -> None:
        """Turn the epoch's sums into a row of metrics, the mean over processes."""
        progress = self.progress
        epoch = progress.step // self.steps_per_epoch
        means = {name: (sums.mean() / self.steps_per_epoch).item() for name, sums in self._gathered_sums().items()}
        images = self.steps_per_epoch * self.spec.protocol.batch_size
        row = {
            "epoch": epoch,
            "step": progress.step,
            "loss": means.pop("loss"),
            "learning_rate": self.optimizer.param_groups[0]["lr"],
            "images_per_second": images / progress.epoch_seconds,
            "memory_mib": self.peak_memory_mib(),
            **(probe() if self._on_curve(epoch) and distributed.leads() else {}),
            **means,
        }
        progress.rows.append(row)
        progress.sums, progress.epoch_seconds = {}, 0.0
        self.method.train()
        if self.device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(self.device)  # the next epoch's is that of its steps alone

    def _on_curve(self, epoch: int) -> bool:
        """Whether the learning curve has a point at the end of this epoch: evenly spaced, the last one included."""
        points, epochs = self.spec.protocol.evaluate.curve_points, self.total_steps // self.steps_per_epoch
        return points * epoch // epochs > points * (epoch - 1) // epochs

    def _look_for_bad_step(self) -> None:
        """Wait for the device and note the first step whose loss is not finite, or cannot be by the state it meets, in
        any process."""
        step = int(self._bad_step.item())
        statistics = [value for value in self.method.encoder.buffers() if value.is_floating_point()]
        state = [*self.method.parameters(), *statistics]
        if step < 0 and not torch.stack(torch._foreach_norm(state)).isfinite().all():
            step = self.progress.step
        bad = [value for value in distributed.gather(torch.tensor(step)).tolist() if value >= 0]
        self.progress.first_bad_step = min(bad, default=None)


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
