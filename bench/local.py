"""Carries a plan out on this machine: worker processes side by side, one progress bar, a line per finished run.

Ctrl-C, TERM and whatever else ends the command have every worker write a checkpoint at the end of its step, for which
there are group.GRACE_SECONDS; one that is at no step then (it decodes, or evaluates), or too slow, is killed and goes
back to its last periodic checkpoint. A second Ctrl-C kills at once.
"""

from __future__ import annotations

import csv
import signal
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tqdm import tqdm

from bench import group
from bench.errors import UserError, less_memory
from bench.group import Group
from bench.spec import RunSpec
from bench.store import RunFolder, disk_errors, in_words

POLL_SECONDS = 0.5
BEGUN_ANEW = "Another command began a run of this plan anew just now; the same command waits for its end."


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
    tensorboard: bool

    def request(self, specs: Sequence[RunSpec]) -> dict[str, Any]:
        """What a worker is told (bench/worker.py)."""
        return {
            "runs": [spec.canonical() for spec in specs],
            "output": str(self.output),
            "data_root": str(self.data_root),
            "store_root": None if self.store_root is None else str(self.store_root),
            "device": self.device,
            "threads": self.threads,
            "checkpoint_seconds": self.checkpoint_seconds,
            "tensorboard": self.tensorboard,
        }


def run(specs: Sequence[RunSpec], execution: Execution, fresh: bool) -> None:
    """Finish every run of the plan that is not finished; `fresh` repeats all.

    Raises UserError when a worker met something the user must mend, or died; what is finished stays.
    """
    with disk_errors(execution.output):
        left = make_ready(specs, execution.output, fresh)
        if left:
            with _termination_interrupts():
                _work(left, execution)


def make_ready(specs: Sequence[RunSpec], output: Path, fresh: bool) -> list[RunSpec]:
    """The runs that are left to do, their folders ready for a new attempt. Raises UserError where `fresh` would take
    a run away from the process that is at it."""
    output.mkdir(parents=True, exist_ok=True)
    folders = [RunFolder(output, spec.id) for spec in specs]
    busy = next((folder for folder in folders if fresh and folder.lock.is_held()), None)
    if busy is not None:
        raise UserError(f"{busy.path} is being run by another process; wait for it, or leave --fresh out.")
    for folder in folders:
        folder.reset(fresh)
    return [spec for spec, folder in zip(specs, folders, strict=True) if folder.result() is None]


def _work(specs: Sequence[RunSpec], execution: Execution) -> None:
    request, processes, gpus = execution.request(specs), specs[0].world_size, group.gpus(execution.device)
    if processes > 1 and execution.device.startswith("cuda:"):
        raise UserError(f"--device {execution.device} is one GPU: --processes {processes} needs --device cuda.")
    if gpus and processes > len(gpus):
        raise UserError(f"--processes {processes} needs as many GPUs; torch sees {len(gpus)} here.")
    groups: list[Group] = []
    deaths: Counter[str] = Counter()
    try:
        with Reporter(specs, execution.output) as reporter:
            for number in range(min(execution.jobs, len(specs))):
                groups.append(Group(request, number, processes, gpus, reporter.ended))
            codes: list[int | None] = [None]
            while None in codes:
                time.sleep(POLL_SECONDS)
                codes = [each.code() for each in groups]
                reporter.look()
                for number, (each, code) in enumerate(zip(groups, codes, strict=True)):
                    if code == group.MISTAKE:
                        raise UserError(each.explain())
                    # A run that failed ends its processes, and it has a result now; the other runs go on in new ones.
                    failed = code == group.BROKEN_UP and each.started_after < reporter.ended < len(specs)
                    if failed or (
                        code is not None and code < 0 and _goes_on_without(each, -code, specs, deaths, execution)
                    ):
                        groups[number] = Group(request, number, processes, gpus, reporter.ended)
                        codes[number] = None
        if reporter.ended < len(specs):
            bad = next((each for each in groups if each.code() != 0), None)
            raise UserError(BEGUN_ANEW if bad is None else bad.explain())
    finally:
        group.stop(groups)


def _goes_on_without(
    killed: Group, number: int, specs: Sequence[RunSpec], deaths: Counter[str], execution: Execution
) -> bool:
    """Whether new workers take the place of some that signal `number` killed: where it is known at which run they were.

    That run is tried once more, in case something else took the memory, and recorded as failed the second time, so
    that it stands in no other's way, now or when the command is given again.
    """
    spec = next((each for each in specs if RunFolder(execution.output, each.id).lock.owner() in killed.pids), None)
    if spec is None:
        return False
    deaths[spec.id] += 1
    if deaths[spec.id] == 1:
        tqdm.write(f"{spec.id}  its worker was killed by signal {number}; it is tried once more")
        return True
    folder = RunFolder(execution.output, spec.id)
    if folder.lock.acquire():
        advice = less_memory(spec.protocol.batch_size, spec.world_size * spec.protocol.accumulate)
        why = f", probably for want of memory; {advice}" if number == signal.SIGKILL else ""
        try:
            folder.write_failure(f"killed by signal {number}{why}", killed.explain() + "\n")
        finally:
            folder.lock.release()
    return True


class Reporter:
    """A line for every run that has ended, and a progress bar; both follow from the run folders alone."""

    def __init__(self, specs: Sequence[RunSpec], output: Path) -> None:
        self._runs = [(spec, RunFolder(output, spec.id)) for spec in specs]
        self._ended: set[str] = set()
        epochs = sum(spec.protocol.epochs for spec in specs)
        self._bar = tqdm(total=epochs, unit="epoch", desc=f"{len(specs)} runs", delay=2, disable=None)

    def __enter__(self) -> Reporter:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    @property
    def ended(self) -> int:
        """Number of runs that had ended at the last look."""
        return len(self._ended)

    def look(self) -> None:
        """Print a line for every run that has ended since the last look, and move the bar."""
        done = 0
        for spec, folder in self._runs:
            result = None if spec.id in self._ended else folder.result()
            if result is not None:
                self._ended.add(spec.id)
                tqdm.write(f"{spec.id}  {in_words(result)}")
            done += spec.protocol.epochs if spec.id in self._ended else _epochs_done(folder)
        self._bar.update(done - self._bar.n)


@contextmanager
def _termination_interrupts() -> Iterator[None]:
    """TERM, which batch systems and `kill` send, does what Ctrl-C does."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _epochs_done(folder: RunFolder) -> int:
    try:
        with open(folder.path / "metrics.csv", encoding="utf-8", newline="") as handle:
            rows = list(csv.DictReader(handle))
        return int(rows[-1]["epoch"]) if rows else 0
    except (OSError, ValueError, TypeError, KeyError, csv.Error):  # none yet, or damaged: the run writes it anew
        return 0
