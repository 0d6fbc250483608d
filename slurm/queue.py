"""What the scheduler knows of jobs: a call of squeue, and one of sacct for those that it has forgotten."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass

TIMEOUT_SECONDS = 15
LAG_SECONDS = 3.0
"""After which squeue is asked once more for jobs that the accounting alone calls waiting or running."""
ENDED = (
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "LAUNCH_FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "RECONFIG_FAIL",
    "REVOKED",
    "TIMEOUT",
)
"""States that a job does not leave; what else SLURM calls a job, it is waiting, running or on its way back."""


@dataclass(frozen=True)
class Job:
    """`id` is `<job>` or `<array>_<task>`; `node` is where it runs or ran, `reason` why it waits (both may be '')."""

    id: str
    state: str
    node: str = ""
    reason: str = ""

    @property
    def live(self) -> bool:
        """Whether it is running or may still run."""
        return self.state not in ENDED


class Queue:
    """Asks again and again; an accounting that is off or does not answer is asked once.

    A job that squeue does not list has ended, whatever the accounting says: its record of a job that the controller
    lost with its state ("runaway") stays at RUNNING for ever.
    """

    def __init__(self) -> None:
        self._accounting = True
        self._runaway: set[str] = set()

    def look(self, wanted: Collection[str]) -> Mapping[str, Job] | None:
        """Those of the jobs `wanted` that SLURM remembers, by id; None when the scheduler does not answer."""
        listed = _listed()
        if listed is None:
            return None
        recorded = self._recorded({name for name in wanted if name not in listed})
        runaway = {name for name, job in recorded.items() if job.live}
        if runaway - self._runaway:  # perhaps they are so new that squeue has not heard of them
            time.sleep(LAG_SECONDS)
            listed = _listed()
            if listed is None:
                return None
            self._runaway |= runaway - set(listed)
        ended = {name: job for name, job in recorded.items() if not job.live}
        return {name: job for name, job in {**ended, **listed}.items() if name in wanted}

    def _recorded(self, wanted: Collection[str]) -> Mapping[str, Job]:
        """What the accounting has on these jobs."""
        if not wanted or not self._accounting:
            return {}
        arrays = sorted({name.partition("_")[0] for name in wanted})
        text = _output(["sacct", "-n", "-X", "-P", "--format=JobID,State,NodeList", f"--jobs={','.join(arrays)}"])
        self._accounting = text is not None
        return {name: job for name, job in parse(text or "").items() if name in wanted}


def _listed() -> Mapping[str, Job] | None:
    """All of the user's jobs, since naming one that is forgotten makes squeue fail as a whole; None without answer."""
    text = _output(["squeue", "--me", "--noheader", "--array", "--states=all", "--format=%i|%T|%N|%r"])
    return None if text is None else parse(text)


def parse(text: str) -> dict[str, Job]:
    """Jobs of lines `id|state|node[|reason]`. Tasks of an array that sacct has not split are left out."""
    jobs = {}
    for line in text.splitlines():
        name, state, node, reason = (*(part.strip() for part in line.split("|", 3)), "", "", "")[:4]
        if not name or not state or "[" in name:
            continue
        # sacct writes `CANCELLED by 1000`, squeue `(null)` and `None` for nothing.
        node, reason = ("" if text in ("(null)", "None", "None assigned") else text for text in (node, reason))
        jobs[name] = Job(name, state.split()[0], node, reason)
    return jobs


def _output(command: list[str]) -> str | None:
    """Standard output of a command of SLURM; None when it is missing, fails or takes too long."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=TIMEOUT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout
