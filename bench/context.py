"""What a run's method is told when it is checked, before anything runs, and when it is built."""

from __future__ import annotations

from bench import backbones
from bench.api import Context, Method
from bench.config.check import build
from bench.spec import RunSpec


def context_of(spec: RunSpec, method: type[Method], images: int) -> Context:
    """The context of a run that pretrains on `images` pictures."""
    protocol = spec.protocol
    steps_per_epoch = images // protocol.batch_size
    return Context(
        config=build(method.Config, spec.method.config, spec.method.short_name),
        feature_dim=backbones.feature_dim(protocol.backbone.name, protocol.backbone.width),
        projector=protocol.projector,
        num_classes=spec.dataset.classes,
        total_steps=steps_per_epoch * (protocol.epochs if method.trains else 1),
        steps_per_epoch=steps_per_epoch,
        batch_size=protocol.batch_size // protocol.accumulate,
        accumulate=protocol.accumulate,
    )
