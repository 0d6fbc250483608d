"""How a step's time and memory grow with resolution, batch and width, and a fitted model of both."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from tqdm import tqdm

from bench.backbones import LAYOUTS, stem
from bench.cost.clock import take_turns
from bench.cost.counters import gigaflops, peak_tensor_mib
from bench.cost.record import Row
from bench.data import Data
from bench.pretrain import Trainer
from bench.spec import RunSpec

ROUNDS = 7
SECONDS = 30.0
AXES = {"image_size": "image size (px)", "batch": "batch", "width": "width of the encoder", "projector": "width D"}
"""Columns of what is varied, and what figures call them."""
CAUSES = {
    "cpu_ms": ("constant", "gflop", "activations", "canvas_pixels", "parameters"),
    "wall_ms": ("constant", "gflop", "activations", "canvas_pixels", "parameters"),
    "memory_mib": ("constant", "activations", "parameters"),
}
"""What each quantity is a sum of, with coefficients that are not negative; all but gflop and constant in millions."""


@dataclass(frozen=True)
class Model:
    """`coefficients` per cause; `errors` are relative, each of a cell that was left out of its fit."""

    coefficients: dict[str, float]
    errors: tuple[float, ...]

    def predict(self, row: Row) -> float:
        return sum(value * _cause(row, cause) for cause, value in self.coefficients.items())

    @property
    def median_error(self) -> float:
        return statistics.median(map(abs, self.errors))

    @property
    def largest_error(self) -> float:
        return max(map(abs, self.errors))


def measure(spec: RunSpec, data: Data, device: torch.device) -> Iterator[Row]:
    """A row for each of the `settings`, 27 at most: times, memory and what they are sums of (CAUSES)."""
    for changed in tqdm(list(settings(spec)), desc="growth", unit="setting", disable=None, delay=2):
        trainer = Trainer(changed, data, device)
        times = take_turns({"step": trainer.measure_step}, device, ROUNDS, SECONDS)["step"]
        trainer.run_without_graphs()
        protocol = changed.protocol
        yield {
            "what": "growth",
            "method": spec.method.short_name,
            "image_size": protocol.image_size,
            "batch": protocol.batch_size,
            "width": protocol.backbone.width,
            "projector": protocol.projector.output,
            **times.numbers(),
            "gflop": gigaflops(trainer.measure_step),
            "memory_mib": peak_tensor_mib(trainer.measure_step, device),
            "activations": _activations(trainer) / 1e6,
            "canvas_pixels": protocol.batch_size * data.train.split.images[0].size / 1e6,
            "parameters": sum(p.numel() for p in trainer.method.parameters()) / 1e6,
        }


def settings(spec: RunSpec) -> Iterator[RunSpec]:
    """Runs around and below `spec`: image size, batch, widths of encoder and projector at 1, 1/2 and between of its.

    Of the 81 combinations an orthogonal array of 27 (Taguchi's L27): where every axis has three levels, every two axes
    have all pairs of them equally often, so that the mean at a level of one is over the same levels of any other.
    Image sizes for which the encoder has another stem than for `spec`'s are left out: steps would not grow along them.
    """
    protocol = spec.protocol
    layout = LAYOUTS[protocol.backbone.name]
    width = protocol.backbone.width or layout.width
    outputs = _between(protocol.projector.output, 1)
    sizes = [n for n in _between(protocol.image_size, 8) if stem(layout, n) == stem(layout, protocol.image_size)]
    for i, size in enumerate(sizes):
        for j, batch in enumerate(_between(protocol.batch_size, 4)):
            for k, channels in enumerate(_between(width, 1)):
                backbone = dataclasses.replace(protocol.backbone, width=channels)
                projector = dataclasses.replace(protocol.projector, output=outputs[(i + j + k) % len(outputs)])
                changed = dataclasses.replace(
                    protocol, image_size=size, batch_size=batch, backbone=backbone, projector=projector
                )
                yield dataclasses.replace(spec, protocol=changed)


def varied(rows: Sequence[Row]) -> list[str]:
    """The axes along which rows differ."""
    return [axis for axis in AXES if len({row[axis] for row in rows}) > 1]


def exponents(rows: Sequence[Row], quantity: str) -> dict[str, float]:
    """By axis that varies the power with which `quantity` grows along it: least squares on logarithms, all together."""
    axes = varied(rows)
    design = np.log([[row[axis] for axis in axes] for row in rows])
    values = np.log([row[quantity] for row in rows])
    slopes, *_ = np.linalg.lstsq(design - design.mean(0), values - values.mean(), rcond=None)
    return dict(zip(axes, slopes.tolist(), strict=True))


def curve(rows: Sequence[Row], quantity: str, axis: str) -> dict[int, float]:
    """By value of `axis` the geometric mean of `quantity` over the settings that have it."""
    values = sorted({row[axis] for row in rows})
    return {value: statistics.geometric_mean(row[quantity] for row in rows if row[axis] == value) for value in values}


def fit(rows: Sequence[Row], quantity: str) -> Model:
    """Non-negative least squares on relative errors; each error is that of the fit to all other rows."""
    errors = []
    for left_out, row in enumerate(rows):
        others = [*rows[:left_out], *rows[left_out + 1 :]]
        predicted = Model(_coefficients(others, quantity), ()).predict(row)
        errors.append(predicted / row[quantity] - 1)
    return Model(_coefficients(rows, quantity), tuple(errors))


def _coefficients(rows: Sequence[Row], quantity: str) -> dict[str, float]:
    from scipy.optimize import nnls

    causes = CAUSES[quantity]
    design = np.array([[_cause(row, cause) / row[quantity] for cause in causes] for row in rows])
    solution, _ = nnls(design, np.ones(len(rows)))
    return dict(zip(causes, solution.tolist(), strict=True))


def _cause(row: Row, cause: str) -> float:
    return 1.0 if cause == "constant" else float(row[cause])


def _between(largest: int, step: int) -> list[int]:
    """All of `largest`, three quarters and half of it, as multiples of `step`."""
    return sorted({max(step, round(share * largest / step) * step) for share in (0.5, 0.75, 1.0)}, reverse=True)


def _activations(trainer: Trainer) -> int:
    """Numbers that the layers of encoder and heads put out for a batch of two views."""
    total = 0

    def count(module: nn.Module, inputs: object, output: object) -> None:
        nonlocal total
        if isinstance(output, Tensor):
            total += output.numel()

    leaves = [part for part in trainer.method.modules() if not list(part.children())]
    hooks = [part.register_forward_hook(count) for part in leaves]
    trainer.measure_step()
    for hook in hooks:
        hook.remove()
    return total
