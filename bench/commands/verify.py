"""`verify`: recompute the numbers of a report and say which have drifted."""

from __future__ import annotations

import argparse
from pathlib import Path

HELP = "Make a report again from its runs and name every number and sentence that differs."
EXAMPLES = """examples:
  python -m bench verify report runs
  python -m bench verify results                      its claims, from the studies in it
  python -m bench verify docs/example-report          from the report's own results.csv, where the runs are gone
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("report", type=Path, metavar="REPORT_DIR", help="folder of a report")
    parser.add_argument(
        "outputs", nargs="*", type=Path, metavar="RUNS", help="output folders of its runs; default: its results.csv"
    )


def main(arguments: argparse.Namespace) -> int:
    from bench.reports.verify import verify

    if (arguments.report / "claims.csv").is_file():
        return _verify_claims(arguments.report, arguments.outputs or [arguments.report])
    verdict = verify(arguments.report, arguments.outputs)
    for drift in verdict.drifts:
        print(drift)
    source = "the run folders" if arguments.outputs else "results.csv alone"
    print(f"{len(verdict.drifts)} drifted, {len(verdict.checked)} files checked against {source}.")
    print(f"Not checked: {'; '.join(verdict.unchecked)}.")
    return 1 if verdict.drifts else 0


def _verify_claims(folder: Path, outputs: list[Path]) -> int:
    """The verdicts recomputed from the studies below `outputs`."""
    from bench.commands.claims import CLAIMS
    from bench.reports import claims, claims_page
    from bench.reports.claims_evidence import find, verdict_of

    evidence = find(outputs)
    declared = claims.read(CLAIMS)
    judged = claims_page.datasets_of(folder, declared)
    declared = claims.on(judged, declared) if judged else declared
    drifts = claims_page.drifts(folder, [verdict_of(claim, evidence) for claim in declared], evidence)
    for drift in drifts:
        print(drift)
    print(f"{len(drifts)} drifted, claims.md, .html and .csv checked against the studies.")
    return 1 if drifts else 0
