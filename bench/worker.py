"""One process that works through a plan: `python -m bench.worker`, started by bench/group.py.

It reads one line of JSON (runs in canonical form and how to carry them out) and shares the plan with every other
worker through the locks of the run folders. Of runs in N processes, N workers work through the plan together and
process 0 speaks for them. A worker that is sent TERM or INT, or whose standard input closes because the command that
started it is gone, writes a checkpoint at its next step and ends.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from bench import distributed, interrupt, tensorboard
from bench.data import Data, load
from bench.datasets._store import Store, open_store
from bench.errors import UserError
from bench.group import BROKEN_UP, GRACE_SECONDS, MISTAKE, STOPPED
from bench.hardware import is_lost, is_out_of_memory, prepare_process, resolve_device
from bench.lock import LockLost
from bench.plan import open_dataset
from bench.pretrain import method_class
from bench.run import Settings, execute
from bench.spec import RunSpec
from bench.store import RunFolder, disk_errors

POLL_SECONDS = 0.5


def main() -> int:
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: interrupt.request())
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        work_through(request)
    except UserError as error:
        print(error, file=sys.stderr, flush=True)
        return MISTAKE
    except distributed.BrokenUp as error:
        print(error, file=sys.stderr, flush=True)
        os._exit(BROKEN_UP)  # an orderly end may abort in torch, whose threads still hold the broken connections
    except interrupt.Interrupted:
        return STOPPED
    return 0


def work_through(request: dict[str, Any]) -> None:
    """Carry out every run of the request that nobody else carries out, and wait for those that somebody does.

    Joins the processes that the environment describes (bench/distributed.py) and leaves them at the end.

    Raises UserError for what the user must mend before any run can go on (a full disk, missing data),
    bench.interrupt.Interrupted when asked to stop before all runs have ended, and
    bench.distributed.BrokenUp when a run failed or a process was lost, where there are several, and when a run that
    failed took the GPU with it.
    """
    device = distributed.from_environment(resolve_device(request["device"]))
    try:
        _work_through(request, device)
    except RuntimeError as error:
        if distributed.is_lost_peer(error):
            raise distributed.BrokenUp(str(error).partition("\n")[0]) from error
        raise
    finally:
        distributed.leave()


def _work_through(request: dict[str, Any], device: torch.device) -> None:
    output = Path(request["output"])
    watched = request.get("tensorboard", False)  # a job that was queued by older code does not say
    if watched:
        tensorboard.check()
    settings = Settings(output, device, request["threads"], request["checkpoint_seconds"], watched)
    prepare_process(device, settings.threads)
    datasets = _Datasets(Path(request["data_root"]), request["store_root"], device)
    specs = [RunSpec.from_canonical(values) for values in request["runs"]]
    _check_processes(specs)
    folders = {spec.id: RunFolder(output, spec.id) for spec in specs}
    waiting, unfit = specs, []
    while waiting:
        busy = []
        for spec in waiting:
            folder = folders[spec.id]
            with disk_errors(output):
                claim, token = distributed.share(_claim(spec, folder) if distributed.leads() else ("", ""))
                if claim == "stop":
                    raise interrupt.Interrupted
                if claim == "unfit":
                    unfit.append(token)
                if claim == "busy" or (claim == "ours" and not _carry_out(spec, datasets, folder, token, settings)):
                    busy.append(spec)
        waiting = busy
        if busy:
            time.sleep(POLL_SECONDS)
    if unfit:
        raise UserError(unfit[0])


def _check_processes(specs: Sequence[RunSpec]) -> None:
    for spec in specs:
        if spec.world_size != distributed.size():
            raise UserError(f"{spec.id} is a run in {spec.world_size} processes, and here are {distributed.size()}.")


def _claim(spec: RunSpec, folder: RunFolder) -> tuple[str, str]:
    """What about a run: it is `done`, somebody is `busy` with it, we are to `stop`, it is `unfit` to be begun, for this
    reason, or it is `ours` by this token."""
    if folder.result() is not None:
        return "done", ""
    if interrupt.requested():
        return "stop", ""
    reason = _unfit(spec)
    if reason:
        return "unfit", reason
    if not folder.lock.acquire():
        return "busy", ""
    if folder.result() is not None:
        folder.lock.release()
        return "done", ""
    return "ours", folder.lock.token


def _unfit(spec: RunSpec) -> str:
    """Why a run cannot be begun though it is no fault of its own: its method's file was edited since the plan, say."""
    try:
        method_class(spec)
    except UserError as error:
        return str(error)
    except Exception:
        return ""  # of the run itself, which records it
    return ""


def _carry_out(spec: RunSpec, datasets: _Datasets, folder: RunFolder, token: str, settings: Settings) -> bool:
    """Carry out a run that process 0 has locked; False when the lock was lost to somebody else.

    Where another process of the run is gone the lock stays as if this one had died, too: it tells the command which run
    that was (bench/local.py).
    """
    folder.lock.adopt(token)
    broken_up = False
    try:
        status = execute(spec, datasets.load(spec), folder, settings)
    except distributed.BrokenUp:
        broken_up = folder.result() is None
        raise
    except LockLost as error:
        if distributed.size() > 1:
            raise distributed.BrokenUp(str(error)) from error
        return False
    finally:
        if distributed.leads() and not broken_up:
            folder.lock.release()
    if status == "failed" and (distributed.size() > 1 or is_lost(settings.device)):
        # Others wait in mid-step, or every other run would fail here, too.
        raise distributed.BrokenUp(f"{spec.id} failed in process {distributed.rank()}")
    return True


class _Datasets:
    """The decoded dataset of the run at hand, kept until a run has another."""

    def __init__(self, data_root: Path, store_root: str | None, device: torch.device) -> None:
        self.data_root, self.device = data_root, device
        self.store_root = None if store_root is None else Path(store_root)
        self.opened: tuple[str, Data] | None = None

    def load(self, spec: RunSpec) -> Data:
        """Raises UserError where they changed since the plan, or there is no memory for them: no fault of the run."""
        if self.opened is None or self.opened[0] != spec.dataset.name:
            self.opened = None  # first, so that its place on a GPU is free
            self.opened = spec.dataset.name, self._load(spec)
        return self.opened[1]

    def _load(self, spec: RunSpec) -> Data:
        store = self._store(spec)
        try:
            return load(store, self.device)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
            raise UserError(
                f"No memory for the pictures of {spec.dataset.name} ({self.device.type}): end what else uses it, "
                "or let fewer runs share it, and give the same command again."
            ) from error

    def _store(self, spec: RunSpec) -> Store:
        store = open_store(open_dataset(spec.dataset.name), self.data_root, self.store_root)
        if store.fingerprint != spec.dataset.fingerprint:
            raise UserError(
                f"The data of {spec.dataset.name} changed since this run was planned; give the command again."
            )
        return store


def _end_with_parent() -> None:
    """Wait until the parent's end of the pipe closes, which also happens when it is killed."""
    while os.read(sys.stdin.fileno(), 4096):  # not sys.stdin.read, whose lock would be in the way of our own end
        pass
    interrupt.request()
    time.sleep(GRACE_SECONDS)
    os._exit(STOPPED)


if __name__ == "__main__":
    sys.exit(main())
