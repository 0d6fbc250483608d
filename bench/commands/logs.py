"""`logs`: what the SLURM job of a run printed, and the traceback of a run that failed."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.commands._options import home
from bench.errors import UserError

HELP = "Print what the SLURM jobs of runs printed, and the traceback of a run that failed."
EXAMPLES = """examples:
  python -m bench logs digits/smi/4571dfdf/seed0
  python -m bench logs digits/smi --output runs/monday
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "runs", nargs="+", metavar="RUN", help="a run, the beginning of its name (digits/smi) or a pattern"
    )
    parser.add_argument("--output", type=home, default=Path("runs"), metavar="DIR", help="output folder; default runs")


def main(arguments: argparse.Namespace) -> int:
    from bench.slurm import records

    output: Path = arguments.output
    newest = records.newest_jobs(records.read(output))
    if not newest:
        raise UserError(f"No jobs were submitted for {output}.")
    for run in records.select(arguments.runs, list(newest), output):
        job, submission = newest[run]
        paths = records.log_files(output, submission, job)
        if not paths:
            print(f"==> {run}: job {job} has not begun, or its log is not visible here yet")
        for path in paths:
            print(f"==> {run}: job {job}, {path}\n{path.read_text(encoding='utf-8', errors='replace').rstrip()}\n")
        failure = output / run / "error.log"
        if failure.exists():
            print(f"==> {run}: {failure}\n{failure.read_text(encoding='utf-8', errors='replace').rstrip()}\n")
    return 0
