"""One process that works through a plan: `python -m bench.worker`, started by bench/local.py.

It reads one line of JSON (runs in canonical form and how to carry them out) and shares the plan with every other
worker through the locks of the run folders. It ends when its standard input closes, so that no worker outlives the
command that started it.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path
from typing import Any

import torch

from bench.data import Data, load
from bench.datasets._store import Store, open_store
from bench.errors import UserError
from bench.hardware import prepare_process
from bench.lock import LockLost
from bench.plan import open_dataset
from bench.run import Settings, execute
from bench.spec import RunSpec
from bench.store import RunFolder, disk_errors

POLL_SECONDS = 0.5


def main() -> int:
    request = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        work_through(request)
    except UserError as error:
        print(error, file=sys.stderr, flush=True)
        return 2
    return 0


def work_through(request: dict[str, Any]) -> None:
    """Carry out every run of the request that nobody else carries out, and wait for those that somebody does.

    Raises UserError for what the user must mend before any run can go on (a full disk, missing data).
    """
    output, device = Path(request["output"]), torch.device(request["device"])
    settings = Settings(output, device, request["threads"], request["checkpoint_seconds"])
    prepare_process(device, settings.threads)
    datasets = _Datasets(Path(request["data_root"]), request["store_root"], device)
    specs = [RunSpec.from_canonical(values) for values in request["runs"]]
    folders = {spec.id: RunFolder(output, spec.id) for spec in specs}
    waiting = specs
    while waiting:
        busy = []
        for spec in waiting:
            folder = folders[spec.id]
            with disk_errors(output):
                if folder.result() is not None:
                    continue
                if not folder.lock.acquire():
                    busy.append(spec)
                    continue
                try:
                    if folder.result() is None:
                        execute(spec, datasets.load(spec), folder, settings)
                except LockLost:
                    busy.append(spec)
                finally:
                    folder.lock.release()
        waiting = busy
        if busy:
            time.sleep(POLL_SECONDS)


class _Datasets:
    """Decoded datasets, each opened once per process."""

    def __init__(self, data_root: Path, store_root: str | None, device: torch.device) -> None:
        self.data_root, self.device = data_root, device
        self.store_root = None if store_root is None else Path(store_root)
        self.opened: dict[str, Data] = {}

    def load(self, spec: RunSpec) -> Data:
        if spec.dataset.name not in self.opened:
            self.opened = {spec.dataset.name: load(self._store(spec), self.device)}
        return self.opened[spec.dataset.name]

    def _store(self, spec: RunSpec) -> Store:
        store = open_store(open_dataset(spec.dataset.name), self.data_root, self.store_root)
        if store.fingerprint != spec.dataset.fingerprint:
            raise UserError(
                f"The data of {spec.dataset.name} changed since this run was planned; give the command again."
            )
        return store


def _end_with_parent() -> None:
    """Wait until the parent's end of the pipe closes, which also happens when it is killed."""
    sys.stdin.read()
    os._exit(1)


if __name__ == "__main__":
    sys.exit(main())
