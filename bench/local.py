"""Carries a plan out on this machine: worker processes side by side, one progress bar, a line per finished run.

Ctrl-C, TERM and whatever else ends the command have every worker write a checkpoint at the end of its step, for which
there are group.GRACE_SECONDS; one that is at no step then (it decodes, or evaluates), or too slow, is killed and goes
back to its last periodic checkpoint. A second Ctrl-C kills at once.
"""

from __future__ import annotations

import csv
import signal
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bench import group
from bench.errors import UserError
from bench.group import Group
from bench.spec import RunSpec
from bench.store import RunFolder, disk_errors, in_words

POLL_SECONDS = 0.5


@dataclass(frozen=True)
class Execution:
    """How a plan is carried out here: `jobs` runs at a time; `threads` is per process of a run."""

    output: Path
    data_root: Path
    store_root: Path | None
    device: str
    jobs: int
    threads: int
    checkpoint_seconds: float


def run(specs: Sequence[RunSpec], execution: Execution, fresh: bool) -> None:
    """Finish every run of the plan that is not finished; `fresh` repeats all.

    Raises UserError when a worker met something the user must mend, or died; what is finished stays.
    """
    folders = [RunFolder(execution.output, spec.id) for spec in specs]
    with disk_errors(execution.output):
        execution.output.mkdir(parents=True, exist_ok=True)
        busy = next((folder for folder in folders if fresh and folder.lock.is_held()), None)
        if busy is not None:
            raise UserError(f"{busy.path} is being run by another process; wait for it, or leave --fresh out.")
        for folder in folders:
            folder.reset(fresh)
        open_runs = [(spec, folder) for spec, folder in zip(specs, folders, strict=True) if folder.result() is None]
        if open_runs:
            with _termination_interrupts():
                _work([spec for spec, _ in open_runs], [folder for _, folder in open_runs], execution)


def _work(specs: Sequence[RunSpec], folders: Sequence[RunFolder], execution: Execution) -> None:
    request = {
        "runs": [spec.canonical() for spec in specs],
        "output": str(execution.output),
        "data_root": str(execution.data_root),
        "store_root": None if execution.store_root is None else str(execution.store_root),
        "device": execution.device,
        "threads": execution.threads,
        "checkpoint_seconds": execution.checkpoint_seconds,
    }
    gpus, processes = group.gpus(execution.device), specs[0].world_size
    if gpus and processes > len(gpus):
        raise UserError(f"--processes {processes} needs as many GPUs; torch sees {len(gpus)} here.")
    groups: list[Group] = []
    ended: set[str] = set()
    try:
        with _bar(specs) as bar:
            for number in range(min(execution.jobs, len(specs))):
                groups.append(Group(request, number, processes, gpus, len(ended)))
            while any([each.running() for each in groups]):
                time.sleep(POLL_SECONDS)
                _report(specs, folders, ended, bar)
                for number, each in enumerate(groups):
                    if each.code() == group.MISTAKE:
                        raise UserError(each.explain())
                    # A run that failed ends its processes, and it has a result now; the other runs go on in new ones.
                    if each.code() == group.BROKEN_UP and each.started_after < len(ended) < len(specs):
                        groups[number] = Group(request, number, processes, gpus, len(ended))
            _report(specs, folders, ended, bar)
        if len(ended) < len(specs):
            raise UserError(next(each for each in groups if each.code() != 0).explain())
    finally:
        group.stop(groups)


@contextmanager
def _termination_interrupts() -> Iterator[None]:
    """TERM, which batch systems and `kill` send, does what Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _bar(specs: Sequence[RunSpec]) -> tqdm[Any]:
    epochs = sum(spec.protocol.epochs for spec in specs)
    return tqdm(total=epochs, unit="epoch", desc=f"{len(specs)} runs", delay=2, disable=None)


def _report(specs: Sequence[RunSpec], folders: Sequence[RunFolder], reported: set[str], bar: tqdm[Any]) -> None:
    """Print a line for every run that has ended since the last call, and move the bar."""
    done = 0
    for spec, folder in zip(specs, folders, strict=True):
        result = None if spec.id in reported else folder.result()
        if result is not None:
            reported.add(spec.id)
            tqdm.write(f"{spec.id}  {in_words(result)}")
        done += spec.protocol.epochs if spec.id in reported else _epochs_done(folder)
    bar.update(done - bar.n)


def _epochs_done(folder: RunFolder) -> int:
    try:
        with open(folder.path / "metrics.csv", encoding="utf-8", newline="") as handle:
            rows = list(csv.DictReader(handle))
    except FileNotFoundError:
        return 0
    return int(rows[-1]["epoch"]) if rows else 0
