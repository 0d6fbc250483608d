"""Puts the runs of a plan that are not done into job arrays, through submitit, and writes down what was submitted."""

from __future__ import annotations

import dataclasses
import datetime
import itertools
import json
import shutil
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import UserError
from bench.lock import Lock
from bench.slurm import job, records, sbatch
from bench.slurm.profile import Profile
from bench.slurm.queue import Job, Queue
from bench.slurm.records import Submission
from bench.spec import RunSpec
from bench.store import RunFolder, disk_errors

REPORT_MINUTES = 60
REPORT_NOTICE_SECONDS = 60
"""At most: it has nothing to save, and the signal ends it."""


@dataclass(frozen=True)
class Manner:
    """How submitted runs are carried out, none of which changes a result; paths are absolute."""

    output: str
    data_root: str
    store_root: str | None
    device: str
    checkpoint_seconds: float
    pack: int
    """Runs side by side in one job, on the GPU of one."""
    processes: int
    """Of each run."""
    reference: str | None
    """Of the report."""
    tensorboard: bool = False
    """Has a default for what older code submitted."""


@dataclass(frozen=True)
class Outcome:
    """`submission` is None when there was nothing to submit; `live` are runs that jobs of earlier ones carry out;
    `no_report` is why no job will write the report of a submission, None where one will."""

    submission: Submission | None
    done: int
    live: Sequence[Job]
    no_report: str | None = None


def check_cluster() -> None:
    """Raises UserError where there is no SLURM to submit to."""
    if shutil.which("sbatch") is None or shutil.which("srun") is None:
        raise UserError("--executor slurm: there is no sbatch on this machine; give the command on a login node.")


def submit(specs: Sequence[RunSpec], manner: Manner, profile: Profile, fresh: bool = False) -> Outcome:
    """Submit every run of a plan that is neither finished nor carried out by a job that lives; `fresh` repeats all.

    Returns as soon as the jobs are queued. Raises UserError when the cluster refuses them, when it does not answer,
    or when somebody else is submitting to the same output folder.
    """
    check_cluster()
    _check_sharing(manner, profile)
    output = Path(manner.output)
    lock = Lock(output / records.FOLDER / "lock")
    with disk_errors(output):
        if not lock.acquire():
            raise UserError(f"Another command is submitting to {output}; wait for it.")
        try:
            return _submit(specs, manner, profile, fresh)
        finally:
            lock.release()


def _submit(specs: Sequence[RunSpec], manner: Manner, profile: Profile, fresh: bool) -> Outcome:
    output = Path(manner.output)
    live = _live_jobs([spec.id for spec in specs], output)
    if fresh and live:
        raise UserError(f"Job {next(iter(live.values())).id} is at these runs: `cancel` it first, or omit --fresh.")
    idle = [spec for spec in specs if spec.id not in live]
    for spec in idle:
        RunFolder(output, spec.id).reset(fresh)
    waiting = [spec for spec in idle if RunFolder(output, spec.id).result() is None]
    submission, no_report = _place(waiting, manner, profile) if waiting else (None, None)
    return Outcome(submission, len(idle) - len(waiting), list(live.values()), no_report)


def _live_jobs(runs: Sequence[str], output: Path) -> dict[str, Job]:
    """Run -> the living job that carries it out. One call of the scheduler, none where nothing was ever submitted."""
    known = {run: name for run, (name, _) in records.newest_jobs(records.read(output)).items()}
    wanted = {run: known[run] for run in runs if run in known and RunFolder(output, run).result() is None}
    if not wanted:
        return {}
    jobs = Queue().look(set(wanted.values()))
    if jobs is None:
        raise UserError("The scheduler does not answer (squeue); nothing was submitted.")
    return {run: jobs[name] for run, name in wanted.items() if name in jobs and jobs[name].live}


