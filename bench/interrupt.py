"""A request to stop a run at its next step: written by signal handlers, read by the training loop.

Whoever catches the signal (the command, a worker, a SLURM job) calls `request`; the trainer then writes a checkpoint
at the end of the step that it is in and raises `Interrupted`. The run stays unfinished and goes on from there.
"""

from __future__ import annotations

_requested = False


class Interrupted(Exception):
    """The run stopped at a checkpoint because it was asked to; it is neither finished nor failed."""


def request() -> None:
    """Ask the run of this process to stop. Does nothing but set a flag, so a signal handler may call it."""
    global _requested
    _requested = True


def requested() -> bool:
    """Whether `request` was called since the last `clear`."""
    return _requested


def clear() -> None:
    """Forget the request."""
    global _requested
    _requested = False
