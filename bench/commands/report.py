"""`report`: tables and figures from run folders, without running anything."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.commands._options import print_report

HELP = "Write tables and figures from the runs of one or more output folders."
EXAMPLES = """examples:
  python -m bench report runs
  python -m bench report runs/monday runs/tuesday --reference barlow --destination report
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "outputs", nargs="*", type=Path, default=[Path("runs")], metavar="DIR", help="output folders; default runs"
    )
    parser.add_argument(
        "--reference", metavar="METHOD", help="method that the others are compared with; default barlow"
    )
    parser.add_argument(
        "--destination", type=Path, metavar="DIR", help="where the report goes; default: report/ in the first folder"
    )


def main(arguments: argparse.Namespace) -> int:
    destination = arguments.destination or arguments.outputs[0] / "report"
    print_report(arguments.outputs, destination, arguments.reference)
    return 0
