"""DINO (solo-learn): its DINOLoss on the head of `dino`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import torch
from torch import Tensor, nn

from bench.api import Context, Method, Range, Search, Terms
from bench.methods._momentum import Momentum
from bench.methods.dino import Head
from bench.methods.solo._adapter import solo

_DINOLoss = solo("losses/dino.py").DINOLoss


@dataclass(frozen=True)
class Config:
    prototypes: Annotated[int, Range(minimum=2)] = 4096
    """Outputs of the head; solo-learn on CIFAR."""
    batch_norm: bool = True
    """Batch normalisation in the head, as in `dino`; solo-learn: none."""
    momentum: Annotated[float, Range(minimum=0, below=1), Search(0.8, 0.9995, "momentum")] = 0.996
    """Of the teacher at the start, as in `dino`; solo-learn on CIFAR: 0.9995. Less in a run too short for it;
    result.json has the value."""
    final_momentum: Annotated[float, Range(minimum=0, maximum=1)] = 1.0
    """Of the teacher at the end; solo-learn on CIFAR."""
    student_temperature: Annotated[float, Range(above=0)] = 0.1
    """solo-learn."""
    teacher_temperature: Annotated[float, Range(above=0), Search(0.02, 0.1)] = 0.04
    """Throughout, as in `dino`. solo-learn on CIFAR: 0.07 from the start, with which one of two short runs on digits
    stayed near the untrained encoder."""
    centre_momentum: Annotated[float, Range(minimum=0, below=1)] = 0.9
    """Of the centre; solo-learn."""


class SoloDINO(Method):
    """As `dino` at the same settings, with solo-learn's loss and centre, which know no multi-crop and no warm-up of the
    temperature."""

    citation = "da Costa et al. (2022), solo-learn, JMLR 23(56); DINO: arXiv:2104.14294"
    requires = "pip install --no-deps solo-learn==1.0.2"
    Config = Config

    def __init__(self, encoder: nn.Module, context: Context) -> None:
        super().__init__(encoder, context)
        config = self.config
        self.head = Head(context)
        online = nn.Sequential(encoder, self.head)
        self.teacher = Momentum(online, config.momentum, config.final_momentum, context.total_steps)
        self.objective = _DINOLoss(
            num_prototypes=config.prototypes,
            warmup_teacher_temp=config.teacher_temperature,
            teacher_temp=config.teacher_temperature,
            warmup_teacher_temp_epochs=0,
            num_epochs=1,  # its schedule is asked for epoch 0 alone
            student_temp=config.student_temperature,
            center_momentum=config.centre_momentum,
        )

    def embed(self, features: Tensor) -> Tensor:
        return self.head.bottleneck(features)

    def loss(self, views: Sequence[Tensor], indices: Tensor, labels: Tensor | None) -> tuple[Tensor, Terms]:
        student = torch.cat([self.head(self.encoder(view)) for view in views])
        teacher = torch.cat([self.teacher(view) for view in views])
        with torch.autocast(student.device.type, enabled=False):
            return self.objective(student, teacher.detach()), {}

    def after_step(self, progress: float) -> None:
        self.teacher.update(progress)
        self.head.prototypes.after_step(progress)

    def resolved(self) -> dict[str, float]:
        """The teacher's momentum at the start and at the end, and the steps in which prototypes are frozen."""
        return {**self.teacher.resolved(), "frozen_steps": self.head.prototypes.frozen_steps}
