"""`claims`: the verdicts on what papers claim, from the reports of studies."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands._options import comma_separated, home
from bench.errors import UserError, suggest

if TYPE_CHECKING:
    from bench.reports.claims import Claim

HELP = "Judge the declared claims by the studies that have been run."
EXAMPLES = """the claims, their tests and margins are bench/config/claims.yaml, written before the runs; studies are
looked for in OUTPUT/studies. Of a study's seeds the first count, as many as a claim declares.

examples:
  python -m bench claims
  python -m bench claims gpu --dataset cifar10     of the studies that were run there, in the output folder gpu
  python -m bench claims results more-results --destination docs/claims
"""
CLAIMS = Path(__file__).parent.parent / "config" / "claims.yaml"
STUDIES = CLAIMS.parent / "study"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "outputs",
        nargs="*",
        type=home,
        default=[Path("results")],
        metavar="OUTPUT",
        help="of `study`; default results",
    )
    parser.add_argument("--dataset", metavar="A,B", help="datasets to judge on, instead of those that claims declare")
    parser.add_argument("--claims", type=home, default=CLAIMS, metavar="FILE", help="other claims than the suite's own")
    parser.add_argument(
        "--destination", type=home, metavar="DIR", help="of claims.md, .html and .csv; default: the first OUTPUT"
    )


def main(arguments: argparse.Namespace) -> int:
    from bench import discover
    from bench.reports import claims, claims_page
    from bench.reports.claims_evidence import find, verdict_of
    from bench.store import disk_errors

    declared = claims.read(arguments.claims)
    evidence = find(arguments.outputs)
    _check(declared, arguments.claims, {one.record.name for one in evidence})
    if arguments.dataset is not None:
        datasets = comma_separated("--dataset", arguments.dataset)
        known = {*discover.names("datasets"), *(name for one in evidence for name in one.groups)}
        unknown = next((name for name in datasets if name not in known), None)
        if unknown is not None:
            raise UserError(f"No study here has the dataset '{unknown}'.{suggest(unknown, known)}")
        declared = claims.on(datasets, declared)
    verdicts = [verdict_of(claim, evidence) for claim in declared]
    destination = arguments.destination or arguments.outputs[0]
    with disk_errors(destination):
        paths = claims_page.write(verdicts, evidence, destination)
    print(f"{claims_page.markdown(verdicts, evidence)}\nClaims: {paths[0]}")
    return 0


def _check(declared: Sequence[Claim], file: Path, studies: set[str]) -> None:
    """Raise UserError for a study or a method that there is not, whose claim would go untested."""
    from bench import discover

    known = {*studies, *(path.stem for path in STUDIES.glob("*.yaml"))}
    methods = discover.names("methods")
    for claim in declared:
        if claim.study not in known and get_close_matches(claim.study, known):  # else it is one yet to be run
            raise UserError(f"{file}: {claim.name}: no study is called '{claim.study}'.{suggest(claim.study, known)}")
        arms = () if claim.test == "exact" else (claim.arm, *claim.against, *claim.sensitive)  # else rows of a table
        for arm in arms:
            name = arm.partition(":")[0]
            if name not in (*methods, "file"):
                raise UserError(f"{file}: {claim.name}: unknown method '{name}'.{suggest(name, methods)}")
