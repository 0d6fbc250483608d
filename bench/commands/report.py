"""`report`: tables, figures and pages from run folders, without running anything."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.commands._options import comma_separated, home, print_report
from bench.errors import UserError, suggest

HELP = "Write pages, tables and figures from the runs of one or more output folders."
EXAMPLES = """examples:
  python -m bench report runs
  python -m bench report runs/monday runs/tuesday --methods smi,barlow --reference barlow --destination report
  python -m bench report runs --metric knn --columns linear,knn,device_hours --format html,latex
"""
FORMATS = "md,html,latex,csv,figures"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "outputs", nargs="*", type=home, default=[Path("runs")], metavar="DIR", help="output folders; default runs"
    )
    parser.add_argument("--methods", metavar="A,B", help="only these methods, by exact name")
    parser.add_argument("--datasets", metavar="A,B", help="only these datasets, by exact name")
    parser.add_argument(
        "--reference", metavar="METHOD", help="method that the others are compared with; default barlow"
    )
    parser.add_argument(
        "--metric", default="linear", metavar="NAME", help="score that decides: linear (default), knn or another"
    )
    parser.add_argument("--paired", action="store_true", help="pair runs by seed; to be declared in advance")
    parser.add_argument(
        "--margin", type=float, metavar="POINTS", help="test equivalence within so many percentage points"
    )
    parser.add_argument("--all-pairs", action="store_true", help="add a table of all pairs of methods (Tukey)")
    parser.add_argument(
        "--columns", metavar="A,B", help="columns of the tables, such as linear,knn,device_hours,linear_1"
    )
    parser.add_argument(
        "--knn-target", type=float, metavar="PERCENT", help="validation kNN that the column minutes_to_knn waits for"
    )
    parser.add_argument(
        "--format", default=FORMATS, metavar="A,B", help=f"what is written, of {FORMATS}; default all of it"
    )
    parser.add_argument(
        "--destination",
        type=home,
        metavar="DIR",
        help="where the report goes; default: report/ in the first folder",
    )


def main(arguments: argparse.Namespace) -> int:
    formats = comma_separated("--format", arguments.format)
    for name in formats:
        if name not in FORMATS.split(","):
            raise UserError(f"--format: there is no '{name}'.{suggest(name, FORMATS.split(','))}")
    if arguments.margin is not None and not 0 < arguments.margin < 100:
        raise UserError(f"--margin {arguments.margin:g}: percentage points, above 0 and below 100.")
    if arguments.knn_target is not None and not 0 < arguments.knn_target < 100:
        raise UserError(f"--knn-target {arguments.knn_target:g}: percent, above 0 and below 100.")
    from bench.reports.declared import Declared
    from bench.reports.page import Selection

    declared = Declared(
        reference=arguments.reference,
        metric=arguments.metric,
        paired=arguments.paired,
        margin=_fraction(arguments.margin),
        columns=_names("--columns", arguments.columns) or None,
        knn_target=_fraction(arguments.knn_target),
        all_pairs=arguments.all_pairs,
    )
    methods, datasets = _names("--methods", arguments.methods), _names("--datasets", arguments.datasets)
    destination = arguments.destination or arguments.outputs[0] / "report"
    print_report(arguments.outputs, destination, declared, Selection(methods, datasets, formats))
    return 0


def _names(option: str, words: str | None) -> list[str]:
    return [] if words is None else comma_separated(option, words)


def _fraction(percent: float | None) -> float | None:
    return None if percent is None else percent / 100
