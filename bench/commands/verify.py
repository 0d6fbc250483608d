"""`verify`: recompute the numbers of a report and say which have drifted."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "Recompute every number of a report from its runs and name those that have drifted."
EXAMPLES = """examples:
  python -m bench verify report runs
  python -m bench verify docs/example-report          from the report's own results.csv, where the runs are gone
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("report", type=Path, metavar="REPORT_DIR", help="folder of a report")
    parser.add_argument(
        "outputs", nargs="*", type=Path, metavar="RUNS", help="output folders of its runs; default: its results.csv"
    )


def main(arguments: argparse.Namespace) -> int:
    from bench.reports.verify import verify

    verdict = verify(arguments.report, arguments.outputs)
    for drift in verdict.drifts:
        print(drift)
    source = "the run folders" if arguments.outputs else "results.csv alone"
    print(f"{len(verdict.drifts)} drifted, {len(verdict.checked)} files checked against {source}.")
    return 1 if verdict.drifts else 0
