"""Options and output that several commands share."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UserError

if TYPE_CHECKING:
    import torch

    from bench.local import Execution
    from bench.plan import Request
    from bench.reports.declared import Declared
    from bench.reports.page import Selection


def home(text: str) -> Path:
    """The type of every option that is a path; `~` is the home, which a shell leaves alone behind `=`."""
    if not text:
        raise argparse.ArgumentTypeError("is empty: give it a value, or leave it out")
    return Path(os.path.expanduser(text))


def add_data_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data-root",
        type=home,
        default=home(os.environ.get("BENCH_DATA") or "data"),
        metavar="DIR",
        help="where datasets are, or are downloaded to; default $BENCH_DATA or data",
    )
    parser.add_argument(
        "--store-root",
        type=home,
        metavar="DIR",
        help="where decoded datasets go; default .bench in the data root (give it where that cannot be written)",
    )
    parser.add_argument(
        "--skip-corrupt", action="store_true", help="leave unreadable images out instead of refusing them"
    )


def add_plan_options(parser: argparse.ArgumentParser) -> None:
    """What `run` and `tune` share: methods, data, the common settings, and how runs are carried out."""
    parser.add_argument(
        "--methods",
        required=True,
        metavar="A,B",
        help="names, NAME:key=value, patterns ('solo/*'), `all`, or file:PATH.py (see `list methods`)",
    )
    parser.add_argument(
        "--dataset", required=True, metavar="NAME", help="name, NAME:VARIANT or folder:PATH; several with commas"
    )
    parser.add_argument("--preset", help="quick, standard or paper; default: standard with a GPU, quick without")
    parser.add_argument("--epochs", metavar="N", help="passes over the training images")
    parser.add_argument("--backbone", metavar="NAME", help="resnet18, resnet50 or slim")
    parser.add_argument("--batch-size", metavar="N", help="images per step")
    add_data_options(parser)
    add_execution_options(parser)


def add_execution_options(parser: argparse.ArgumentParser) -> None:
    """What `execution_of` takes."""
    parser.add_argument("--jobs", type=int, metavar="N", help="runs side by side; default: one per core, or per GPU")
    parser.add_argument(
        "--processes", type=int, default=1, metavar="N", help="of each run, which share its batches; default 1"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda; default auto")
    parser.add_argument(
        "--checkpoint-seconds", type=float, default=120, metavar="S", help="time between checkpoints; default 120"
    )
    parser.add_argument(
        "--tensorboard", action="store_true", help="write events into the run folders too, for `tensorboard --logdir`"
    )


def add_slurm_options(parser: argparse.ArgumentParser) -> None:
    """What `run` and `resubmit` share; None where the user did not say."""
    group = parser.add_argument_group("jobs", "any field of a profile can also follow as slurm.KEY=value")
    group.add_argument(
        "--profile", metavar="NAME|FILE", help="what a run asks of the cluster: gpu (default), cpu or a .yaml file"
    )
    group.add_argument("--partition", metavar="NAME", help="of the cluster")
    group.add_argument("--time", metavar="T", help="limit of a job, as sbatch takes it; it goes on in another one")
    group.add_argument("--concurrency", metavar="N", help="jobs at a time")


def slurm_words(arguments: argparse.Namespace) -> list[str]:
    """The options of `add_slurm_options` and the `slurm.KEY=value` words, which are taken out of `arguments.words`."""
    own = [word for word in arguments.words if word.startswith("slurm.")]
    arguments.words = [word for word in arguments.words if word not in own]
    flags = {name: getattr(arguments, name) for name in ("partition", "time", "concurrency")}
    return [*(f"slurm.{name}={value}" for name, value in flags.items() if value is not None), *own]


def request_of(arguments: argparse.Namespace, device: torch.device, seeds: Sequence[int], recipe: str) -> Request:
    """The plan that the options of `add_plan_options` ask for. Raises UserError for an unknown name."""
    from bench import discover
    from bench.arms import parse
    from bench.plan import Request, known_preset

    flags = {"epochs": arguments.epochs, "backbone.name": arguments.backbone, "batch_size": arguments.batch_size}
    return Request(
        methods=[parse(name) for name in discover.expand("methods", comma_separated("--methods", arguments.methods))],
        datasets=comma_separated("--dataset", arguments.dataset),
        seeds=seeds,
        preset=known_preset(arguments.preset or ("standard" if device.type == "cuda" else "quick")),
        # The user's key=value words come behind the options and win.
        words=[*(f"{key}={value}" for key, value in flags.items() if value is not None), *arguments.words],
        data_root=arguments.data_root,
        store_root=arguments.store_root,
        skip_corrupt=arguments.skip_corrupt,
        recipe=recipe,
        processes=_at_least_one("--processes", arguments.processes),
    )


def execution_of(arguments: argparse.Namespace, device: torch.device, runs: int) -> Execution:
    """How `runs` runs are carried out on this machine. Raises UserError for a number out of its range."""
    from bench.group import gpus
    from bench.hardware import cores
    from bench.local import Execution

    if arguments.jobs is not None:
        _at_least_one("--jobs", arguments.jobs)
    places = cores() if device.type == "cpu" else len(gpus(str(device)))
    jobs = arguments.jobs or max(1, min(runs, places // arguments.processes))
    return Execution(
        output=arguments.output,
        data_root=arguments.data_root,
        store_root=arguments.store_root,
        device=str(device),
        jobs=jobs,
        threads=max(1, cores() // (jobs * arguments.processes)),
        checkpoint_seconds=checkpoint_seconds_of(arguments),
        tensorboard=tensorboard_of(arguments),
    )


def checkpoint_seconds_of(arguments: argparse.Namespace) -> float:
    """The option's value. Raises UserError for one out of its range."""
    seconds: float = arguments.checkpoint_seconds
    if not 0 <= seconds < float("inf"):
        raise UserError("--checkpoint-seconds must be a number that is not negative.")
    return seconds


def tensorboard_of(arguments: argparse.Namespace) -> bool:
    """The option's value. Raises UserError where the package for it is missing."""
    if arguments.tensorboard:
        from bench import tensorboard

        tensorboard.check()
    wanted: bool = arguments.tensorboard
    return wanted


def _at_least_one(option: str, number: int) -> int:
    if number < 1:
        raise UserError(f"{option} {number}: give 1 or more.")
    return number


def comma_separated(option: str, text: str) -> list[str]:
    """Words between commas, those inside brackets aside. Raises UserError where one is empty or stands twice."""
    words = [word.strip() for word in re.split(r",(?![^\[]*\])", text)]
    if "" in words:
        raise UserError(f"{option} '{text}' has an empty name.")
    for word in words:
        if words.count(word) > 1:
            raise UserError(f"{option} names '{word}' twice.")
    return words


def print_report(
    outputs: list[Path], destination: Path, declared: Declared, selection: Selection | None = None
) -> None:
    """Write the report, of all runs unless a selection says otherwise, and print its tables and where it is."""
    from bench.reports import text
    from bench.reports.page import EVERYTHING, write_report
    from bench.store import disk_errors

    with disk_errors(destination):
        report = write_report(outputs, destination, declared, selection or EVERYTHING)
    print(f"\n{report.markdown}\n\nReport: {report.paths[0]}")
    if report.strangers:
        print(f"Not of this report, but there from an earlier one: {text.some(report.strangers)}.")
