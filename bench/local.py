"""Carries a plan out on this machine: worker processes side by side, one progress bar, a line per finished run."""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from tqdm import tqdm

from bench.errors import UserError
from bench.spec import RunSpec
from bench.store import RunFolder, disk_errors, in_words

POLL_SECONDS = 0.5
KEEP_MEMORY = {
    "MALLOC_MMAP_MAX_": "0",
    "MALLOC_TRIM_THRESHOLD_": str(2**33),
    "MALLOC_TOP_PAD_": str(2**28),
}
"""Settings of glibc's malloc: large tensors stay in the heap. By default each is mapped afresh, and the page faults of
every step took a seventh of it on a CPU."""


@dataclass(frozen=True)
class Execution:
    """How a plan is carried out here; `threads` is per worker."""

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
    with _workers(request, min(execution.jobs, len(specs)), execution.output) as workers, _bar(specs) as bar:
        reported: set[str] = set()
        while any(worker.process.poll() is None for worker in workers):
            time.sleep(POLL_SECONDS)
            _report(specs, folders, reported, bar)
            _raise_for(worker for worker in workers if worker.process.poll() == 2)
        _report(specs, folders, reported, bar)
        _raise_for(worker for worker in workers if worker.process.returncode != 0)


def _raise_for(broken: Iterator[_Worker]) -> None:
    for worker in broken:
        raise UserError(worker.explain())


@dataclass
class _Worker:
    process: subprocess.Popen[str]
    log: Path

    def explain(self) -> str:
        """One line on why the worker ended before its work was done."""
        code = self.process.returncode
        lines = self.log.read_text(errors="replace").strip().splitlines()
        if code == 2 and lines:
            return lines[-1]
        if code < 0:
            return (
                f"A worker was killed by signal {-code} (9 often means: out of memory; try --jobs 1). "
                "Nothing finished is lost; the same command goes on where it stopped."
            )
        return f"A worker stopped with exit code {code}: {lines[-1] if lines else 'no message'} (all of it: {self.log})"


@contextmanager
def _workers(request: dict[str, Any], count: int, output: Path) -> Iterator[list[_Worker]]:
    """`count` worker processes with the request sent; ended when the block is left, however it is left."""
    workers: list[_Worker] = []
    try:
        for number in range(count):
            workers.append(_start(request, output / f"worker-{os.getpid()}-{number}.log"))
        yield workers
    finally:
        for worker in workers:
            worker.process.kill()
            worker.process.wait()
        for worker in workers:
            if worker.process.returncode == 0:
                worker.log.unlink(missing_ok=True)


def _start(request: dict[str, Any], log: Path) -> _Worker:
    with open(log, "w", encoding="utf-8") as handle:
        process = subprocess.Popen(
            [sys.executable, "-m", "bench.worker"],
            stdin=subprocess.PIPE,
            stdout=handle,
            stderr=handle,
            text=True,
            env=_environment(request["threads"]),
        )
    _send(process.stdin, json.dumps(request) + "\n")
    return _Worker(process, log)


def _send(pipe: IO[str] | None, line: str) -> None:
    """Hand the request over; the pipe stays open, since its closing ends the worker."""
    assert pipe is not None
    # A worker that is dead already is noticed, and its log read, by the loop that waits for it.
    with suppress(BrokenPipeError):
        pipe.write(line)
        pipe.flush()


def _environment(threads: int) -> dict[str, str]:
    """This process's environment, with the harness importable from any folder, its threads divided and memory kept."""
    root = str(Path(__file__).parent.parent)
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    return {**KEEP_MEMORY, **os.environ, "PYTHONPATH": path, "OMP_NUM_THREADS": str(threads)}


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
