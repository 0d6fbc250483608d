"""When a run writes a checkpoint and when it stops: after the same step on every process."""

from __future__ import annotations

import time

import torch

from bench import distributed, interrupt

LOOK_SECONDS = 1.0
"""Time between two agreements of several processes; what they agree on is at most this late."""


class Pace:
    """Asked after every step. Alone, a process looks at the clock and the flag of bench/interrupt.py each time.

    Several processes agree by the largest of their answers, through the CPU and only about once a second: they would
    else wait for each other in every step. How many steps that is they agree on as well.
    """

    def __init__(self, checkpoint_seconds: float) -> None:
        self._checkpoint_seconds = checkpoint_seconds
        self._saved = self._looked = time.perf_counter()
        self._steps, self._interval = 0, 1

    def after_step(self) -> tuple[bool, bool]:
        """Whether a checkpoint is due, and whether the run was asked to stop."""
        if distributed.size() == 1:
            return self._due(), interrupt.requested()
        self._steps += 1
        if self._steps < self._interval:
            return False, False
        now = time.perf_counter()
        per_step = (now - self._looked) / self._steps
        fitting = max(1, min(2 * self._interval, int(LOOK_SECONDS / max(per_step, 1e-9))))
        answers = torch.tensor([int(self._due()), int(interrupt.requested()), -fitting])
        due, stop, interval = distributed.gather(answers).max(0).values.tolist()
        self._steps, self._interval, self._looked = 0, -interval, now
        return bool(due), bool(stop)

    def saved(self) -> None:
        """A checkpoint was written just now."""
        self._saved = time.perf_counter()

    def _due(self) -> bool:
        return time.perf_counter() - self._saved >= self._checkpoint_seconds
