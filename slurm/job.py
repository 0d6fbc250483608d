"""What runs inside a job. Submitit calls `carry_out` in every process of it, with one text of JSON.

How SLURM ends a job, and what this does about it:

- a time limit, or a preemption that sends the job's own signal: USR2 comes first. The run saves its state at the end
  of the step it is in, and the first process queues the job again. A run that is not at a step in time (it is being
  evaluated, say) goes back to its last periodic checkpoint; the job is queued again all the same.
- `scancel`, `scontrol requeue`, or a preemption without that signal: TERM comes first. The run saves its state and the
  process waits for its end; whether the job comes back is SLURM's decision.
- a node lost, a KILL: nothing comes first. SLURM queues the job again; runs go on from their last checkpoint.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench import interrupt
from bench.errors import UserError
from bench.group import JOINING
from bench.store import RunFolder, in_words

if TYPE_CHECKING:
    from bench.spec import RunSpec

LAST_MOMENT = 0.75
"""Share of the notice after which the job is queued again whether its runs have saved their state or not."""
POLL_SECONDS = 0.2
RETRY_SECONDS = 5.0
"""Between two tries to have the job queued again, within its notice."""


def carry_out(text: str) -> None:
    """Carry out the runs of one job; `text` is what bench.slurm.submit wrote. Returns in processes but the first too.

    Exits with 2 after one line where the user must mend something; with 1 where the job may not be queued again, or
    where the processes of a run lost each other.
    """
    task = json.loads(text)
    notice = _Notice(task)
    notice.listen()  # before torch is imported, which takes seconds
    _say_what_this_is(task)
    from bench.distributed import BrokenUp

    try:
        _work(task)
    except interrupt.Interrupted:
        notice.leave()
        return
    except UserError as error:
        print(error, flush=True)
        sys.exit(2)
    except BrokenUp as error:
        print(error, flush=True)
        sys.exit(1)
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)  # too late: while Python shuts down it would count as a failure
    if task["processes"] > 1 and _process() > 0:
        return  # process 0 still evaluates, and says what came of the run
    for run in task["runs"]:
        result = RunFolder(Path(task["request"]["output"]), run).result()
        print(f"{run}  {'unfinished' if result is None else in_words(result)}", flush=True)


def write_report(text: str) -> None:
    """Write the report of an output folder; `text` is JSON. Where the reference has no run, it is one without it."""
    from bench.commands._options import print_report
    from bench.reports.declared import Declared

    task = json.loads(text)
    output, reference = Path(task["output"]), task["reference"]
    try:
        try:
            print_report([output], output / "report", Declared(reference))
        except UserError as error:
            if reference is None:
                raise
            print(f"{error} The report is written without that comparison.", flush=True)
            print_report([output], output / "report", Declared(None))
    except UserError as error:
        print(error, flush=True)
        sys.exit(2)


def spec_of(run: str, canonical: Mapping[str, Any]) -> RunSpec:
    """The run of a canonical form that was submitted as `run`.

    Raises UserError when this code means another run by it, whose checkpoint would be another's.
    """
    from bench.spec import RunSpec

    spec = RunSpec.from_canonical(canonical)
    if spec.id != run:
        raise UserError(
            f"{run} was submitted by other code; to this one it is {spec.id}. Give the `run` command again."
        )
    return spec


def _work(task: Mapping[str, Any]) -> None:
    from bench.worker import work_through

    specs = [spec_of(run, canonical) for run, canonical in task["runs"].items()]
    for name in JOINING:  # a launcher around the shell that submitted this hands them on
        os.environ.pop(name, None)
    if task["processes"] > 1:
        from submitit.helpers import TorchDistributedEnvironment

        TorchDistributedEnvironment().export(set_cuda_visible_devices=False, overwrite=True)
        os.environ["MASTER_ADDR"] = _meeting_point(os.environ["MASTER_ADDR"])
    work_through({**task["request"], "runs": [spec.canonical() for spec in specs]})


def _meeting_point(node: str) -> str:
    """Where the processes of a run find process 0, on the node that SLURM calls so: a name that need mean nothing to
    the system, on that node or on another. Then it is the address from which srun started them, the same node's."""
    if os.environ["SLURM_JOB_NUM_NODES"] == "1":
        return "127.0.0.1"
    try:
        socket.getaddrinfo(node, None)
    except OSError:
        return os.environ.get("SLURM_LAUNCH_NODE_IPADDR", node)
    return node


