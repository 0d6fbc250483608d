"""`run`: pretrain and evaluate methods on a dataset over several seeds, then write the tables."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands._options import add_data_options, comma_separated, print_report
from bench.errors import UserError

if TYPE_CHECKING:
    from bench.spec import RunSpec

HELP = "Pretrain methods on a dataset over several seeds, evaluate them and write the tables."
EXAMPLES = """any setting can follow as key=value, for all methods or for one:
  python -m bench run --methods smi,barlow --dataset imagewoof optimizer.lr=0.2 smi.w=20 barlow.optimizer.lr=0.1

examples:
  python -m bench run --methods smi,barlow,random --dataset digits
  python -m bench run --methods smi,barlow --dataset imagewoof --seeds 5 --data-root ~/data --output runs
  python -m bench run --methods barlow,file:my_loss.py --dataset folder:~/pictures --preset standard
  python -m bench run --methods smi,smi:transform=identity,smi:form=maxmin:w=3 --dataset digits
  python -m bench run --methods all --dataset cifar10 --dry-run

The same command again repeats nothing that is finished and goes on where it was stopped.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--methods",
        required=True,
        metavar="A,B",
        help="names or patterns ('solo/*'), `all`, or file:PATH.py (see `list methods`)",
    )
    parser.add_argument(
        "--dataset", required=True, metavar="NAME", help="name, NAME:VARIANT or folder:PATH; several with commas"
    )
    parser.add_argument(
        "--seeds",
        default="3",
        metavar="N|A,B",
        help="how many (5 means 0 to 4) or which (0,3,7; one: 7,); default 3",
    )
    parser.add_argument("--preset", help="quick, standard or paper; default: standard with a GPU, quick without")
    parser.add_argument(
        "--recipe",
        default="auto",
        metavar="NAME|FILE",
        help="settings per method: a name (`list recipes`), a file of `tune`, none, or auto, the one for the dataset",
    )
    parser.add_argument("--epochs", metavar="N", help="passes over the training images")
    parser.add_argument("--backbone", metavar="NAME", help="resnet18, resnet50 or slim")
    parser.add_argument("--batch-size", metavar="N", help="images per step")
    add_data_options(parser)
    parser.add_argument(
        "--output", type=Path, default=Path("runs"), metavar="DIR", help="where runs and report go; default runs"
    )
    parser.add_argument(
        "--executor", choices=["local"], default="local", help="where the runs are carried out; default local"
    )
    parser.add_argument(
        "--jobs", type=int, metavar="N", help="runs side by side; default: one per core, or one on a GPU"
    )
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda; default auto")
    parser.add_argument(
        "--checkpoint-seconds", type=float, default=120, metavar="S", help="time between checkpoints; default 120"
    )
    parser.add_argument(
        "--reference", metavar="METHOD", help="method that the others are compared with; default barlow"
    )
    parser.add_argument("--dry-run", action="store_true", help="print the plan and its estimated cost, run nothing")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--resume", action="store_true", help="go on where an earlier command stopped (the default)")
    how.add_argument("--fresh", action="store_true", help="forget earlier results of these runs and repeat them")


def main(arguments: argparse.Namespace) -> int:
    from bench import discover, local
    from bench.arms import parse
    from bench.hardware import cores, resolve_device
    from bench.plan import Request, known_preset, parse_seeds, plan
    from bench.store import RunFolder

    if arguments.jobs is not None and arguments.jobs < 1:
        raise UserError(f"--jobs {arguments.jobs}: at least one run must go on at a time.")
    if not 0 <= arguments.checkpoint_seconds < float("inf"):
        raise UserError("--checkpoint-seconds must be a number that is not negative.")
    methods = [parse(name) for name in discover.expand("methods", comma_separated("--methods", arguments.methods))]
    device = resolve_device(arguments.device)
    preset = known_preset(arguments.preset or ("standard" if device.type == "cuda" else "quick"))
    request = Request(
        methods=methods,
        datasets=comma_separated("--dataset", arguments.dataset),
        seeds=parse_seeds(arguments.seeds),
        preset=preset,
        words=[*_flags(arguments), *arguments.words],
        data_root=arguments.data_root,
        store_root=arguments.store_root,
        skip_corrupt=arguments.skip_corrupt,
        recipe=arguments.recipe,
    )
    short_names = [arm.short_name for arm in methods]
    if arguments.reference is not None and arguments.reference not in short_names:
        raise UserError(f"--reference {arguments.reference} is not one of --methods {','.join(short_names)}.")
    specs = plan(request, device)
    jobs = arguments.jobs or (1 if device.type == "cuda" else min(cores(), len(specs)))
    print(_headline(specs, preset, device.type, jobs), flush=True)
    if arguments.dry_run:
        from bench.estimate import print_estimate

        print_estimate(specs, arguments.output, arguments.data_root, arguments.store_root, device, jobs)
        return 0
    execution = local.Execution(
        output=arguments.output,
        data_root=arguments.data_root,
        store_root=arguments.store_root,
        device=str(device),
        jobs=jobs,
        threads=max(1, cores() // jobs),
        checkpoint_seconds=arguments.checkpoint_seconds,
    )
    local.run(specs, execution, arguments.fresh)
    print_report([arguments.output], arguments.output / "report", arguments.reference)
    results = [RunFolder(arguments.output, spec.id).result() for spec in specs]
    return 1 if any(result is None or result["status"] == "failed" for result in results) else 0


def _flags(arguments: argparse.Namespace) -> list[str]:
    """The common options as settings; `key=value` words come after them and win."""
    flags = {"epochs": arguments.epochs, "backbone.name": arguments.backbone, "batch_size": arguments.batch_size}
    return [f"{key}={value}" for key, value in flags.items() if value is not None]


def _headline(specs: Sequence[RunSpec], preset: str, device: str, jobs: int) -> str:
    protocol = specs[0].protocol
    width = f" of width {protocol.backbone.width}" if protocol.backbone.width else ""
    datasets = ", ".join(dict.fromkeys(spec.dataset.name for spec in specs))
    methods = ", ".join(dict.fromkeys(spec.method.short_name for spec in specs))
    seeds = len({spec.seed for spec in specs})
    return (
        f"{methods} on {datasets}: preset {preset}, {protocol.image_size} px, {protocol.backbone.name}{width}, "
        f"{protocol.epochs} epochs, batch {protocol.batch_size}, {protocol.precision}, "
        f"{seeds} seed{'s' * (seeds > 1)}; {len(specs)} runs on {device}, {jobs} at a time"
    )
