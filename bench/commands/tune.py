"""`tune`: the same number of trials for every method, judged on validation data; writes a recipe."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.commands._options import add_plan_options, execution_of, home, request_of
from bench.errors import UserError

if TYPE_CHECKING:
    import torch

    from bench.arms import Arm
    from bench.plan import Request
    from bench.tuning import Best, Trial

HELP = "Search settings for several methods with equal budgets, on validation data, and write a recipe."
EXAMPLES = """examples:
  python -m bench tune --methods smi,barlow,vicreg --dataset digits --trials 16 --trial-seconds 60
  python -m bench tune --methods smi,smi:transform=identity --dataset imagewoof --output tuning
  python -m bench tune --methods smi --dataset imagewoof --dry-run
  python -m bench run --methods smi,barlow --dataset digits --recipe tuning/digits-quick.yaml

The first trial of every method is the preset with the method's defaults; the others are quasi-random points in the
learning rate and the hyperparameters that the method's file marks. The same command again repeats nothing.
"""


LENGTH = re.compile(r"(^|\.)(epochs|budget\.\w+)$")
"""Settings that say how long a run is."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_plan_options(parser)
    parser.add_argument("--trials", type=int, default=16, metavar="N", help="runs per method; default 16")
    parser.add_argument(
        "--trial-seconds",
        type=float,
        metavar="S",
        help="shorten the trials of all methods to what the slowest pretrains in S seconds (of one processor, or of a "
        "GPU's clock); default: the preset's full length",
    )
    parser.add_argument(
        "--rates",
        metavar="LOW,HIGH",
        help="learning rates among which is searched; default: a tenth to ten times the preset's",
    )
    parser.add_argument(
        "--output",
        type=home,
        default=Path("tuning"),
        metavar="DIR",
        help="where trials and recipe go; default tuning",
    )
    parser.add_argument("--dry-run", action="store_true", help="print the trials and their estimated cost, run nothing")
    parser.add_argument(
        "--save",
        type=home,
        metavar="FILE",
        help="where the recipe goes (.yaml), its trials as a table beside it; default OUTPUT/DATASET-PRESET.yaml",
    )


def main(arguments: argparse.Namespace) -> int:
    import dataclasses

    from bench import local
    from bench.hardware import resolve_device
    from bench.store import RunFolder
    from bench.tuning import TUNING_SEED, best_of, epochs_within, plan_trials

    if not 1 <= arguments.trials <= 10_000:
        raise UserError(f"--trials {arguments.trials}: from 1 to 10000.")
    device = resolve_device(arguments.device)
    request = request_of(arguments, device, [TUNING_SEED], "none")
    if len(request.datasets) != 1:
        raise UserError("tune takes one dataset at a time.")
    for arm in request.methods:
        _check_arm(arm, request)
    execution = execution_of(arguments, device, len(request.methods) * arguments.trials)
    if arguments.trial_seconds is not None:
        if arguments.epochs or not 0 < arguments.trial_seconds < float("inf"):
            raise UserError("--trial-seconds must be above 0, and sets the epochs: leave --epochs out.")
        word = next((word for word in request.words if LENGTH.search(word.partition("=")[0])), None)
        if word is not None:
            raise UserError(f"--trial-seconds sets the epochs: leave {word.partition('=')[0]} out.")
        epochs = epochs_within(request, arguments.trial_seconds, device, execution)
        request = dataclasses.replace(request, words=[*request.words, f"epochs={epochs}"])
    if arguments.save is not None and arguments.save.suffix != ".yaml":
        raise UserError(f"--save {arguments.save}: a recipe is a .yaml file.")
    rates = _rates(arguments.rates)
    trials = plan_trials(request, arguments.trials, device, rates)
    recipe = arguments.save or execution.output / f"{_file_name(request)}.yaml"
    _refuse_other(recipe, request, arguments)
    print(_headline(request, arguments.trials, trials, execution.jobs), flush=True)
    if arguments.dry_run:
        from bench.estimate import print_estimate

        specs = [trial.spec for trial in trials]
        print_estimate(specs, execution, device)
        return 0
    local.run([trial.spec for trial in trials], execution, fresh=False)
    found = {}
    for arm in request.methods:
        own = [trial for trial in trials if trial.arm == arm]
        found[arm] = best_of(own, [RunFolder(execution.output, trial.spec.id) for trial in own], request, rates)
    _write_recipe(recipe, found, request, arguments, trials, device)
    _write_trials(recipe.with_suffix(".csv"), trials, execution.output)
    _print_found(found, arguments.trials)
    print(f"\nRecipe: {recipe}\nTrials: {recipe.with_suffix('.csv')}")
    return 0 if all(found.values()) else 1


