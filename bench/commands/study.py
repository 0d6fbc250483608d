"""`study`: a declared experiment, run and reported."""

from __future__ import annotations

import argparse
import itertools
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from bench.commands._options import add_data_options, add_execution_options, comma_separated, home, print_report
from bench.commands.run import Planned, add_executor_options, carry_out
from bench.errors import UserError

if TYPE_CHECKING:
    import torch

    from bench.reports.declared import Declared
    from bench.spec import RunSpec
    from bench.study import Cell, Chosen, Study

HELP = "Run a declared study (`list studies`) and write its report."
EXAMPLES = """a study is one YAML file: arms x settings x datasets x seeds, what they are compared with and how.
Runs lie in OUTPUT like those of `run`, shared between studies; the report goes to OUTPUT/studies/NAME. Settings that
follow as key=value hold for every run; for an axis of the study's grid, values with commas replace its own, and
ANALYSIS.OPTION=value is for one of its analyses.

examples:
  python -m bench study ablation --dataset digits --dry-run
  python -m bench study ablation                 tunes every arm with an equal budget, on validation data, then runs
  python -m bench study ablation --tune          the tuning alone, before `--executor slurm`, say
  python -m bench study ablation --untuned       with recipes as they are
  python -m bench study batch-size --dataset imagewoof --seeds 3 batch_size=32,512
  python -m bench study main --dataset cifar10 --preset standard --executor slurm --partition gpu
  python -m bench study main --report-only       from the runs that have finished

The same command again repeats nothing that is finished and goes on where it was stopped.
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME", help="one of `list studies`, or a .yaml file")
    parser.add_argument("--dataset", metavar="A,B", help="datasets instead of the study's own")
    parser.add_argument("--preset", help="quick, standard or paper; default: the study's own")
    parser.add_argument("--seeds", metavar="N|A,B", help="how many or which; default: the study's own number")
    parser.add_argument(
        "--recipe",
        default="auto",
        metavar="NAME|FILE",
        help="as in `run`; what --tune wrote for this study goes before it; default auto",
    )
    parser.add_argument(
        "--output", type=home, default=Path("results"), metavar="DIR", help="of runs and reports; default results"
    )
    add_data_options(parser)
    add_execution_options(parser)
    add_executor_options(parser)
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--tune", action="store_true", help="search settings for every arm, and run nothing else")
    what.add_argument("--untuned", action="store_true", help="take settings from recipes, do not search first")
    what.add_argument("--report-only", action="store_true", help="run nothing, report what has finished")


def main(arguments: argparse.Namespace) -> int:
    from bench.files import write_text
    from bench.plan import known_preset, parse_seeds
    from bench.reports.declared import DECLARED
    from bench.study import Chosen, plan_study, read, with_values

    study, words = with_values(read(arguments.name), arguments.words)
    if arguments.processes < 1:
        raise UserError(f"--processes {arguments.processes}: at least one.")
    if arguments.preset is not None:
        known_preset(arguments.preset)
    name = Path(arguments.name).stem
    folder = arguments.output / "studies" / name
    chosen = Chosen(
        seeds=parse_seeds(arguments.seeds or str(study.seeds)),
        data_root=arguments.data_root,
        store_root=arguments.store_root,
        skip_corrupt=arguments.skip_corrupt,
        datasets=comma_separated("--dataset", arguments.dataset) if arguments.dataset else None,
        preset=arguments.preset,
        words=[word for word in words if not word.startswith("slurm.")],
        recipe=arguments.recipe,
        processes=arguments.processes,
        tuned=arguments.output / "tuning" / name,
    )
    _refuse_together(arguments)
    print(f"{study.title}\n{study.question}", flush=True)
    if arguments.tune:
        return _tune(study, chosen, arguments)
    planned: list[RunSpec] = []
    cells: list[Cell] = []

    if not study.arms:
        _refuse_settings(name, arguments)
        if not arguments.dry_run:
            write_text(folder / DECLARED, _declared(name, study, chosen, cells, arguments).to_json())
        return _commands(study, folder, arguments)

    def planner(device: torch.device) -> Planned:
        specs, found = plan_study(study, chosen, device)
        if study.tune and _tunes_first(arguments):
            _tune(study, chosen, arguments, missing_only=True)
            specs, found = plan_study(study, chosen, device)
        planned.extend(specs)
        cells.extend(found)
        _say_untuned(study, specs)
        return Planned(specs, chosen.preset or study.preset)

    def report() -> None:
        _analyse(study, planned, cells, folder, arguments)
        print_report([arguments.output], folder, _declared(name, study, chosen, cells, arguments))

    if not arguments.dry_run:
        _prepare_for_analyses(study, arguments)
    if arguments.report_only:
        planner(_device_of_the_runs(arguments.device))
        report()
        return 0
    code = carry_out(arguments, planner, report)
    return code if arguments.dry_run else max(code, _commands(study, folder, arguments))


def _refuse_together(arguments: argparse.Namespace) -> None:
    """Raise UserError for options of which one would go unheeded."""
    if arguments.report_only and arguments.dry_run:
        raise UserError("--report-only runs nothing and writes the report, --dry-run writes nothing: leave one out.")
    for option in ("tune", "report_only"):
        if getattr(arguments, option) and arguments.executor != "local":
            name = option.replace("_", "-")
            raise UserError(f"--{name} is done on this machine: leave --executor {arguments.executor} out.")


def _refuse_settings(name: str, arguments: argparse.Namespace) -> None:
    """Raise UserError for what a study without runs of its own would not heed."""
    options = [f"--{option}" for option in ("dataset", "preset", "seeds") if getattr(arguments, option) is not None]
    options += ["--store-root"] if arguments.store_root is not None else []
    options += ["--executor"] if arguments.executor != "local" else []
    if options or arguments.words:
        raise UserError(
            f"The study {name} is other commands of the suite, run here as they are declared: leave "
            f"{', '.join([*options, *arguments.words])} out, or give such a command yourself (--dry-run prints them)."
        )


def _device_of_the_runs(name: str) -> torch.device:
    """Where the runs that are reported were carried out, which may have been another machine, with a GPU."""
    import torch

    from bench.hardware import resolve_device

    return torch.device("cuda") if name == "cuda" else resolve_device(name)


def _declared(name: str, study: Study, chosen: Chosen, cells: list[Cell], arguments: argparse.Namespace) -> Declared:
    from bench.arms import parse
    from bench.reports.declared import Declared
    from bench.reports.study import Cell as CellRecord
    from bench.reports.study import Record
    from bench.study import variants_apart

    record = Record(
        name=name,
        title=study.title,
        question=study.question,
        section=study.section,
        reference=parse(study.reference).name if study.reference else None,
        seeds=list(chosen.seeds),
        cells=[CellRecord(cell.key, cell.arm, cell.dataset, dict(cell.variant)) for cell in cells],
        factors=study.factors,
        accuracy_in=study.accuracy_in,
        command=_command(arguments),
        analyses=[str(Path(name, variant)) for name in study.analysis for variant in variants_apart(cells)],
    )
    margin = None if study.margin is None else study.margin / 100
    return Declared(metric=study.metric, paired=study.paired, margin=margin, study=record)


def _command(arguments: argparse.Namespace) -> str:
    """As it would be typed again, less what says where things lie."""
    options = {name: getattr(arguments, name) for name in ("dataset", "preset", "seeds")}
    words = [f"--{name} {shlex.quote(value)}" for name, value in options.items() if value is not None]
    words += [shlex.quote(word) for word in arguments.words if not word.startswith("slurm.")]
    return " ".join(["python -m bench study", shlex.quote(arguments.name), *words])


def _say_untuned(study: Study, specs: list[RunSpec]) -> None:
    """One line where not every trained arm has settings of equal standing."""
    from bench.study import trained

    methods = {arm.short_name for arm in trained(study)}
    trainable = [spec for spec in specs if spec.method.short_name in methods]
    labels = {f"{spec.method.short_name}/{spec.digest}": spec.recipe for spec in trainable}
    tuned = sum(label.startswith("tuned") for label in labels.values())
    if tuned < len(labels):
        advice = "`--tune` gives all the same budget" if study.tune else "the study's file has no `tune`"
        print(f"Note: {tuned} of {len(labels)} configurations have tuned settings; {advice}.")


def _tunes_first(arguments: argparse.Namespace) -> bool:
    """Jobs do not tune, nor does each process of torchrun, and a recipe that was asked for is taken as it is."""
    leaves_it = arguments.untuned or arguments.report_only or arguments.recipe != "auto"
    return not leaves_it and arguments.executor == "local"


def _tune(study: Study, chosen: Chosen, arguments: argparse.Namespace, missing_only: bool = False) -> int:
    """`tune` for every dataset of the study, and what is tuned anew, each with the same arms and budget."""
    from bench.cli import dispatch
    from bench.study import trained, tuned_name

    if study.tune is None:
        raise UserError("This study declares no tuning: its file has no `tune`.")
    preset = chosen.preset or study.preset
    code = 0
    assert chosen.tuned is not None
    for dataset, (at, (own, rates)) in itertools.product(chosen.datasets or study.datasets, study.tunings().items()):
        epochs = study.tune.epochs.get(dataset) if preset == study.preset else None
        size = study.datasets.get(dataset, []) if preset == study.preset else []
        length = ("epochs=", "budget.length=") if epochs else ("epochs=",)
        settings = [word for word in [*size, *study.words, *own, *chosen.words] if not word.startswith(length)]
        words = ["tune", "--methods", ",".join(arm.name for arm in trained(study)), "--dataset", dataset]
        # Trials are shared: an arm of several studies is tuned once, and its runs are the same in all of them.
        save = chosen.tuned / tuned_name(dataset, preset, at)
        if missing_only and save.is_file():
            continue
        words += ["--preset", preset, "--trials", str(study.tune.trials)]
        words += ["--output", str(chosen.tuned.parent), "--save", str(save)]
        words += ["--epochs", str(epochs)] if epochs else []
        words += ["--rates", ",".join(f"{rate:g}" for rate in rates)] if rates else []
        words += _passed_on(arguments, ("data_root", "store_root", "jobs", "device", "processes", "checkpoint_seconds"))
        words += [*settings, *(["--tensorboard"] if arguments.tensorboard else [])]
        words += ["--skip-corrupt"] if arguments.skip_corrupt else []
        words += ["--dry-run"] if arguments.dry_run else []
        print(f"\npython -m bench {shlex.join(words)}", flush=True)
        code = max(code, dispatch(words))
    return code


def _commands(study: Study, folder: Path, arguments: argparse.Namespace) -> int:
    """The study's other commands; their files go to its folder."""
    from bench.cli import dispatch

    code = 0
    for command in study.commands:
        whole = command.format(folder=shlex.quote(str(folder)))
        words = [*shlex.split(whole), *_passed_on(arguments, ("data_root", "device"))]
        print(f"\npython -m bench {shlex.join(words)}", flush=True)
        if not (arguments.dry_run or arguments.report_only):
            code = max(code, dispatch(words))
    return code