def _place(specs: Sequence[RunSpec], manner: Manner, profile: Profile) -> tuple[Submission, str | None]:
    """Queue the jobs; their record is written after every call of sbatch, so that no job is ever unknown for long.

    Returns it with the reason why the report's job, and it alone, was refused, None where it was not.
    """
    from bench.hardware import source_version

    output = Path(manner.output)
    submission = Submission(
        name=f"{datetime.datetime.now(datetime.UTC):%Y%m%dT%H%M%S.%f}-{uuid.uuid4().hex[:6]}",
        code=source_version(),
        profile=dataclasses.asdict(profile),
        manner=dataclasses.asdict(manner),
        jobs={},
        report_job=None,
        runs={spec.id: spec.canonical() for spec in specs},
    )
    records.write(output, submission)
    groups = [[spec.id for spec in group] for group in _batched(specs, manner.pack)]
    limit = min(sbatch.most_tasks(), max(1, len(groups)))
    arrays = list(_batched(groups, limit))
    concurrency = max(1, profile.concurrency // len(arrays))  # arrays of one plan share it
    asked = sbatch.parameters(profile, manner.pack, manner.processes, concurrency)
    for array in arrays:
        texts = [_text(group, submission) for group in array]
        try:
            names = sbatch.call(job.carry_out, texts, asked, records.folder(output, submission.name))
        except UserError as error:
            if submission.jobs:
                ids = ", ".join(_arrays(submission))
                raise UserError(f"{error} Queued before that: {ids}; the same command submits the rest.") from error
            raise
        jobs = {**submission.jobs, **dict(zip(names, array, strict=True))}
        submission = dataclasses.replace(submission, jobs=jobs)
        records.write(output, submission)
    try:
        submission = dataclasses.replace(submission, report_job=_place_report(manner, profile, submission))
    except UserError as error:
        return submission, str(error)
    records.write(output, submission)
    return submission, None


def _arrays(submission: Submission) -> list[str]:
    """The jobs of its runs, an array as one."""
    return list(dict.fromkeys(name.partition("_")[0] for name in submission.jobs))


def _place_report(manner: Manner, profile: Profile, submission: Submission) -> str:
    """The job that writes the report when all others have ended, however they ended."""
    small = dataclasses.replace(profile, gpus=0, nodes=1, cpus=1)
    notice = min(profile.notice, REPORT_NOTICE_SECONDS)  # a run's may be longer than all of the report's time
    alone = dataclasses.replace(small, memory=profile.report_memory, time=str(REPORT_MINUTES), notice=notice)
    asked = sbatch.parameters(alone, pack=1, processes=1, concurrency=1)
    asked["slurm_dependency"] = f"afterany:{':'.join(_arrays(submission))}"
    text = json.dumps({"output": manner.output, "reference": manner.reference})
    return sbatch.call(job.write_report, [text], asked, records.folder(Path(manner.output), submission.name))[0]


def _text(group: Sequence[str], submission: Submission) -> str:
    """What travels in a job: its runs in canonical form and how to carry them out, as JSON."""
    manner, profile = submission.manner, submission.profile
    travels = ("output", "data_root", "store_root", "device", "checkpoint_seconds", "tensorboard")
    request = {name: manner[name] for name in travels}
    return json.dumps(
        {
            "runs": {run: submission.runs[run] for run in group},
            "request": {**request, "threads": profile["cpus"]},
            "processes": manner["processes"],
            "notice": profile["notice"],
            "requeue": profile["requeue"],
            "code": submission.code,
        }
    )


def _check_sharing(manner: Manner, profile: Profile) -> None:
    if manner.pack < 1:
        raise UserError(f"--pack {manner.pack}: at least one run must be in a job.")
    if manner.pack > 1 and (manner.processes > 1 or profile.nodes > 1):
        raise UserError(f"--pack {manner.pack} is for runs of one process; leave it out for runs of several.")
    if manner.processes % profile.nodes:
        raise UserError(f"{manner.processes} processes cannot be shared evenly by slurm.nodes={profile.nodes}.")
    if profile.gpus not in (0, manner.processes):
        raise UserError(f"A run has one process per GPU: {manner.processes} processes need as many slurm.gpus.")


def _batched(items: Sequence[Any], size: int) -> Iterator[list[Any]]:
    iterator = iter(items)
    while batch := list(itertools.islice(iterator, size)):
        yield batch
