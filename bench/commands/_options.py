"""Options and output that several commands share."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from bench.errors import UserError


def add_data_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-root",
        type=Path,
        default=Path(os.environ.get("BENCH_DATA", "data")),
        metavar="DIR",
        help="where datasets are, or are downloaded to; default $BENCH_DATA or data",
    )
    parser.add_argument(
        "--store-root",
        type=Path,
        metavar="DIR",
        help="where decoded datasets go; default .bench in the data root (give it where that cannot be written)",
    )
    parser.add_argument(
        "--skip-corrupt", action="store_true", help="leave unreadable images out instead of refusing them"
    )


def comma_separated(option: str, text: str) -> list[str]:
    """Words between commas. Raises UserError where one is empty or stands twice."""
    words = [word.strip() for word in text.split(",")]
    if "" in words:
        raise UserError(f"{option} '{text}' has an empty name.")
    for word in words:
        if words.count(word) > 1:
            raise UserError(f"{option} names '{word}' twice.")
    return words


def print_report(outputs: list[Path], destination: Path, reference: str | None) -> None:
    """Write the report and print its tables and where it is."""
    from bench.reports.page import write_report
    from bench.store import disk_errors

    with disk_errors(destination):
        report = write_report(outputs, destination, reference=reference)
    print(f"\n{report.markdown}\n\nReport: {report.path}")
