"""`cost`: what a step, its parts, the objectives and other libraries cost on this machine."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands._options import add_data_options, comma_separated, home
from bench.errors import UserError, suggest

if TYPE_CHECKING:
    import torch

    from bench.api import ImageArrays, ImageFiles
    from bench.cost.record import Row
    from bench.data import Data
    from bench.spec import RunSpec

BY_DEFAULT = ("step", "turns", "rest", "objective", "views", "stream", "peers", "growth", "harness")
WHAT = (*BY_DEFAULT, "processes", "predictions")
HELP = "Measure what a training step, its parts and the objectives cost, beside the floor and other libraries."
EXAMPLES = f"""--what, of {",".join(WHAT)}:
  step       a step against the floor, the bare network on ready tensors, and where the difference goes
  turns      whole steps of all methods in the same rounds, their memory, and their objectives as shares of the first
  rest       evaluation, geometry and checkpoint
  objective  every objective alone over a grid of batch sizes and widths: time, memory, operations
  views      augmentation, against torchvision's and other libraries' picture by picture
  stream     pictures that every epoch decodes from its files, beside those of the decoded store
  peers      Barlow Twins end to end by lightly and solo-learn, where they are installed
  growth     time and memory over resolution, batch and widths, with a fitted model
  harness    --help, planning 10,000 runs, the report of 1,000
  processes  runs of the first method, of three epochs, in 1, 2, 4, ... processes that share its batches and all cores
             (or have a GPU each); only where asked for
  predictions
             what `run --dry-run` says of a run of each method, and the run, carried out whole; only where asked for

any setting can follow as key=value, as in `run`. Rows are kept in OUTPUT/cost.json as they come.

examples:
  python -m bench cost
  python -m bench cost --what step,peers --dataset imagewoof --data-root ~/data
  python -m bench cost --what objective --methods barlow,smi,vicreg --batch-sizes 256 --widths 512,2048,8192
  python -m bench cost --what step --trace --dataset cifar10 --device cuda --preset standard
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--what",
        default=",".join(BY_DEFAULT),
        metavar="A,B",
        help="what is measured; default: all but processes, predictions",
    )
    parser.add_argument(
        "--methods", metavar="A,B", help="names and patterns (`list methods`); default: every one that is installed"
    )
    parser.add_argument("--dataset", default="digits", metavar="NAME", help="name, NAME:VARIANT or folder:PATH")
    parser.add_argument("--preset", help="quick, standard or paper; default: standard with a GPU, quick without")
    parser.add_argument("--batch-sizes", default="64,256,1024", metavar="B,B", help="of the objectives' grid")
    parser.add_argument("--widths", default="512,2048,8192", metavar="D,D", help="of the objectives' grid")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda; default auto")
    parser.add_argument("--threads", type=int, default=1, metavar="N", help="on a CPU, and decoders; default 1")
    parser.add_argument("--trace", action="store_true", help="with step: also write OUTPUT/trace.json.gz")
    parser.add_argument("--output", type=home, default=Path("cost"), metavar="DIR", help="default cost")
    add_data_options(parser)


def main(arguments: argparse.Namespace) -> int:
    what = comma_separated("--what", arguments.what)
    for name in what:
        if name not in WHAT:
            raise UserError(f"--what: there is no '{name}'.{suggest(name, WHAT)}")
    from bench.cost import figures, peers, table
    from bench.cost.record import Record
    from bench.files import write_text
    from bench.hardware import environment, prepare_process, resolve_device
    from bench.store import disk_errors

    device = resolve_device(arguments.device)
    if arguments.threads < 1:
        raise UserError(f"--threads {arguments.threads}: at least one.")
    prepare_process(device, arguments.threads)
    with disk_errors(arguments.output):
        here = environment(device, arguments.threads) | {"packages": peers.versions()}
        record = Record(arguments.output, here, what)
        for row in _rows(what, arguments, device):
            record.add(row)
        page = table.render(record)
        write_text(arguments.output / "cost.md", page)
        figures.write(record, arguments.output)
    print(f"{page}\nWritten: {arguments.output}")
    return 0


def _rows(what: list[str], arguments: argparse.Namespace, device: torch.device) -> Iterator[Row]:
    """All rows, the objectives last: they take longest."""
    from bench.cost import harness, objective, peers

    methods = _methods(arguments)
    if "harness" in what:
        yield from harness.measure(arguments.data_root)
    if set(what) - {"objective", "harness"}:
        yield from _on_pictures(what, methods, arguments, device)
    if "objective" in what:
        batches = _numbers("--batch-sizes", arguments.batch_sizes)
        widths = _numbers("--widths", arguments.widths)
        others = {**objective.both_forms(methods), **peers.losses()}
        yield from objective.measure(methods, others, batches, widths, device)


