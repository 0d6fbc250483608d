"""Whole steps of several methods in the same rounds, to be compared, and what their objectives are of a step."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch

from bench import discover
from bench.config.check import build
from bench.cost import objective
from bench.cost.clock import Contender, paired_ratio, repeated, take_turns
from bench.cost.counters import peak_tensor_mib
from bench.cost.record import Row, described_by
from bench.data import Data
from bench.pretrain import Trainer
from bench.spec import RunSpec

ROUNDS = 21
SECONDS = 60.0
"""Per method."""


def measure(specs: Sequence[RunSpec], data: Data, device: torch.device) -> Iterator[Row]:
    """Two rows for every run: its whole `step`, and its `objective` alone at the same batch and width.

    What disturbs the machine disturbs all alike. `ratio` is to the step of the first run, for objectives too: one
    step for all, since steps of one network differ by more than the objectives take. A step's `memory_mib` is the most
    that its tensors take at once beyond weights and the optimiser's state, without CUDA graphs; `total_mib` has in it
    what stays from step to step, too: weights, the optimiser's state, momentum copies of the network, queues.
    """
    contenders: dict[str, Contender] = {}
    trainers = [Trainer(spec, data, device) for spec in specs]
    for spec, trainer in zip(specs, trainers, strict=True):
        contenders[f"{spec.method.short_name} step"] = trainer.measure_step
        alone = _objective(spec, device)
        if alone is not None:
            contenders[f"{spec.method.short_name} objective"] = repeated(alone)
    times = take_turns(contenders, device, ROUNDS, SECONDS * len(specs))
    first = times[f"{specs[0].method.short_name} step"]
    for spec, trainer in zip(specs, trainers, strict=True):
        trainer.run_without_graphs()
        trainer.measure_step()  # what libraries try out first does not count
        for stage in ("step", "objective"):
            own = times.get(f"{spec.method.short_name} {stage}")
            if own is None:
                continue
            yield {
                "what": "turns",
                "stage": stage,
                **described_by(spec),
                "width": spec.protocol.projector.output,
                **own.numbers(),
                **paired_ratio(own, first, device),
                **(_memory(trainer, device) if stage == "step" else {}),
            }


def _memory(trainer: Trainer, device: torch.device) -> dict[str, float]:
    passing = peak_tensor_mib(trainer.measure_step, device)
    slots = [value for slot in trainer.optimizer.state.values() for value in slot.values()]
    staying = [*trainer.method.parameters(), *trainer.method.buffers(), *filter(torch.is_tensor, slots)]
    return {"memory_mib": passing, "total_mib": passing + sum(tensor.nbytes for tensor in staying) / 2**20}


def _objective(spec: RunSpec, device: torch.device) -> Callable[[], object] | None:
    """The run's objective as often as a step has it, which is once for every part of an accumulated batch."""
    parts, width = spec.protocol.accumulate, spec.protocol.projector.output
    config = build(discover.load("methods", spec.method.name).Config, spec.method.config, spec.method.short_name)
    alone = objective.own(spec.method.name, spec.protocol.batch_size // parts, width, device, config)
    if alone is None:
        return None

    def every_part() -> None:
        for _ in range(parts):
            alone()

    return every_part
