"""Worker processes on this machine that carry out runs together: as many as one run has, which is one for most."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

VARIABLES = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "MASTER_ADDR", "MASTER_PORT")
"""Of the environment, as torchrun and Submitit's TorchDistributedEnvironment().export() set them."""
JOINING = (*VARIABLES, "TORCHELASTIC_USE_AGENT_STORE")
"""Variables by which processes find each other; those of a launcher around this command are not for its workers."""
MISTAKE, BROKEN_UP, STOPPED = 2, 3, 4
"""Exit codes of a worker: the user must mend something; its processes must start anew; it was asked to stop."""
GRACE_SECONDS = 10
"""How long a worker may take to come to the end of a step and write a checkpoint before it is killed."""


class Group:
    """`processes` workers with one request; `number` tells the groups of a command apart.

    `gpus`, if any, are given to the workers of all groups by turns, one each. When one of several workers ends badly
    the others, which wait for it, are killed after GRACE_SECONDS.
    """

    def __init__(
        self, request: Mapping[str, Any], number: int, processes: int, gpus: Sequence[str], started_after: int
    ) -> None:
        self.started_after = started_after
        """How many runs of the plan had ended by then."""
        self._store = None if processes == 1 else _meeting_point()
        self._workers: list[_Worker] = []
        self._bad_since: float | None = None
        for rank in range(processes):
            own_gpu = gpus[(number * processes + rank) % len(gpus)] if gpus else None
            joining = {} if self._store is None else _joining(rank, processes, self._store.port)
            suffix = f"-{rank}" if processes > 1 else ""
            log = Path(request["output"], f"worker-{os.getpid()}-{number}{suffix}.log")
            self._workers.append(_Worker(request, log, {**_environment(request["threads"], own_gpu), **joining}))

    def running(self) -> bool:
        """Whether any worker still runs; kills those that wait for one that ended badly."""
        codes = [worker.process.poll() for worker in self._workers]
        if None not in codes:
            return False
        if any(codes):
            self._bad_since = self._bad_since or time.monotonic()
            if time.monotonic() - self._bad_since > GRACE_SECONDS:
                self.kill()
        return True

    def code(self) -> int | None:
        """How the workers ended: the exit code of the one that made the others end; None while any runs."""
        return None if self.running() else self._cause().process.returncode

    @property
    def pids(self) -> set[int]:
        """Of its workers, dead ones too."""
        return {worker.process.pid for worker in self._workers}

    def explain(self) -> str:
        """One line on why the workers ended before their work was done."""
        worker = self._cause()
        code, lines = worker.process.returncode, worker.log.read_text(errors="replace").strip().splitlines()
        if code == MISTAKE and lines:
            return lines[-1]
        if code == STOPPED:
            return "A worker was asked to stop and wrote a checkpoint; the same command goes on where it stopped."
        if code < 0:
            return (
                f"A worker was killed by signal {-code} (9 often means: out of memory; try --jobs 1). "
                "Nothing finished is lost; the same command goes on where it stopped."
            )
        last = lines[-1] if lines else "no message"
        if code == BROKEN_UP:
            return f"The processes of a run lost each other ({last}); the same command goes on where it stopped."
        return f"A worker stopped with exit code {code}: {last} (all of it: {worker.log})"

    def ask_to_stop(self) -> None:
        """Have every worker write a checkpoint at its next step, and end."""
        for worker in self._workers:
            worker.process.terminate()

    def kill(self) -> None:
        """End what still runs."""
        for worker in self._workers:
            if worker.process.poll() is None:
                worker.killed = True
                worker.process.kill()
                worker.process.wait()

    def remove_logs(self) -> None:
        """Of workers that ended well, or because they were told to, or said nothing."""
        for worker in self._workers:
            if worker.process.returncode in (0, STOPPED) or not worker.log.stat().st_size:
                worker.log.unlink(missing_ok=True)

    def _cause(self) -> _Worker:
        def weight(worker: _Worker) -> int:
            code = worker.process.returncode
            if worker.killed or code == 0:
                return 0
            return {BROKEN_UP: 1, STOPPED: 1, MISTAKE: 3}.get(code, 2)

        return max(self._workers, key=weight)


def stop(groups: Iterable[Group]) -> None:
    """End the workers of all groups, at a checkpoint if they come to one within GRACE_SECONDS."""
    groups = list(groups)
    try:
        running = [group for group in groups if group.running()]
        for group in running:
            group.ask_to_stop()
        deadline = time.monotonic() + GRACE_SECONDS
        while any(group.running() for group in running) and time.monotonic() < deadline:
            time.sleep(0.1)
    finally:  # also when the user interrupts this
        for group in groups:
            group.kill()
            group.remove_logs()


def gpus(device: str) -> list[str]:
    """What CUDA_VISIBLE_DEVICES calls the GPUs among which workers are shared out; none on a CPU or for one GPU."""
    import torch

    if device != "cuda":
        return []
    count, named = torch.cuda.device_count(), os.environ.get("CUDA_VISIBLE_DEVICES")
    return named.split(",")[:count] if named else [str(index) for index in range(count)]


class _Worker:
    def __init__(self, request: Mapping[str, Any], log: Path, environment: Mapping[str, str]) -> None:
        self.log, self.killed = log, False
        with open(log, "a", encoding="utf-8") as handle:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "bench.worker"],
                stdin=subprocess.PIPE,
                stdout=handle,
                stderr=handle,
                text=True,
                env=environment,
            )
        _send(self.process.stdin, json.dumps(request) + "\n")


def _send(pipe: IO[str] | None, line: str) -> None:
    """Hand the request over; the pipe stays open, since its closing ends the worker."""
    assert pipe is not None
    # A worker that is dead already is noticed, and its log read, by the loop that waits for it.
    with suppress(BrokenPipeError):
        pipe.write(line)
        pipe.flush()


def _environment(threads: int, own_gpu: str | None) -> dict[str, str]:
    """This process's environment, with the harness importable from any folder and its threads divided."""
    root = str(Path(__file__).parent.parent)
    path = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    inherited = {name: value for name, value in os.environ.items() if name not in JOINING}
    visible = {} if own_gpu is None else {"CUDA_VISIBLE_DEVICES": own_gpu}
    return {**inherited, **visible, "PYTHONPATH": path, "OMP_NUM_THREADS": str(threads)}


def _meeting_point() -> Any:
    """A store at a free port, served by this process as torchrun's agent does."""
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    return TCPStore("127.0.0.1", 0, is_master=True, wait_for_workers=False)


def _joining(rank: int, processes: int, port: int) -> dict[str, str]:
    values = (rank, processes, rank, "127.0.0.1", port, True)
    return {name: str(value) for name, value in zip(JOINING, values, strict=True)}