def _on_pictures(
    what: list[str], methods: list[str], arguments: argparse.Namespace, device: torch.device
) -> Iterator[Row]:
    from bench import discover
    from bench.api import ImageFiles
    from bench.cost import growth, peers, predictions, processes, step, stream, turns, views
    from bench.data import load
    from bench.datasets._store import open_store
    from bench.plan import open_dataset

    trained = [name for name in methods if discover.load("methods", name).trains]
    if not trained:
        raise UserError("--methods: none of them is trained, so that none has a step to measure.")
    specs = _plan(arguments, trained, device)
    store = open_store(open_dataset(arguments.dataset), arguments.data_root, arguments.store_root)
    if store.short_side is not None:
        raise UserError(
            f"{store.key} is streamed from its files; steps are measured on decoded pictures (prepare --no-stream)."
        )
    data = load(store, device)
    protocol = specs[0].protocol
    if "step" in what:
        for spec in specs:
            yield from step.measure(spec, data, device)
        if arguments.trace:
            step.trace(specs[0], data, device, arguments.output / "trace.json.gz")
    if "turns" in what:
        yield from turns.measure(specs, data, device)
    if "rest" in what:
        yield from step.measure_rest(specs[0], data, device)
    if "views" in what:
        others = peers.transforms(protocol.augment, protocol.image_size, data.mean.tolist(), data.std.tolist())
        yield from views.measure(data, protocol.augment, protocol.image_size, protocol.batch_size, others, device)
    if "stream" in what:
        dataset = open_dataset(arguments.dataset)
        raw = dataset.find(arguments.data_root)
        files = raw.splits["train"] if raw else None
        if isinstance(files, ImageFiles) and dataset.short_side is not None and not store.report["skipped"]:
            yield from stream.measure(specs[0], data, files, dataset.short_side, device)
        else:
            print(f"stream: not measured, since {arguments.dataset} has no files of all its pictures here.")
    if "peers" in what:
        yield from _peers(arguments, data, device)
    if "growth" in what:
        yield from growth.measure(specs[0], data, device)
    if "processes" in what:
        yield from processes.measure(specs[0], arguments.data_root, arguments.store_root, device)
    if "predictions" in what:
        yield from predictions.measure(specs, data, device)


def _peers(arguments: argparse.Namespace, data: Data, device: torch.device) -> Iterator[Row]:
    from bench.cost import peers
    from bench.hardware import resolve_precision

    specs = {}
    for precision in dict.fromkeys(("float32", resolve_precision("auto", device))):
        (spec,) = _plan(arguments, ["barlow"], device, [f"precision={precision}"])
        specs[precision] = spec
    yield from peers.measure(specs, data, _training_split(arguments), device)


def _training_split(arguments: argparse.Namespace) -> ImageFiles | ImageArrays:
    """Its pictures before decoding, as files or arrays."""
    from bench.plan import open_dataset

    raw = open_dataset(arguments.dataset).find(arguments.data_root)
    if raw is None:
        raise UserError(f"The raw pictures of {arguments.dataset} are not under {arguments.data_root}.")
    return raw.splits["train"]


def _methods(arguments: argparse.Namespace) -> list[str]:
    from bench import discover

    if arguments.methods is not None:
        return discover.expand("methods", comma_separated("--methods", arguments.methods))
    return [name for name in discover.names("methods") if not discover.describe("methods", name).missing]


def _plan(
    arguments: argparse.Namespace, methods: list[str], device: torch.device, words: list[str] | None = None
) -> list[RunSpec]:
    """One run of each method, at seed 0; `words` hold whatever the user's say."""
    from bench.arms import parse
    from bench.plan import Request, known_preset, plan

    preset = known_preset(arguments.preset or ("standard" if device.type == "cuda" else "quick"))
    return plan(
        Request(
            methods=[parse(name) for name in methods],
            datasets=[arguments.dataset],
            seeds=[0],
            preset=preset,
            words=[*arguments.words, *(words or [])],  # of two values the last holds
            data_root=arguments.data_root,
            store_root=arguments.store_root,
            skip_corrupt=arguments.skip_corrupt,
            recipe="none",
        ),
        device,
    )


def _numbers(option: str, text: str) -> list[int]:
    words = comma_separated(option, text)
    if not all(word.isdecimal() and int(word) >= 2 for word in words):
        raise UserError(f"{option} {text}: whole numbers from 2 on, with commas.")
    return [int(word) for word in words]
