"""`export`: all runs as one tidy file for notebooks."""

from __future__ import annotations

import argparse
from importlib.util import find_spec
from pathlib import Path

from bench.commands._options import home
from bench.errors import UserError

HELP = "Write all runs as one tidy CSV or Parquet file: a row per run, or per epoch with --curves."
EXAMPLES = """examples:
  python -m bench export runs --to runs.csv
  python -m bench export runs/monday runs/tuesday --curves --to curves.parquet
"""
FORMATS = (".csv", ".parquet")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "outputs", nargs="*", type=home, default=[Path("runs")], metavar="DIR", help="output folders; default runs"
    )
    parser.add_argument(
        "--to", type=home, default=Path("runs.csv"), metavar="FILE", help="file to write, .csv or .parquet"
    )
    parser.add_argument("--curves", action="store_true", help="a row per epoch and run instead of a row per run")


def main(arguments: argparse.Namespace) -> int:
    if arguments.to.suffix not in FORMATS:
        raise UserError(f"--to {arguments.to} must end in .csv or .parquet.")
    if arguments.to.suffix == ".parquet" and find_spec("pyarrow") is None:
        raise UserError("Parquet needs pyarrow, which is not installed: pip install pyarrow, or write a .csv.")
    from bench.reports.export import write
    from bench.store import disk_errors

    with disk_errors(arguments.to.parent):
        rows, problems = write(arguments.outputs, arguments.to, arguments.curves)
    for problem in problems:
        print(problem)
    print(f"{arguments.to}: {rows} rows.")
    return 0
