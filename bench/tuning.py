"""Equal budgets: the same number of quasi-random trials for every arm, judged on validation data alone."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import math
import time
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin

import torch
from scipy.stats import qmc

from bench import discover
from bench.api import Search
from bench.arms import Arm
from bench.context import context_of
from bench.datasets._store import prepare
from bench.errors import UserError
from bench.estimate import pretraining_seconds
from bench.files import write_json
from bench.hardware import prepare_process, reset_peak_memory
from bench.local import Execution
from bench.methods._momentum import usable_momentum
from bench.plan import MOST_SEEDS, Request, open_dataset, plan, training_images
from bench.spec import RunSpec
from bench.store import RunFolder

TUNING_SEED = MOST_SEEDS
"""Seed of every trial; `run` refuses it, so that no reported number comes from it."""
CRITERIA = ("linear_validation", "knn_validation")
"""Scores by which a trial is judged; the second decides between equals, of which few validation pictures make many."""
RATE_FACTOR = 10.0
"""Learning rates are searched from the preset's divided by this to the preset's times this."""
Rates = tuple[float, float] | None
"""Least and largest learning rate of a search instead of those."""
NO_TEST = ("evaluate.test=false", "evaluate.curve_points=0")


@dataclass(frozen=True)
class Trial:
    """One try of an arm: trial 0 is the preset with the method's defaults, `settings` are what it changes."""

    arm: Arm
    number: int
    settings: dict[str, float]
    spec: RunSpec


@dataclass(frozen=True)
class Best:
    """What the trials of an arm came to; `settings` are empty where no other trial beat the defaults.

    `score` and `default_score`: validation accuracy in [0, 1] of the best trial and of trial 0 (None: it diverged);
    `completed`: trials that neither diverged nor collapsed, `collapsed`: those that did the latter; `at_edge`: settings
    in the outer tenth of their range, which the best value may lie beyond.
    """

    settings: dict[str, float]
    score: float
    default_score: float | None
    completed: int
    collapsed: int
    at_edge: list[str]


def search_space(arm: Arm, spec: RunSpec, words: Sequence[str], steps: int, rates: Rates = None) -> dict[str, Search]:
    """Setting -> range: the learning rate and the fields that the method's file marks, less what is set already.

    A momentum is searched as far as a trial of `steps` can use it (methods/_momentum.py), and not where that is no
    range at all: trials that differ in name only would find nothing.
    """
    rate = spec.protocol.optimizer.lr
    space = {"optimizer.lr": Search(*(rates or (rate / RATE_FACTOR, rate * RATE_FACTOR)))}
    hints = typing.get_type_hints(discover.load("methods", arm.method).Config, include_extras=True)
    space |= {name: search for name, hint in hints.items() if (search := _search(hint)) is not None}
    fixed = {word.partition("=")[0].removeprefix(f"{arm.short_name}.") for word in [*words, *arm.words()]}
    usable = {name: _usable(search, steps) for name, search in space.items() if name not in fixed}
    return {name: search for name, search in usable.items() if search.low < search.high}


def points(space: dict[str, Search], trials: int) -> list[dict[str, float]]:
    """Settings of each trial: none for the first, then points of a scrambled Halton sequence, the same every time."""
    shares = qmc.Halton(len(space), scramble=True, rng=TUNING_SEED).random(trials - 1)
    return [{}] + [
        {name: value_at(search, float(share)) for (name, search), share in zip(space.items(), row, strict=True)}
        for row in shares
    ]


def value_at(search: Search, share: float) -> float:
    """The value at `share` in [0, 1] of a range, to three significant digits."""
    if search.scale == "linear":
        return float(f"{search.low + share * (search.high - search.low):.3g}")
    if search.scale == "momentum":
        return 1 - float(f"{(1 - search.low) * ((1 - search.high) / (1 - search.low)) ** share:.3g}")
    return float(f"{search.low * (search.high / search.low) ** share:.3g}")


def share_of(search: Search, value: float) -> float:
    """Where in a range, from 0 to 1, a value lies: the inverse of `value_at`."""
    if search.scale == "linear":
        return (value - search.low) / (search.high - search.low)
    if search.scale == "momentum":
        return math.log((1 - value) / (1 - search.low)) / math.log((1 - search.high) / (1 - search.low))
    return math.log(value / search.low) / math.log(search.high / search.low)


