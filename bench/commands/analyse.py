"""`analyse`: what finished encoders are like, and what they are worth with few labels or on other pictures."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path
from typing import Any

from bench.analysis.options import NAMES, OPTIONS, parsed
from bench.commands._options import add_data_options, comma_separated, home
from bench.errors import UserError

HELP = "Look into finished encoders: geometry, localisation, few labels, transfer; and how objectives pull."
EXAMPLES = """geometry      effective rank, alignment, uniformity, redundancy, class separation, spectra, CKA;
localisation  class-activation and similarity maps against known boxes: of --annotations, or of composed pictures;
semi          probes fitted to 1 % and 10 % of the labels;
transfer      probes on other datasets;
dynamics      gradient of objectives by pairwise correlation, toy problems, loss terms of runs if any are given.
What semi and transfer measure can be columns of a report: `report --columns linear,linear_1,digits.knn`.

examples:
  python -m bench analyse geometry runs
  python -m bench analyse semi runs --fractions 0.01,0.1
  python -m bench analyse transfer runs --coarse cifar10,digits --fine folder:~/birds
  python -m bench analyse localisation runs --methods smi,barlow,random --background cifar10
  python -m bench analyse localisation runs --annotations data/annotations/trimaps
  python -m bench analyse dynamics
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument(
        "outputs", nargs="*", type=home, metavar="DIR", help="output folders; default runs (dynamics: none)"
    )
    parser.add_argument("--methods", metavar="A,B", help="only runs of these methods, by exact name")
    parser.add_argument("--datasets", metavar="A,B", help="only runs on these datasets, by exact name")
    parser.add_argument("--reference", metavar="METHOD", help="method the others are compared with; default barlow")
    parser.add_argument(
        "--annotations",
        metavar="DIR",
        help="localisation: boxes (VOC .xml, or CUB's bounding_boxes.txt) or trimaps (.png) of the test images",
    )
    parser.add_argument(
        "--background", metavar="NAME", help="localisation: dataset of the composed pictures' backgrounds"
    )
    parser.add_argument("--images", metavar="N", help="test images examined; default 2048 (localisation: 1024)")
    parser.add_argument("--seed", metavar="K", help="what draws images and views; default 0")
    parser.add_argument("--fractions", metavar="F,F", help="semi: shares of the labels; default 0.01,0.1")
    parser.add_argument("--fine", metavar="A,B", help="transfer: fine-grained datasets to transfer to")
    parser.add_argument("--coarse", metavar="A,B", help="transfer: other datasets to transfer to")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda; default auto")
    parser.add_argument(
        "--destination", type=home, metavar="DIR", help="default: analysis/NAME in the first output folder"
    )
    add_data_options(parser)


def main(arguments: argparse.Namespace) -> int:
    from bench.reports.analysis import loaded
    from bench.reports.comparison import check_reference

    name = arguments.name
    words = {option: getattr(arguments, option) for option in OPTIONS if getattr(arguments, option) is not None}
    settings = parsed(name, words)
    outputs = arguments.outputs or ([] if name == "dynamics" else [Path("runs")])
    destination = arguments.destination or (outputs[0] if outputs else Path("runs")) / "analysis" / name
    run_folders = _run_folders(outputs, arguments)
    if arguments.reference and run_folders:
        check_reference(loaded(run_folders), arguments.reference)
    section = _run(name, run_folders, destination, arguments, settings)
    print(f"{section.read_text(encoding='utf-8')}\nAnalysis: {section}")
    return 0


def _run_folders(outputs: list[Path], arguments: argparse.Namespace) -> list[Path]:
    if not outputs:
        return []
    from bench.reports.load import load
    from bench.reports.page import Selection, selected

    names = {option: getattr(arguments, option) for option in ("methods", "datasets")}
    lists = {option: comma_separated(f"--{option}", words) if words else [] for option, words in names.items()}
    runs = load(outputs)
    if runs.empty:
        raise UserError(f"There are no runs in {', '.join(map(str, outputs))}.")
    return [Path(folder) for folder in selected(runs, Selection(**lists))["folder"]]


def _run(
    name: str, run_folders: list[Path], destination: Path, arguments: argparse.Namespace, settings: dict[str, Any]
) -> Path:
    from bench.hardware import cores, prepare_process, resolve_device

    device = resolve_device(arguments.device)
    prepare_process(device, cores())
    analysis = importlib.import_module(f"bench.analysis.{name}")
    if name == "dynamics":  # of objectives, not of encoders on pictures
        section: Path = analysis.analyse(run_folders, destination, reference=arguments.reference, **settings)
        return section
    from bench.analysis.runs import Where

    where = Where(arguments.data_root, arguments.store_root, arguments.skip_corrupt, device)
    section = analysis.analyse(run_folders, destination, where, reference=arguments.reference, **settings)
    return section
