"""`run`: pretrain and evaluate methods on a dataset over several seeds, then write the tables."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from bench.commands._options import (
    add_plan_options,
    add_slurm_options,
    checkpoint_seconds_of,
    execution_of,
    home,
    print_report,
    request_of,
    slurm_words,
    tensorboard_of,
)
from bench.errors import UserError

if TYPE_CHECKING:
    import torch

    from bench.plan import Request
    from bench.slurm.profile import Profile
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
  python -m bench run --methods smi,barlow --dataset imagewoof --executor slurm --partition gpu --time 4:00:00

The same command again repeats nothing that is finished and goes on where it was stopped.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_plan_options(parser)
    parser.add_argument(
        "--seeds",
        default="3",
        metavar="N|A,B",
        help="how many (5 means 0 to 4) or which (0,3,7; one: 7,); default 3",
    )
    parser.add_argument(
        "--recipe",
        default="auto",
        metavar="NAME|FILE",
        help="settings per method: a name (`list recipes`), a file of `tune`, none, or auto, the one for the dataset",
    )
    parser.add_argument(
        "--output", type=home, default=Path("runs"), metavar="DIR", help="where runs and report go; default runs"
    )
    add_executor_options(parser)
    parser.add_argument(
        "--reference", metavar="METHOD", help="method that the others are compared with; default barlow"
    )


def add_executor_options(parser: argparse.ArgumentParser) -> None:
    """What `carry_out` takes beside `add_execution_options`."""
    parser.add_argument(
        "--executor",
        choices=["local", "inline", "slurm"],
        default="local",
        help="where the runs are carried out: local (default), in processes of this machine; inline, in this one or in "
        "those of torchrun; slurm, as jobs of a cluster",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the plan and its estimated cost, run nothing")
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--resume", action="store_true", help="go on where an earlier command stopped (the default)")
    how.add_argument("--fresh", action="store_true", help="forget earlier results of these runs and repeat them")
    add_slurm_options(parser)
    parser.add_argument("--pack", type=int, metavar="K", help="so many runs side by side in one job, on one GPU")
    parser.add_argument("--wait", action="store_true", help="follow the jobs and print the tables at their end")


def main(arguments: argparse.Namespace) -> int:
    def planned(device: torch.device) -> Planned:
        from bench.plan import plan

        request = _request(arguments, device)
        return Planned(plan(request, device), request.preset)

    def report() -> None:
        from bench.reports.declared import Declared

        print_report([arguments.output], arguments.output / "report", Declared(arguments.reference))

    return carry_out(arguments, planned, report)


class Planned(NamedTuple):
    """Runs for one device, and the preset they start from."""

    specs: Sequence[RunSpec]
    preset: str


Planner = Callable[["torch.device"], Planned]


def carry_out(arguments: argparse.Namespace, planned: Planner, report: Callable[[], None]) -> int:
    """What the options say is done with a plan: its cost printed, jobs submitted, or runs here and then the `report`.

    Returns the exit code, 1 where a run failed. Raises UserError for options that do not go together.
    """
    words = slurm_words(arguments)
    tensorboard_of(arguments)  # before any data is prepared
    if arguments.executor == "slurm":
        return _on_a_cluster(arguments, words, planned)
    _refuse_slurm_options(arguments, words)
    return _here(arguments, planned, report)


def _here(arguments: argparse.Namespace, planned: Planner, report: Callable[[], None]) -> int:
    from bench import local
    from bench.hardware import resolve_device

    alone = arguments.executor == "inline"
    if alone:
        from bench import inline  # with all that a run needs, which a plan does not

        arguments.processes, arguments.jobs = inline.processes(arguments.processes), inline.jobs(arguments.jobs)
    device = resolve_device(arguments.device)
    specs, preset = planned(device)
    execution = execution_of(arguments, device, len(specs))
    speaks = not alone or inline.leads()
    if speaks:
        print(f"{_headline(specs, preset)} on {device.type}, {execution.jobs} at a time", flush=True)
    if arguments.dry_run:
        from bench.estimate import print_estimate

        print_estimate(specs, execution, device)
        return 0
    (inline if alone else local).run(specs, execution, arguments.fresh)
    if not speaks:
        return 0
    report()
    return _code(specs, arguments.output)


def _on_a_cluster(arguments: argparse.Namespace, words: Sequence[str], planned: Planner) -> int:
    import dataclasses

    import torch

    from bench.commands._submitting import announce, wait
    from bench.slurm import profile, submit

    submit.check_cluster()
    if arguments.jobs is not None:
        raise UserError("--jobs is for --executor local; --concurrency limits the jobs of a cluster.")
    asked = profile.resolve(profile.read(arguments.profile or "gpu"), words)
    asked, arguments.processes = _in_step(asked, arguments.processes)
    device = torch.device(_cluster_device(arguments.device, asked))
    specs, preset = planned(device)
    manner = submit.Manner(
        output=str(arguments.output.absolute()),
        data_root=str(arguments.data_root.expanduser().absolute()),
        store_root=None if arguments.store_root is None else str(arguments.store_root.expanduser().absolute()),
        device=device.type,
        checkpoint_seconds=checkpoint_seconds_of(arguments),
        pack=1 if arguments.pack is None else arguments.pack,
        processes=specs[0].world_size,
        reference=getattr(arguments, "reference", None),
        tensorboard=tensorboard_of(arguments),
    )
    print(f"{_headline(specs, preset)} on {device.type}, {asked.concurrency} jobs at a time", flush=True)
    if arguments.dry_run:
        given = {key: value for key, value in dataclasses.asdict(asked).items() if value not in (None, [], {})}
        print("Each asks for " + ", ".join(f"{key} {value}" for key, value in given.items()))
        return 0
    announce(submit.submit(specs, manner, asked, arguments.fresh), arguments.output)
    return wait(arguments.output, [spec.id for spec in specs]) if arguments.wait else 0


def _request(arguments: argparse.Namespace, device: torch.device) -> Request:
    from bench.plan import parse_seeds

    request = request_of(arguments, device, parse_seeds(arguments.seeds), arguments.recipe)
    short_names = [arm.short_name for arm in request.methods]
    if arguments.reference is not None and arguments.reference not in short_names:
        raise UserError(f"--reference {arguments.reference} is not one of --methods {','.join(short_names)}.")
    return request


def _refuse_slurm_options(arguments: argparse.Namespace, words: Sequence[str]) -> None:
    """The executor is what the user says, never what other options or the machine suggest."""
    given = [name for name in ("profile", "pack", "wait") if getattr(arguments, name)]
    if given or words:
        what = f"--{given[0]}" if given else words[0]
        raise UserError(f"{what} is for jobs of a cluster: add --executor slurm, or leave it out.")


def _in_step(asked: Profile, processes: int) -> tuple[Profile, int]:
    """A run has one process per GPU: where one of the numbers was left at 1, the other says what is meant."""
    import dataclasses

    if asked.gpus > 1 and processes == 1:
        processes = asked.gpus
    if asked.gpus == 1:
        asked = dataclasses.replace(asked, gpus=processes)
    return asked, processes


def _cluster_device(wanted: str, asked: Profile) -> str:
    """Where the runs of a job compute; this machine need not have a GPU for that."""
    if wanted == "auto":
        return "cuda" if asked.gpus else "cpu"
    if wanted not in ("cpu", "cuda"):
        raise UserError(f"--device {wanted}: give auto, cpu or cuda; which GPU it is, the cluster decides.")
    if wanted == "cuda" and not asked.gpus:
        raise UserError("--device cuda needs slurm.gpus=1, or a profile with GPUs.")
    return wanted


def _code(specs: Sequence[RunSpec], output: Path) -> int:
    """1 where a run failed."""
    from bench.store import RunFolder

    results = [RunFolder(output, spec.id).result() for spec in specs]
    return 1 if any(result is None or result["status"] == "failed" for result in results) else 0


def _headline(specs: Sequence[RunSpec], preset: str) -> str:
    protocols = list({spec.digest: spec.protocol for spec in specs}.values())
    widths = [f" of width {protocol.backbone.width}" if protocol.backbone.width else "" for protocol in protocols]
    shapes = [f"{protocol.backbone.name}{width}" for protocol, width in zip(protocols, widths, strict=True)]

    def every(values: Iterable[object]) -> str:
        return "/".join(dict.fromkeys(map(str, values)))

    datasets = ", ".join(dict.fromkeys(spec.dataset.name for spec in specs))
    methods = ", ".join(dict.fromkeys(spec.method.short_name for spec in specs))
    seeds = len({spec.seed for spec in specs})
    sources = ", ".join(dict.fromkeys(spec.recipe for spec in specs))
    return (
        f"{methods} on {datasets}: preset {preset}, settings {sources}, "
        f"{every(protocol.image_size for protocol in protocols)} px, {every(shapes)}, "
        f"{every(protocol.epochs for protocol in protocols)} epochs, "
        f"batch {every(protocol.batch_size for protocol in protocols)}, "
        f"{every(protocol.precision for protocol in protocols)}, {seeds} seed{'s' * (seeds > 1)}; {len(specs)} runs"
    )