def plan_trials(request: Request, trials: int, device: torch.device, rates: Rates = None) -> list[Trial]:
    """`trials` runs of every arm of `request` (one dataset), arms side by side so that an interruption is fair.

    Raises UserError for an arm of which nothing is left to search.
    """
    # Behind the user's words for all methods, and behind those for one.
    hidden = [*NO_TEST, *(f"{arm.short_name}.{word}" for arm in request.methods for word in NO_TEST)]
    searched = request.words
    request = dataclasses.replace(request, seeds=[TUNING_SEED], words=[*searched, *hidden], recipe="none")
    drawn = {}
    for arm, spec in zip(request.methods, plan(request, device), strict=True):
        space = search_space(arm, spec, searched, trained_steps(spec, request), rates)
        if not space:
            raise UserError(f"{arm.name}: all that its tuning would search is set already; leave a setting or it out.")
        drawn[arm] = points(space, trials)
    planned = []
    for number in range(trials):
        tried = [
            dataclasses.replace(arm, settings=(*arm.settings, *_words(drawn[arm][number]))) for arm in request.methods
        ]
        specs = plan(dataclasses.replace(request, methods=tried), device)
        planned += [
            Trial(arm, number, drawn[arm][number], spec) for arm, spec in zip(request.methods, specs, strict=True)
        ]
    return planned


def trained_steps(spec: RunSpec, request: Request) -> int:
    """Optimiser steps of a run of the request."""
    store = prepare(open_dataset(spec.dataset.name), request.data_root, request.store_root, request.skip_corrupt)
    method = discover.load("methods", spec.method.name)
    return context_of(spec, method, training_images(store, spec.protocol.data.fraction)).total_steps


def epochs_within(request: Request, seconds: float, device: torch.device, execution: Execution) -> int:
    """Epochs that the slowest arm pretrains in `seconds` (processor seconds on a CPU), at most the preset's own.

    Measured once and kept in the output folder, so that the same command has the same trials when it goes on.
    """
    specs = plan(dataclasses.replace(request, seeds=[TUNING_SEED], recipe="none"), device)
    identity = json.dumps([seconds, sorted(spec.id for spec in specs)])
    path = execution.output / f"budget-{hashlib.sha256(identity.encode()).hexdigest()[:8]}.json"
    if path.is_file():
        try:
            return int(json.loads(path.read_text(encoding="utf-8"))["epochs"])
        except (ValueError, KeyError, TypeError) as error:
            raise UserError(f"{path} is damaged ({error}): delete it and run the same command again.") from error
    prepare_process(device, execution.threads)  # as the trials' own processes are
    clock = time.process_time if device.type == "cpu" else time.perf_counter  # the machine may be busy otherwise
    per_epoch = [
        pretraining_seconds(spec, execution.data_root, execution.store_root, device, clock) / spec.protocol.epochs
        for spec in specs
    ]
    reset_peak_memory(device)  # what the measurement took is the trials' again
    epochs = max(1, min(int(seconds / max(per_epoch)), *(spec.protocol.epochs for spec in specs)))
    execution.output.mkdir(parents=True, exist_ok=True)
    write_json(path, {"seconds": seconds, "epochs": epochs})
    return epochs


def best_of(
    trials: Sequence[Trial], folders: Sequence[RunFolder], request: Request, rates: Rates = None
) -> Best | None:
    """The completed trial of one arm with the highest validation accuracy, the first of equals; None if none is.

    One that collapsed is chosen only where all did: its accuracy is that of a network that learned next to nothing.
    """
    results = [folder.result() for folder in folders]
    scores = [_scores(result) for result in results]
    known = [
        (not result["collapsed"], score, -trial.number)
        for trial, result, score in zip(trials, results, scores, strict=True)
        if result is not None and score is not None
    ]
    if not known:
        return None
    _, best, negative = max(known)
    chosen = trials[-negative]
    space = search_space(chosen.arm, trials[0].spec, request.words, trained_steps(trials[0].spec, request), rates)
    at_edge = [name for name, value in chosen.settings.items() if abs(share_of(space[name], value) - 0.5) > 0.4]
    sound = sum(ok for ok, *_ in known)
    default_score = scores[0][0] if scores[0] else None
    return Best(chosen.settings, best[0], default_score, sound, len(known) - sound, at_edge)


def _scores(result: Mapping[str, Any] | None) -> tuple[float, ...] | None:
    if result is None or result["status"] != "completed":
        return None
    return tuple(float(result["scores"][name]) for name in CRITERIA)


def _usable(search: Search, steps: int) -> Search:
    if search.scale != "momentum":
        return search
    return dataclasses.replace(search, high=usable_momentum(search.high, steps))


def _search(hint: Any) -> Search | None:
    """The `Search` note of a field's type, if it has one; `Annotated[...] | None` included."""
    if get_origin(hint) is Annotated:
        return next((note for note in get_args(hint)[1:] if isinstance(note, Search)), None)
    return next((found for part in get_args(hint) if (found := _search(part)) is not None), None)


def _words(settings: dict[str, float]) -> list[str]:
    return [f"{name}={value!r}" for name, value in settings.items()]
