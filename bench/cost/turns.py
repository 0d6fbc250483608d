"""Whole steps of several methods in the same rounds, to be compared, and the objective's share of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch

from bench.cost import objective
from bench.cost.clock import Contender, paired_ratio, repeated, take_turns
from bench.cost.record import Row
from bench.data import Data
from bench.pretrain import Trainer
from bench.spec import RunSpec

ROUNDS = 21
SECONDS = 60.0
"""Per method."""


def measure(specs: Sequence[RunSpec], data: Data, device: torch.device) -> Iterator[Row]:
    """Two rows for every run: its whole `step`, and its `objective` alone (see objective.own) at the same batch and
    width. What disturbs the machine disturbs all alike. `ratio`: of a step to that of the first run, of an objective to
    its own step."""
    contenders: dict[str, Contender] = {}
    for spec in specs:
        contenders[f"{spec.method.short_name} step"] = Trainer(spec, data, device).measure_step
        batch = spec.protocol.batch_size // spec.protocol.accumulate
        alone = objective.own(spec.method.name, batch, spec.protocol.projector.output, device)
        if alone is not None:
            contenders[f"{spec.method.short_name} objective"] = repeated(alone)
    times = take_turns(contenders, device, ROUNDS, SECONDS * len(specs))
    first = times[f"{specs[0].method.short_name} step"]
    for name, own in times.items():
        method, _, stage = name.rpartition(" ")
        base = first if stage == "step" else times[f"{method} step"]
        protocol = specs[0].protocol
        yield {
            "what": "turns",
            "method": method,
            "stage": stage,
            "dataset": specs[0].dataset.key,
            "backbone": protocol.backbone.name,
            "image_size": protocol.image_size,
            "batch": protocol.batch_size,
            "width": protocol.projector.output,
            "precision": protocol.precision,
            **own.numbers(),
            **paired_ratio(own, base, device),
        }