def _check_arm(arm: Arm, request: Request) -> None:
    """Raise UserError for what has nothing to tune, and for trials of one of several methods that are longer or
    shorter."""
    from bench import discover

    if not discover.load("methods", arm.method).trains:
        raise UserError(f"{arm.method} is not trained: there is nothing to tune.")
    for word in (*request.words, *arm.words()) if len(request.methods) > 1 else ():
        key = word.partition("=")[0]
        if key.startswith(f"{arm.short_name}.") and LENGTH.search(key):
            raise UserError(f"'{word}': trials of one method would be of another length than those of the others.")


def _file_name(request: Request) -> str:
    from bench.spec import safe

    return f"{safe(request.datasets[0])}-{request.preset}"


def _rates(text: str | None) -> tuple[float, float] | None:
    if text is None:
        return None
    try:
        low, high = map(float, text.split(","))
    except ValueError:
        low = high = math.nan
    if not 0 < low < high < math.inf:
        raise UserError(f"--rates {text}: two learning rates, the lower first, as in 0.01,1.")
    return low, high


def _refuse_other(path: Path, request: Request, arguments: argparse.Namespace) -> None:
    """Raise UserError where the recipe of another tuning stands in the place of this one's."""
    from bench.config import recipes

    if not path.exists():
        return
    known = recipes.read(path).provenance
    arms = {arm.name for arm in request.methods}
    found = (known.get("trials"), known.get("rates"), known.get("words"), set(known.get("validation", ())))
    if found != (arguments.trials, arguments.rates, [*request.words], arms):
        raise UserError(f"{path} is the recipe of another tuning: move it, or give another --output.")


def _headline(request: Request, count: int, trials: Sequence[Trial], jobs: int) -> str:
    protocol = trials[0].spec.protocol
    arms = ", ".join(arm.name for arm in request.methods)
    return (
        f"{arms} on {request.datasets[0]}: {count} trials each of {protocol.epochs} epochs, preset {request.preset}, "
        f"{protocol.image_size} px, {protocol.backbone.name}; {len(trials)} runs, {jobs} at a time"
    )


def _write_recipe(
    path: Path,
    found: Mapping[Arm, Best | None],
    request: Request,
    arguments: argparse.Namespace,
    trials: Sequence[Trial],
    device: torch.device,
) -> None:
    import yaml

    from bench.files import write_text
    from bench.hardware import environment
    from bench.tuning import CRITERIA, TUNING_SEED

    known = environment(device, threads=1)
    budget: dict[str, Any] = {"trials": arguments.trials, "epochs": trials[0].spec.protocol.epochs}
    if arguments.trial_seconds is not None:
        budget["trial_seconds"] = arguments.trial_seconds
    if arguments.rates is not None:
        budget["rates"] = arguments.rates
    recipe: dict[str, Any] = {
        "label": f"tuned ({arguments.trials} trials)",
        "datasets": list(request.datasets),
        "presets": [request.preset],
        "provenance": {
            **budget,
            "criterion": f"{CRITERIA[0]}, then {CRITERIA[1]}; seed {TUNING_SEED}",
            "words": list(request.words),
            **{key: str(known[key]) for key in ("hardware", "torch", "git_commit")},
            "validation": {
                arm.name: "no trial completed"
                if best is None
                else {
                    "best": best.score,
                    "defaults": best.default_score,
                    "completed": best.completed,
                    "collapsed": best.collapsed,
                    "at_edge": best.at_edge,
                }
                for arm, best in found.items()
            },
        },
        "methods": {arm.name: best.settings for arm, best in found.items() if best is not None},
    }
    write_text(path, yaml.safe_dump(recipe, sort_keys=False, width=120))


def _write_trials(path: Path, trials: Sequence[Trial], output: Path) -> None:
    import csv
    import io
    import json

    from bench.files import write_text
    from bench.store import RunFolder
    from bench.tuning import CRITERIA

    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["method", "trial", "settings", "status", *CRITERIA, "run"])
    for trial in trials:
        result = RunFolder(output, trial.spec.id).result() or {"status": "unfinished"}
        status = "collapsed" if result.get("collapsed") else result["status"]
        scores = result.get("scores", {})
        values = [scores.get(name) for name in CRITERIA]
        writer.writerow([trial.arm.name, trial.number, json.dumps(trial.settings), status, *values, trial.spec.id])
    write_text(path, text.getvalue())


def _print_found(found: Mapping[Arm, Best | None], trials: int) -> None:
    print("\nLinear accuracy on validation images, best trial (defaults):")
    for arm, best in found.items():
        if best is None:
            print(f"  {arm.name:<24} none of {trials} trials completed")
            continue
        default = "diverged" if best.default_score is None else f"{100 * best.default_score:.1f}"
        settings = ", ".join(f"{key}={value:g}" for key, value in best.settings.items()) or "the defaults"
        edge = f"; at the edge of the search: {', '.join(best.at_edge)}" if best.at_edge else ""
        print(f"  {arm.name:<24} {100 * best.score:.1f} ({default})  {settings}{edge}")
