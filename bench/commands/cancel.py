"""`cancel`: end the SLURM jobs of runs."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.commands._options import home
from bench.errors import UserError

HELP = "Cancel the SLURM jobs of some runs, or of all; what they have reached is kept."
EXAMPLES = """examples:
  python -m bench cancel all
  python -m bench cancel digits/smi --output runs/monday
  python -m bench cancel 'digits/*/*/seed4'
"""
TIMEOUT_SECONDS = 60


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="all, a run, the beginning of its name (digits/smi) or a pattern"
    )
    parser.add_argument("--output", type=home, default=Path("runs"), metavar="DIR", help="output folder; default runs")


def main(arguments: argparse.Namespace) -> int:
    import subprocess

    from bench.slurm import records
    from bench.slurm.queue import Queue

    output: Path = arguments.output
    submissions = records.read(output)
    newest = {run: job for run, (job, _) in records.newest_jobs(submissions).items()}
    if not newest:
        raise UserError(f"No jobs were submitted for {output}.")
    runs = list(newest) if arguments.runs == ["all"] else records.select(arguments.runs, list(newest), output)
    jobs = Queue().look({newest[run] for run in runs})
    if jobs is None:
        raise UserError("The scheduler does not answer (squeue); nothing was cancelled.")
    live = sorted(job.id for job in jobs.values() if job.live)
    if not live:
        print("None of their jobs is queued or running.")
        return 0
    try:
        subprocess.run(["scancel", *live], stdin=subprocess.DEVNULL, timeout=TIMEOUT_SECONDS, check=True)
    except (OSError, subprocess.SubprocessError) as error:
        raise UserError(f"scancel did not succeed ({error}); see `squeue --me`.") from error
    ended = [run for run, job in newest.items() if job in live]
    print(f"Cancelled {len(live)} job{'s' * (len(live) > 1)}, of these runs:")
    print("\n".join(f"  {run}  job {newest[run]}" for run in ended))
    there = "" if output == Path("runs") else f" --output {output}"
    print(f"`python -m bench resubmit{there}` goes on with them; the report is still written when all jobs have ended.")
    return 0
