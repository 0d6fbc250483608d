"""Carries a plan out in this very process, one run after the other; under torchrun, in all of its processes together.

Ctrl-C and TERM stop it at a checkpoint after the step that it is in; a second Ctrl-C ends it at once.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext

from bench import interrupt
from bench.distributed import BrokenUp, expected
from bench.errors import UserError
from bench.local import POLL_SECONDS, Execution, Reporter, make_ready
from bench.spec import RunSpec
from bench.store import disk_errors
from bench.worker import work_through


def leads() -> bool:
    """Whether this is the process that speaks to the user; true without torchrun."""
    return os.environ.get("RANK", "0") == "0"


def processes(wanted: int) -> int:
    """Of each run: as many as torchrun started, 1 without it. Raises UserError where the user said another number."""
    if wanted not in (1, expected()):
        raise UserError(
            f"--processes {wanted} needs `torchrun --nproc-per-node {wanted} -m bench run ...` with --executor inline; "
            "--executor local starts them itself."
        )
    return expected()


def jobs(wanted: int | None) -> int:
    """Runs at a time. Raises UserError for more than one."""
    if wanted not in (None, 1):
        raise UserError("--executor inline carries out one run at a time: leave --jobs out.")
    return 1


def run(specs: Sequence[RunSpec], execution: Execution, fresh: bool) -> None:
    """Finish every run of the plan that is not finished; `fresh` repeats all.

    Raises UserError for what the user must mend, and where a run that failed in one of several processes ended them
    all; KeyboardInterrupt when it was stopped.
    """
    with disk_errors(execution.output):
        if leads():
            make_ready(specs, execution.output, fresh)
    with _stops_at_a_checkpoint(), _reports(specs, execution) if leads() else nullcontext():
        try:
            work_through(execution.request(specs))
        except interrupt.Interrupted:
            raise KeyboardInterrupt from None
        except BrokenUp as error:
            raise UserError(f"{error}; with --executor local the other runs would go on.") from error


@contextmanager
def _stops_at_a_checkpoint() -> Iterator[None]:
    def handle(number: int, _: object) -> None:
        if interrupt.requested() and number == signal.SIGINT:
            raise KeyboardInterrupt
        interrupt.request()

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        interrupt.clear()


@contextmanager
def _reports(specs: Sequence[RunSpec], execution: Execution) -> Iterator[None]:
    """Lines and bar, by a thread beside the work."""
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(POLL_SECONDS):
            reporter.look()

    with Reporter(specs, execution.output) as reporter:
        thread = threading.Thread(target=watch)
        thread.start()
        try:
            yield
        finally:
            ended.set()
            thread.join()
            reporter.look()
