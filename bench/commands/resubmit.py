"""`resubmit`: submit again what its SLURM jobs did not finish."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands._options import add_slurm_options, home, slurm_words
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.slurm.queue import Job
    from bench.slurm.records import Submission
    from bench.slurm.submit import Outcome
    from bench.standing import Standing

HELP = "Submit again the runs that their SLURM jobs did not finish; they go on where they stopped."
EXAMPLES = """without --failed, runs whose jobs were cancelled are submitted too.

examples:
  python -m bench resubmit --failed
  python -m bench resubmit digits/smi --time 24:00:00 slurm.memory=64
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", nargs="*", metavar="RUN", help="only these: a run, the beginning of its name or a pattern; default all"
    )
    parser.add_argument("--output", type=home, default=Path("runs"), metavar="DIR", help="output folder; default runs")
    parser.add_argument(
        "--failed", action="store_true", help="only runs that failed, or whose job failed or was killed"
    )
    parser.add_argument("--wait", action="store_true", help="follow the jobs and print the tables at their end")
    add_slurm_options(parser)


def main(arguments: argparse.Namespace) -> int:
    from bench.commands._submitting import announce, wait
    from bench.slurm import records, submit
    from bench.slurm.watch import Watcher

    words = slurm_words(arguments)
    if arguments.words:
        raise UserError(f"'{arguments.words[0]}': what a run is stays as it was; only slurm.KEY=value can be set.")
    submit.check_cluster()
    output: Path = arguments.output
    watcher = Watcher(output)
    standings = {standing.run_id: standing for standing in watcher.look()}
    newest = records.newest_jobs(watcher.submissions)
    if not newest:
        raise UserError(f"No jobs were submitted for {output}.")
    if not watcher.answers:
        raise UserError("The scheduler does not answer (squeue); nothing was submitted.")
    runs = records.select(arguments.runs, list(newest), output) if arguments.runs else list(newest)
    jobs = {run: watcher.jobs.get(newest[run][0]) for run in runs}
    again = [run for run in runs if _to_be_repeated(standings[run], jobs[run], arguments.failed)]
    by_submission: dict[str, list[str]] = {}
    for run in again:
        by_submission.setdefault(newest[run][1].name, []).append(run)
    for submission in watcher.submissions:
        if submission.name in by_submission:
            announce(_submit(submission, by_submission[submission.name], arguments.profile, words), output)
    if not again:
        print("Nothing to submit again.")
    return wait(output, again) if arguments.wait and again else 0


def _to_be_repeated(standing: Standing, job: Job | None, failed_only: bool) -> bool:
    if standing.state == "unfinished":
        return not failed_only or job is None or job.state != "CANCELLED"
    return standing.state == "failed"


def _submit(submission: Submission, runs: Sequence[str], name: str | None, words: Sequence[str]) -> Outcome:
    """As they were submitted before, unless another profile or other settings are given."""
    from bench.slurm import job, profile, submit

    values: Mapping[str, object] = submission.profile if name is None else profile.read(name)
    specs = [job.spec_of(run, submission.runs[run]) for run in runs]
    return submit.submit(specs, submit.Manner(**submission.manner), profile.resolve(values, words))
