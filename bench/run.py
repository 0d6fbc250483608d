"""One run from its specification to result.json: prepare, pretrain, evaluate, record."""

from __future__ import annotations

import statistics
import time
import traceback
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save as serialise
from torch import Tensor

from bench import checkpoint, distributed, tensorboard
from bench.data import Data
from bench.errors import DataGone, less_memory
from bench.hardware import environment, is_out_of_memory, reset_peak_memory
from bench.interrupt import Interrupted
from bench.lock import LockLost
from bench.observe import Observer
from bench.pretrain import Progress, Trainer
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
    observer = Observer(trainer)
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
            probe=observer.curve_point,
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
        outcome = {"status": "completed", "reason": None, **observer.evaluate(folder)}
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


def _cost(trainer: Trainer, seconds: float) -> dict[str, float | int | None]:
    """Seconds over all attempts at this run; images/s is the median over epochs but the first, which warms up. Memory
    is that of steps: on a GPU the most of the same epochs, since in the first it tries out which convolutions are
    fastest; on a CPU of the first epoch, since what evaluations take stays in the process."""
    rows = trainer.progress.rows[1:] or trainer.progress.rows
    rates = [row["images_per_second"] for row in rows]
    of_steps = rows if trainer.device.type == "cuda" else trainer.progress.rows[:1]
    method = trainer.method
    return {
        "seconds": seconds,
        "seconds_pretrain": trainer.progress.seconds,
        "images_per_second": statistics.median(rates) if rates else None,
        "peak_memory_mib": max((row["memory_mib"] for row in of_steps), default=None),
        "parameters_encoder": sum(p.numel() for p in method.encoder.parameters()),
        "parameters_trained": sum(p.numel() for p in method.parameters() if p.requires_grad) if method.trains else 0,
    }


def _portable(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights as torchvision's ResNet names them, contiguous, on the CPU."""
    return {name: value.detach().cpu().contiguous() for name, value in state.items()}


def _explain(error: Exception, spec: RunSpec) -> str:
    if is_out_of_memory(error):
        batch, shares = spec.protocol.batch_size, spec.world_size * spec.protocol.accumulate
        return f"out of memory at batch_size={batch}; {less_memory(batch, shares)}"
    return f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else 'no message'}"
