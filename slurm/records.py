"""What was submitted for an output folder, as JSON files under `<output>/.slurm/`: readable from any shell.

Never imports torch or submitit.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from bench.errors import UserError
from bench.files import write_json

FOLDER = ".slurm"
FILE = "submission.json"


@dataclass(frozen=True)
class Submission:
    """One call of sbatch, or as many as the cluster's limit of array sizes asks for, and the report's."""

    name: str
    """Of its folder, which begins with the time: names sort as submissions do."""
    code: str
    """Git commit, with `-dirty` where files were changed; `unknown` outside a checkout."""
    profile: Mapping[str, Any]
    manner: Mapping[str, Any]
    """How its runs are carried out: the fields of bench.slurm.submit.Manner."""
    jobs: Mapping[str, Sequence[str]]
    """Job -> the runs it carries out."""
    report_job: str | None
    runs: Mapping[str, Mapping[str, Any]]
    """Run -> canonical form."""


def folder(output: Path, name: str) -> Path:
    """Where a submission's record, logs and sbatch files are."""
    return output / FOLDER / name


def write(output: Path, submission: Submission) -> None:
    """Put a submission on record."""
    write_json(folder(output, submission.name) / FILE, dataclasses.asdict(submission))


def read(output: Path) -> list[Submission]:
    """All submissions, oldest first, with the jobs that a submitting shell queued and did not live to record.

    Raises UserError for a record that is damaged.
    """
    submissions = []
    for path in sorted((output / FOLDER).glob(f"*/{FILE}")):
        try:
            submission = Submission(**json.loads(path.read_text(encoding="utf-8")))
            submissions.append(_with_unrecorded(output, submission))
        except (ValueError, TypeError) as error:
            raise UserError(f"{path} is damaged ({error}); move its folder away.") from error
    return submissions


def _with_unrecorded(output: Path, submission: Submission) -> Submission:
    """With jobs found by the name of their sbatch file, which gets it as soon as sbatch has given their id; they carry
    out the runs that follow those on record."""
    recorded = {run for group in submission.jobs.values() for run in group}
    left = [run for run in submission.runs if run not in recorded]
    jobs = dict(submission.jobs)
    arrays = {name.partition("_")[0] for name in jobs}
    for path in sorted(folder(output, submission.name).glob("*_submission.sh")) if left else ():
        job = path.name.partition("_")[0]
        if job in arrays:
            continue
        tasks = re.search(r"^#SBATCH --array=0-(\d+)", path.read_text(encoding="utf-8"), re.MULTILINE)
        for name in [job] if tasks is None else [f"{job}_{task}" for task in range(int(tasks[1]) + 1)]:
            jobs[name], left = left[: submission.manner["pack"]], left[submission.manner["pack"] :]
    return dataclasses.replace(submission, jobs=jobs)


def newest_jobs(submissions: Sequence[Submission]) -> dict[str, tuple[str, Submission]]:
    """Run -> the job that was last submitted for it, and its submission."""
    return {
        run: (job, submission) for submission in submissions for job, runs in submission.jobs.items() for run in runs
    }


def log_files(output: Path, submission: Submission, job: str) -> list[Path]:
    """What the processes of a job printed, those that exist."""
    return sorted(folder(output, submission.name).glob(f"{job}_*_log.out"))


def select(words: Sequence[str], runs: Sequence[str], output: Path) -> list[str]:
    """The runs that `words` name: ids, their folders, leading parts (`digits/smi`) or patterns (`*/smi/*`).

    Raises UserError for a word that names none.
    """
    chosen: set[str] = set()
    for word in words:
        name = word.rstrip("/").removeprefix(f"{output}/")
        found = {run for run in runs if run == name or run.startswith(f"{name}/") or fnmatchcase(run, name)}
        if not found:
            raise UserError(f"'{word}' names no run that was submitted for {output} (see `python -m bench status`).")
        chosen |= found
    return [run for run in runs if run in chosen]
