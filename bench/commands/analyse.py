"""`analyse`: geometry, dynamics and localisation, from finished runs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from bench.commands._options import add_data_options, comma_separated
from bench.errors import UserError, suggest

HELP = "Look into finished encoders: their geometry, where their evidence lies, how objectives pull."
EXAMPLES = """geometry      effective rank, alignment, uniformity, redundancy, class separation, spectra, CKA;
localisation  class-activation and similarity maps against known boxes: of --annotations, or of composed pictures;
dynamics      gradient of objectives by pairwise correlation, toy problems, loss terms of runs if any are given.

examples:
  python -m bench analyse geometry runs
  python -m bench analyse localisation runs --methods smi,barlow,random --background cifar10
  python -m bench analyse localisation runs --annotations data/annotations/trimaps
  python -m bench analyse dynamics
"""
NAMES = ("geometry", "localisation", "dynamics")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help=", ".join(NAMES))
    parser.add_argument(
        "outputs", nargs="*", type=Path, metavar="DIR", help="output folders; default runs (dynamics: none)"
    )
    parser.add_argument("--methods", metavar="A,B", help="only runs of these methods, by exact name")
    parser.add_argument("--datasets", metavar="A,B", help="only runs on these datasets, by exact name")
    parser.add_argument("--reference", metavar="METHOD", help="method the others are compared with; default barlow")
    parser.add_argument(
        "--annotations",
        type=Path,
        metavar="DIR",
        help="localisation: boxes (VOC .xml, or CUB's bounding_boxes.txt) or trimaps (.png) of the test images",
    )
    parser.add_argument(
        "--background", metavar="NAME", help="localisation: dataset of the composed pictures' backgrounds"
    )
    parser.add_argument(
        "--images", type=int, metavar="N", help="test images examined; default 2048 (localisation: 1024)"
    )
    parser.add_argument("--seed", type=int, default=0, metavar="K", help="what draws images and views; default 0")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda; default auto")
    parser.add_argument(
        "--destination", type=Path, metavar="DIR", help="default: analysis/NAME in the first output folder"
    )
    add_data_options(parser)


def main(arguments: argparse.Namespace) -> int:
    name = arguments.name
    if name not in NAMES:
        raise UserError(f"There is no analysis '{name}'.{suggest(name, NAMES)}")
    for option in ("annotations", "background"):
        if getattr(arguments, option) is not None and name != "localisation":
            raise UserError(f"--{option} belongs to `analyse localisation`.")
    if arguments.images is not None and (name == "dynamics" or arguments.images < 4):
        raise UserError("--images must be at least 4, and dynamics examines none.")
    outputs = arguments.outputs or ([] if name == "dynamics" else [Path("runs")])
    destination = arguments.destination or (outputs[0] if outputs else Path("runs")) / "analysis" / name
    section = _run(name, _run_folders(outputs, arguments), destination, arguments)
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


def _run(name: str, run_folders: list[Path], destination: Path, arguments: argparse.Namespace) -> Path:
    from bench.hardware import cores, prepare_process, resolve_device

    device = resolve_device(arguments.device)
    prepare_process(device, cores())
    settings: dict[str, Any] = {"reference": arguments.reference, "seed": arguments.seed}
    if arguments.images is not None:
        settings["images"] = arguments.images
    if name == "dynamics":
        from bench.analysis import dynamics

        return dynamics.analyse(run_folders, destination, **settings)
    from bench.analysis.runs import Where

    where = Where(arguments.data_root, arguments.store_root, arguments.skip_corrupt, device)
    if name == "geometry":
        from bench.analysis import geometry

        return geometry.analyse(run_folders, destination, where, **settings)
    from bench.analysis import localisation

    settings |= {"annotations": arguments.annotations, "background": arguments.background}
    return localisation.analyse(run_folders, destination, where, **settings)
