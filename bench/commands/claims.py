"""`claims`: the verdicts on what papers claim, from the reports of studies."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.commands._options import comma_separated

HELP = "Judge the declared claims by the studies that have been run."
EXAMPLES = """the claims, their tests and margins are bench/config/claims.yaml, written before the runs; studies are
looked for in OUTPUT/studies. Of a study's seeds the first count, as many as a claim declares.

examples:
  python -m bench claims
  python -m bench claims gpu --dataset cifar10     of the studies that were run there, in the output folder gpu
  python -m bench claims results more-results --destination docs/claims
"""
CLAIMS = Path(__file__).parent.parent / "config" / "claims.yaml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "outputs", nargs="*", type=Path, default=[Path("results")], metavar="OUTPUT", help="of `study`; default results"
    )
    parser.add_argument("--dataset", metavar="A,B", help="datasets to judge on, instead of those that claims declare")
    parser.add_argument("--claims", type=Path, default=CLAIMS, metavar="FILE", help="other claims than the suite's own")
    parser.add_argument(
        "--destination", type=Path, metavar="DIR", help="of claims.md, .html and .csv; default: the first OUTPUT"
    )


def main(arguments: argparse.Namespace) -> int:
    from bench.reports import claims, claims_page
    from bench.reports.claims_evidence import find, verdict_of
    from bench.store import disk_errors

    declared = claims.read(arguments.claims)
    if arguments.dataset:
        declared = claims.on(comma_separated("--dataset", arguments.dataset), declared)
    evidence = find(arguments.outputs)
    verdicts = [verdict_of(claim, evidence) for claim in declared]
    destination = arguments.destination or arguments.outputs[0]
    with disk_errors(destination):
        paths = claims_page.write(verdicts, evidence, destination)
    print(f"{claims_page.markdown(verdicts, evidence)}\nClaims: {paths[0]}")
    return 0
