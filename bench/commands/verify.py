"""`verify`: recompute the numbers of a report and say which have drifted."""

from __future__ import annotations

import argparse
from pathlib import Path

from bench.commands._options import home
from bench.commands.claims import CLAIMS
from bench.errors import UserError

HELP = "Make a report again from its runs and name every number and sentence that differs."
EXAMPLES = """examples:
  python -m bench verify report runs
  python -m bench verify results                      its claims, from the studies in it
  python -m bench verify docs/example-report          from the report's own results.csv, where the runs are gone
  python -m bench verify results/studies/cost         pages of `cost`, from cost.json
  python -m bench verify docs/findings.md             numbers of a page, as docs/findings.yaml says where they come from
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("report", type=home, metavar="REPORT", help="folder of a report, or a page")
    parser.add_argument(
        "outputs", nargs="*", type=home, metavar="RUNS", help="output folders of its runs; default: its results.csv"
    )
    parser.add_argument(
        "--claims", type=home, default=CLAIMS, metavar="FILE", help="that verdicts are on, as in `claims`"
    )


def main(arguments: argparse.Namespace) -> int:
    try:
        return _verified(arguments)
    except UnicodeDecodeError as error:
        raise UserError(f"A file of {arguments.report} is no text in UTF-8 ({error}).") from error


def _verified(arguments: argparse.Namespace) -> int:
    from bench.reports.verify import verify

    if arguments.report.suffix == ".md":
        if arguments.outputs:
            raise UserError("A page is verified from the results that the .yaml beside it names: give it alone.")
        return _verify_page(arguments.report)
    if (arguments.report / "claims.csv").is_file():
        return _verify_claims(arguments.report, arguments.outputs or [arguments.report], arguments.claims)
    if not (arguments.report / "results.csv").is_file() and (arguments.report / "cost.json").is_file():
        return _verify_costs(arguments.report)
    verdict = verify(arguments.report, arguments.outputs)
    for drift in verdict.drifts:
        print(drift)
    source = "the run folders" if arguments.outputs else "results.csv alone"
    print(f"{len(verdict.drifts)} drifted, {len(verdict.checked)} files checked against {source}.")
    print(f"Not checked: {'; '.join(verdict.unchecked)}.")
    return 1 if verdict.drifts else 0


def _verify_page(page: Path) -> int:
    """The numbers that the .yaml beside a page says it quotes."""
    from bench.reports import quotes

    if not page.is_file():
        raise UserError(f"There is no page {page}.")
    known = quotes.read(page.with_suffix(".yaml"))
    content = page.read_text(encoding="utf-8")
    found = quotes.drifts(content, known, page.parent)
    for drift in found:
        print(drift)
    inside, numbers = quotes.covered(content, known)
    print(f"{len(found)} drifted, {len(known)} quotes checked; {inside} of the page's {numbers} numbers stand in them.")
    return 1 if found else 0


def _verify_costs(folder: Path) -> int:
    """The pages of `cost` below the folder, made again from the cost.json beside each."""
    from bench.cost.record import Record
    from bench.cost.table import render
    from bench.reports.verify_text import markdown_lines, text_drifts

    pages = sorted(folder.rglob("cost.md"))
    if not pages:
        raise UserError(f"{folder} has a cost.json and no cost.md to hold against it.")
    found = []
    for path in pages:
        try:
            again = render(Record.read(path.parent))
        except KeyError as error:
            raise UserError(f"{path.with_suffix('.json')} is no record of costs: it lacks {error}.") from error
        now, before = (markdown_lines(page) for page in (again, path.read_text("utf-8")))
        found += [f"{path.relative_to(folder)}: {line}" for line in text_drifts(now, before)]
    for drift in found:
        print(drift)
    print(f"{len(found)} drifted, {len(pages)} files checked against the cost.json beside each. Not checked: figures.")
    return 1 if found else 0


def _verify_claims(folder: Path, outputs: list[Path], claims_file: Path) -> int:
    """The verdicts recomputed from the studies below `outputs`."""
    from bench.reports import claims, claims_page
    from bench.reports.claims_evidence import find, verdict_of

    evidence = find(outputs)
    declared = claims.read(claims_file)
    judged = claims_page.datasets_of(folder, declared)
    declared = claims.on(judged, declared) if judged else declared
    drifts = claims_page.drifts(folder, [verdict_of(claim, evidence) for claim in declared], evidence)
    for drift in drifts:
        print(drift)
    there = {name: (folder / name).is_file() for name in ("claims.csv", "claims.md", "claims.html")}
    checked = ", ".join(name for name, known in there.items() if known)
    print(f"{len(drifts)} drifted, {checked} checked against the studies.")
    if not all(there.values()):
        print(f"Not there: {', '.join(name for name, known in there.items() if not known)}.")
    return 1 if drifts else 0
