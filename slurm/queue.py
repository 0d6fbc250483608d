"""What the scheduler knows of jobs: one squeue call, and one sacct call for those that it has forgotten."""

from __future__ import annotations

import subprocess
from collections.abc import Collection, Mapping
from dataclasses import dataclass

TIMEOUT_SECONDS = 15
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
    """Asks again and again; an accounting that is off or does not answer is asked once."""

    def __init__(self) -> None:
        self._accounting = True

    def look(self, wanted: Collection[str]) -> Mapping[str, Job] | None:
        """Those of the jobs `wanted` that SLURM remembers, by id; None when the scheduler does not answer."""
        # All of the user's jobs: naming one that is forgotten makes squeue fail as a whole.
        listed = _output(["squeue", "--me", "--noheader", "--array", "--states=all", "--format=%i|%T|%N|%r"])
        if listed is None:
            return None
        jobs = parse(listed)
        forgotten = sorted({name.partition("_")[0] for name in wanted if name not in jobs})
        if forgotten and self._accounting:
            fields = "--format=JobID,State,NodeList"
            recorded = _output(["sacct", "-n", "-X", "-P", fields, f"--jobs={','.join(forgotten)}"])
            self._accounting = recorded is not None
            jobs = {**parse(recorded or ""), **jobs}
        return {name: jobs[name] for name in wanted if name in jobs}


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