def _passed_on(arguments: argparse.Namespace, options: tuple[str, ...]) -> list[str]:
    """Options of this command as words for another."""
    words = []
    for name in options:
        value = getattr(arguments, name)
        words += [] if value is None else [f"--{name.replace('_', '-')}", str(value)]
    return words


def _prepare_for_analyses(study: Study, arguments: argparse.Namespace) -> None:
    """The datasets that analyses need beside those of the runs: what is missing is said before days of training."""
    from bench.analysis.options import datasets_of
    from bench.datasets._store import prepare
    from bench.plan import open_dataset

    for name in dict.fromkeys(name for options in study.analysis.values() for name in datasets_of(options)):
        prepare(open_dataset(name), arguments.data_root, arguments.store_root, arguments.skip_corrupt)


def _analyse(
    study: Study, specs: list[RunSpec], cells: list[Cell], folder: Path, arguments: argparse.Namespace
) -> None:
    """The study's analyses on its finished encoders, each in a folder of its own, and in that every variant."""
    if not study.analysis:
        return
    import importlib

    import torch

    from bench.analysis.options import parsed
    from bench.analysis.runs import Where
    from bench.hardware import cores, prepare_process, resolve_device
    from bench.store import RunFolder
    from bench.study import key_of, variants_apart

    elsewhere = arguments.report_only and not torch.cuda.is_available()  # the runs were, on GPUs perhaps
    device = resolve_device("auto" if elsewhere else arguments.device)
    prepare_process(device, cores())
    where = Where(arguments.data_root, arguments.store_root, arguments.skip_corrupt, device)
    for variant, keys in variants_apart(cells).items():
        folders = [RunFolder(arguments.output, spec.id) for spec in specs if key_of(spec) in keys]
        finished = [one.path for one in folders if one.encoder.is_file()]
        there = {str(path.parent.relative_to(arguments.output)) for path in finished} & set(keys)
        named = [cell.key.partition("/")[2] for cell in cells if cell.arm == study.reference and cell.key in there]
        reference = ",".join(named) if study.reference else None
        if variant and not finished:
            continue  # of an interrupted study; the next report has it
        for name, options in study.analysis.items():
            analysis = importlib.import_module(f"bench.analysis.{name}")
            places = [] if name == "dynamics" else [where]  # of objectives, not of encoders on pictures
            settings = parsed(name, options)
            analysis.analyse(finished, folder / "analysis" / name / variant, *places, reference=reference, **settings)