def _say_what_this_is(task: Mapping[str, Any]) -> None:
    from bench.hardware import source_version

    here, attempt = source_version(), 1 + _restarts()
    changed = "" if here == task["code"] else f", submitted as {task['code']}"
    print(f"Job {job_id()} on {_node()}, attempt {attempt}, process {_process()}; code {here}{changed}", flush=True)
    print("\n".join(f"  {run}" for run in task["runs"]), flush=True)


class _Notice:
    """SLURM's signals, and what follows from them when the runs have stopped."""

    def __init__(self, task: Mapping[str, Any]) -> None:
        self._task = task
        self._back = self._done = False
        self._until = 0.0
        self._once = threading.Lock()

    def listen(self) -> None:
        signal.signal(signal.SIGTERM, lambda *_: interrupt.request())
        signal.signal(signal.SIGUSR2, self._end_is_near)

    def leave(self) -> None:
        """After the runs have saved their state: queue the job again, or wait to be ended."""
        if not self._back:
            print("Asked to end (TERM): the state is saved.", flush=True)
            while True:
                signal.pause()
        if _process() == 0:
            self._wait_for_siblings()
            self._requeue("the state is saved")
            sys.exit(0)

    def _end_is_near(self, *_: object) -> None:
        interrupt.request()
        if not self._back and _process() == 0:
            self._until = time.monotonic() + self._task["notice"]
            unsaved = ("no time to save all of the state, what is missing is repeated from the last checkpoint",)
            timer = threading.Timer(LAST_MOMENT * self._task["notice"], self._requeue, unsaved)
            timer.daemon = True
            timer.start()
        self._back = True

    def _wait_for_siblings(self) -> None:
        """Until no other process of this job is at a run: queueing it again ends them all."""
        output = Path(self._task["request"]["output"])
        folders = [RunFolder(output, run) for run in self._task["runs"]]
        while any(folder.lock.is_held() for folder in folders):
            time.sleep(POLL_SECONDS)

    def _requeue(self, state: str) -> None:
        """Queue the job again, once, whoever asks first; another one waits for that."""
        with self._once:
            if self._done:
                return
            self._done = True
            limit = self._task["requeue"]
            if _restarts() >= limit:
                print(f"Asked to end; the profile lets a job begin again {limit} times, no more (requeue).", flush=True)
                os._exit(1)  # of the whole process, also when this is the timer's thread
            print(f"Asked to end: {state}, the job is queued again.", flush=True)
            while (error := _ask_to_requeue()) is not None:
                if time.monotonic() + RETRY_SECONDS >= self._until:
                    print(f"It cannot be: {error}. `python -m bench resubmit` goes on with its runs.", flush=True)
                    os._exit(1)
                print(f"Not yet: {error}.", flush=True)
                time.sleep(RETRY_SECONDS)


def _ask_to_requeue() -> Exception | None:
    try:
        subprocess.run(["scontrol", "requeue", job_id()], stdin=subprocess.DEVNULL, timeout=60, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        return error
    return None


def job_id() -> str:
    """`<job>` or `<array>_<task>`."""
    array = os.environ.get("SLURM_ARRAY_JOB_ID")
    return os.environ["SLURM_JOB_ID"] if array is None else f"{array}_{os.environ['SLURM_ARRAY_TASK_ID']}"


def _process() -> int:
    return int(os.environ.get("SLURM_PROCID", 0))


def _restarts() -> int:
    return int(os.environ.get("SLURM_RESTART_COUNT", 0))


def _node() -> str:
    return os.environ.get("SLURMD_NODENAME", "an unknown node")
