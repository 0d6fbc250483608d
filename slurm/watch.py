"""How far the runs of an output folder are, by their files and by what the scheduler says of their jobs."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

from bench.errors import less_memory
from bench.slurm import records
from bench.slurm.queue import Job, Queue
from bench.slurm.records import Submission
from bench.standing import Standing
from bench.standing import Watcher as FileWatcher

QUERY_SECONDS = 10.0
"""Between two questions to the scheduler."""


class Watcher:
    """Looks again and again. `answers` is whether the scheduler answered when it was last asked (True if never)."""

    def __init__(self, output: Path) -> None:
        self.output = output
        self.answers = True
        self.submissions: list[Submission] = []
        self.jobs: Mapping[str, Job] = {}
        self._files = FileWatcher(output)
        self._queue = Queue()
        self._asked: float | None = None

    def look(self) -> list[Standing]:
        """Every run that has begun or was submitted, by id."""
        if self._asked is None or time.monotonic() - self._asked >= QUERY_SECONDS:
            self._ask()  # before the files are read: a job that has ended by then has left its result there
            self._asked = time.monotonic()
        return merge(self._files.look(), self.submissions, self.jobs if self.answers else None)

    def submissions_of(self, runs: Collection[str]) -> list[Submission]:
        """Those of the newest jobs of these runs, oldest first."""
        newest = records.newest_jobs(self.submissions)
        names = {newest[run][1].name for run in runs if run in newest}
        return [submission for submission in self.submissions if submission.name in names]

    def report_pending(self, runs: Collection[str]) -> bool:
        """Whether a job that is to write a report of these runs may live. Asks the scheduler: without an answer, it
        may."""
        wanted = {one.report_job for one in self.submissions_of(runs) if one.report_job is not None}
        jobs = self._queue.look(wanted) if wanted else {}
        return jobs is None or any(job.live for job in jobs.values())

    def _ask(self) -> None:
        self.submissions = records.read(self.output)
        ended = {standing.run_id for standing in self._files.look() if standing.ended}
        newest = records.newest_jobs(self.submissions)
        wanted = {name for run, (name, _) in newest.items() if run not in ended}
        if wanted:
            jobs = self._queue.look(wanted)
            self.answers, self.jobs = jobs is not None, jobs or {}


def merge(
    standings: Sequence[Standing], submissions: Sequence[Submission], jobs: Mapping[str, Job] | None
) -> list[Standing]:
    """Standings with what their jobs do added, and those of runs that have not begun; `jobs` is None where the
    scheduler does not answer."""
    merged = {standing.run_id: standing for standing in standings}
    for run, (name, submission) in records.newest_jobs(submissions).items():
        standing = merged.get(run) or Standing(run, "queued", epochs=int(submission.runs[run]["epochs"]))
        if not standing.ended:
            merged[run] = _with_job(standing, name, submission.runs[run], jobs)
    return [merged[run] for run in sorted(merged)]


def _with_job(standing: Standing, name: str, run: Mapping[str, Any], jobs: Mapping[str, Job] | None) -> Standing:
    if jobs is None:
        return dataclasses.replace(standing, job=f"job {name}")
    job = jobs.get(name)
    if job is None and standing.state == "running":  # by something else: its lock's heart beats
        return standing
    if job is None or not job.live:
        # Also where its lock seems to be held: on another machine the last heartbeat of a dead process counts a while.
        return dataclasses.replace(standing, state="unfinished", outcome=f"job {name} {_end(job, run)}")
    return dataclasses.replace(standing, state="running" if job.state == "RUNNING" else "queued", job=_place(job))


def _end(job: Job | None, run: Mapping[str, Any]) -> str:
    """How the job of a run in canonical form ended, and what to try then."""
    if job is None:
        return "is gone"
    end = f"ended on {job.node}: {job.state}" if job.node else f"ended: {job.state}"
    if job.state != "OUT_OF_MEMORY":
        return end
    advice = less_memory(run["batch_size"], run["world_size"] * run["accumulate"])
    return f"{end} at batch_size={run['batch_size']}; {advice}, or more slurm.memory"


def _place(job: Job) -> str:
    if job.node:
        return f"job {job.id} on {job.node}"
    return f"job {job.id} ({job.reason or job.state})"
