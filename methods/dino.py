"""DINO: self-distillation with no labels, from a centred and sharpened momentum teacher."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench.api import Context, Method, Range, Search, Terms
from bench.methods._gather import gather
from bench.methods._momentum import Momentum
from bench.methods._prototypes import LARGE_VIEWS, Prototypes, entropy, swapped_prediction
from bench.methods._standardise import at_least_float32


@dataclass(frozen=True)
class Config:
    prototypes: Annotated[int, Range(minimum=2)] = 4096
    """Outputs of the head; solo-learn on CIFAR. Paper: 65536 on ImageNet."""
    batch_norm: bool = True
    """Batch normalisation in the head; Lightly for convolutional encoders. Official code and solo-learn: none."""
    momentum: Annotated[float, Range(minimum=0, below=1), Search(0.8, 0.9995, "momentum")] = 0.996
    """Of the teacher at the start; paper, section 3.1 (solo-learn on CIFAR: 0.9995). A run too short for it uses
    less; result.json has the value."""
    final_momentum: Annotated[float, Range(minimum=0, maximum=1)] = 1.0
    """Of the teacher at the end; paper, section 3.1."""
    student_temperature: Annotated[float, Range(above=0)] = 0.1
    """Paper, section 3.2."""
    teacher_temperature: Annotated[float, Range(above=0), Search(0.02, 0.1)] = 0.04
    """After the warm-up; official code's default, ResNet-50's too. Paper, section 3.2, and solo-learn: 0.07, at which
    a run of a few hundred steps stays near uniform outputs (measured on digits)."""
    first_teacher_temperature: Annotated[float, Range(above=0)] = 0.04
    """At the start of the warm-up; paper, section 3.2, and solo-learn."""
    temperature_warmup: Annotated[float, Range(minimum=0, maximum=1)] = 0.1
    """Part of the run in which the teacher's temperature rises linearly; paper, 30 of 300 epochs."""
    centre_momentum: Annotated[float, Range(minimum=0, below=1)] = 0.9
    """Of the centre; paper, appendix D."""


def objective(
    student: Sequence[Tensor],
    teacher: Sequence[Tensor],
    centre: Tensor,
    student_temperature: float,
    teacher_temperature: Tensor | float,
) -> tuple[Tensor, Terms]:
    """Mean over pairs of views of H(softmax((teacher - centre) / t), softmax(student / s)): paper, equations 1-3.

    Outputs (B, K) of the student for all views and of the teacher for the large ones, which come first; centre (K,).
    A teacher whose entropy reaches log K is uniform, one whose mean over the batch loses entropy uses few outputs:
    the two collapses that sharpening and centring prevent.
    """
    targets = [torch.softmax((output.detach() - centre) / teacher_temperature, dim=1) for output in teacher]
    return swapped_prediction(targets, student, student_temperature), {
        "teacher_entropy": entropy(targets[0]),
        "teacher_mean_entropy": entropy(targets[0].mean(0, keepdim=True)),
    }


class Head(nn.Module):
    """MLP with GELU to a bottleneck, L2 normalisation, cosines (B, K) with the prototypes: weight normalisation
    without a trained norm (paper, appendix C)."""

    def __init__(self, context: Context) -> None:
        super().__init__()
        shape, config = context.projector, context.config
        widths = [context.feature_dim, *[shape.hidden] * (shape.layers - 1)]
        layers: list[nn.Module] = []
        for width_in, width_out in itertools.pairwise(widths):
            layers.append(nn.Linear(width_in, width_out))
            if config.batch_norm:
                layers.append(nn.BatchNorm1d(width_out))
            layers.append(nn.GELU())
        layers.append(nn.Linear(widths[-1], shape.output))
        for layer in layers:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        self.mlp = nn.Sequential(*layers)
        self.prototypes = Prototypes(config.prototypes, shape.output, context)

    def bottleneck(self, features: Tensor) -> Tensor:
        """Unit rows (B, D)."""
        return F.normalize(at_least_float32(self.mlp(features)), dim=1)

    def forward(self, features: Tensor) -> Tensor:
        z = self.bottleneck(features)
        with torch.autocast(z.device.type, enabled=False):
            return z @ F.normalize(self.prototypes(), dim=1).T


class DINO(Method):
    """DINO on ResNets, with multi-crop where `augment.local_views` asks for it: the student sees all views, the
    teacher, an exponential moving average of encoder and head, the large ones. Each view is one forward pass, so that
    batch normalisation sees one view at a time; the official code has one pass per resolution."""

    citation = "Caron, Touvron, Misra, Jégou, Mairal, Bojanowski, Joulin (2021), DINO, arXiv:2104.14294"
    Config = Config
    multi_crop = True
    centre: Tensor
    teacher_temperature: Tensor

    def __init__(self, encoder: nn.Module, context: Context) -> None:
        super().__init__(encoder, context)
        config = self.config
        self.head = Head(context)
        online = nn.Sequential(encoder, self.head)
        self.teacher = Momentum(online, config.momentum, config.final_momentum, context.total_steps)
        self.register_buffer("centre", torch.zeros(config.prototypes))
        self.register_buffer("teacher_temperature", torch.tensor(self._temperature(0.0)))
        self._fresh: list[Tensor] = []

    def embed(self, features: Tensor) -> Tensor:
        return self.head.bottleneck(features)

    def loss(self, views: Sequence[Tensor], indices: Tensor, labels: Tensor | None) -> tuple[Tensor, Terms]:
        student = [self.head(self.encoder(view)) for view in views]
        teacher = [self.teacher(view) for view in views[:LARGE_VIEWS]]
        self._fresh.append(torch.cat(teacher).mean(0))
        with torch.autocast(views[0].device.type, enabled=False):
            return objective(student, teacher, self.centre, self.config.student_temperature, self.teacher_temperature)

    def after_step(self, progress: float) -> None:
        self.teacher.update(progress)
        self.head.prototypes.after_step(progress)
        self.centre.lerp_(gather(torch.stack(self._fresh)).mean(0), 1 - self.config.centre_momentum)
        self._fresh.clear()
        self.teacher_temperature.fill_(self._temperature(progress))

    def resolved(self) -> dict[str, float]:
        """The teacher's momentum at the start and at the end, and the steps in which prototypes are frozen."""
        return {**self.teacher.resolved(), "frozen_steps": self.head.prototypes.frozen_steps}

    def _temperature(self, progress: float) -> float:
        config = self.config
        warmed = 1.0 if config.temperature_warmup == 0 else min(1.0, progress / config.temperature_warmup)
        first = config.first_teacher_temperature
        return float(first + warmed * (config.teacher_temperature - first))
