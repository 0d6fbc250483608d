"""Declared experiments: bench/config/study/*.yaml, each composed into one plan of runs."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import torch
import yaml

from bench import discover
from bench.analysis.options import parsed
from bench.arms import Arm, parse
from bench.config.check import build
from bench.errors import UserError, suggest
from bench.plan import Request, plan
from bench.spec import RunSpec, safe

FOLDER = Path(__file__).parent / "config" / "study"


@dataclass(frozen=True)
class Tuning:
    """The budget that every arm gets alike."""

    trials: int
    epochs: dict[str, int]
    """Of a trial, by dataset; elsewhere the full length of a run."""
    anew: dict[str, list[float]] = field(default_factory=dict)
    """Axes of the grid at each of whose values, or variants in which, arms are tuned by themselves: what is best at
    one need not be at another. With least and largest learning rate, or [] for those of `tune`."""


@dataclass(frozen=True)
class Study:
    """Contents of a study file: arms x variants x datasets x seeds, and how they are analysed."""

    title: str
    question: str
    arms: list[str] = field(default_factory=list)
    """As on the command line of `run`; empty for a study that is `commands` alone."""
    datasets: dict[str, list[str]] = field(default_factory=dict)
    """Name -> settings for it at the study's own `preset`; another preset leaves them out."""
    preset: Literal["quick", "standard", "paper"] = "quick"
    seeds: int = 5
    words: list[str] = field(default_factory=list)
    """Settings of every run."""
    grid: dict[str, list[str]] = field(default_factory=dict)
    """Setting -> values; every combination is a variant of every arm."""
    variants: dict[str, list[str]] = field(default_factory=dict)
    """Name -> settings, instead of a grid."""
    reference: str | None = None
    """One of `arms`."""
    metric: str = "linear"
    paired: bool = False
    margin: float | None = None
    """Of equivalence, in percentage points."""
    section: Literal["comparison", "factors", "grid", "variance", "ranking"] = "comparison"
    """What the report says beyond the tables (reports/study.py)."""
    factors: list[str] = field(default_factory=list)
    """For `factors`: hyperparameters of one method whose effects are taken apart."""
    analysis: dict[str, dict[str, str]] = field(default_factory=dict)
    """Analyses of the finished runs by the name of their file in bench/analysis, with options of their own."""
    commands: list[str] = field(default_factory=list)
    """Other commands of the suite whose results belong to the study; {folder} stands for where its report lies."""
    accuracy_in: str | None = None
    """The study that decides accuracy, where this one is about its analyses: what the same runs say stands in one."""
    tune: Tuning | None = None
    """What `study NAME --tune` gives every arm; None: recipes are used as they are."""

    def validate(self) -> None:
        if self.arms and not self.datasets:
            raise UserError("A study with arms needs datasets.")
        if self.grid and self.variants:
            raise UserError("A study has a grid or variants, not both.")
        if any(not values for values in self.grid.values()):
            raise UserError("An axis of the grid has no values.")
        if self.margin is not None and not 0 < self.margin < 100:
            raise UserError(f"margin: {self.margin:g}: percentage points, above 0 and below 100.")
        if (self.section == "factors") != bool(self.factors):
            raise UserError("The section 'factors' and the list of factors go together.")
        if self.tune and self.tune.trials < 1:
            raise UserError(f"tune.trials: {self.tune.trials}: at least one.")
        for name in self.tune.epochs if self.tune else ():
            if name not in self.datasets:
                raise UserError(f"tune.epochs: {name} is no dataset of the study.{suggest(name, self.datasets)}")
        if self.reference is not None and self.reference not in self.arms:
            raise UserError(
                f"reference: {self.reference} is not one of the study's arms.{suggest(self.reference, self.arms)}"
            )

        if self.accuracy_in is not None and self.accuracy_in not in names():
            raise UserError(f"accuracy_in: {self.accuracy_in} is no study.{suggest(self.accuracy_in, names())}")
        for name, options in self.analysis.items():
            parsed(name, options)
        if self.section == "grid" and not (self.grid and all(map(_is_number, itertools.chain(*self.grid.values())))):
            raise UserError("A study with the section 'grid' needs a grid, of numbers alone.")
        if self.section in ("variance", "ranking") and not self.variants:
            raise UserError(f"A study with the section '{self.section}' needs variants.")
        for name, rates in self.tune.anew.items() if self.tune else ():
            if name not in (known := [*self.grid, *self.variants]):
                raise UserError(f"tune.anew: {name} is no axis and no variant of the study.{suggest(name, known)}")
            if rates and not (len(rates) == 2 and 0 < rates[0] < rates[1]):
                raise UserError(f"tune.anew: {name} needs [] or two learning rates, the lower first.")

    def cells(self) -> list[tuple[dict[str, str], list[str]]]:
        """Every variant as what it is called by, and its settings; one without a name where there are none."""
        if self.variants:
            return [({"variant": name}, [*words]) for name, words in self.variants.items()]
        combinations = itertools.product(*([(key, value) for value in values] for key, values in self.grid.items()))
        return [(dict(one), [f"{key}={value}" for key, value in one]) for one in combinations]

    def tuned_at(self, variant: Mapping[str, str]) -> str:
        """What the arms of a variant are tuned at by themselves; '' where with all others."""
        anew = self.tune.anew if self.tune else {}
        if self.variants:
            return next((name for name in variant.values() if name in anew), "")
        return "-".join(f"{axis}={value}" for axis, value in variant.items() if axis in anew)

    def tunings(self) -> dict[str, tuple[list[str], list[float]]]:
        """Settings and learning rates (see Tuning.anew) of every search, by what it is at."""
        anew = self.tune.anew if self.tune else {}
        found: dict[str, tuple[list[str], list[float]]] = {}
        for variant, words in self.cells():
            at = self.tuned_at(variant)
            own = [word for word in words if self.variants or word.partition("=")[0] in anew] if at else []
            found[at] = own, next((anew[key] for key in anew if key in (at, at.partition("=")[0])), [])
        return found


@dataclass(frozen=True)
class Cell:
    """One configuration of a study: `key` is the id of its runs less their seed."""

    key: str
    arm: str
    dataset: str
    variant: Mapping[str, str]


@dataclass(frozen=True)
class Chosen:
    """What of a study is run, and where; None leaves a choice to the study."""

    seeds: Sequence[int]
    data_root: Path
    store_root: Path | None = None
    skip_corrupt: bool = False
    datasets: Sequence[str] | None = None
    preset: str | None = None
    words: Sequence[str] = ()
    recipe: str = "auto"
    processes: int = 1
    """Of each run."""
    tuned: Path | None = None
    """Folder of the recipes that `study NAME --tune` wrote; one that is there for a dataset goes before `recipe`."""


def names() -> list[str]:
    """The studies that come with the suite."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read(name: str) -> Study:
    """The study `name`, or that of a .yaml file. Raises UserError for an unknown one and for a mistake in it."""
    path = Path(name).expanduser() if name.endswith((".yaml", ".yml")) else FOLDER / f"{name}.yaml"
    if not path.is_file():
        raise UserError(f"There is no study '{name}'.{suggest(name, names())}")
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"The study {path} cannot be read: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(values, dict) or not isinstance(values.get("grid", {}), dict):
        raise UserError(f"{path} is no study: it needs at least a title and a question.")
    axes = values.get("grid", {})
    grid = {str(key): [str(value) for value in axes[key]] for key in axes if isinstance(axes[key], list)}
    try:
        return build(Study, {**values, "grid": {**axes, **grid}})
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


def with_values(study: Study, words: Sequence[str]) -> tuple[Study, list[str]]:
    """The study with what `words` set of its grid (batch_size=32,512) and its analyses (transfer.fine=cifar10), and
    the other words, which are settings of runs. Raises UserError where a new grid is none."""
    grid, analysis, rest = dict(study.grid), {name: dict(one) for name, one in study.analysis.items()}, []
    for word in words:
        key, _, values = word.partition("=")
        name, _, option = key.partition(".")
        if key in grid:
            grid[key] = values.split(",")
        elif name in analysis and option:
            analysis[name][option] = values
        else:
            rest.append(word)
    changed = dataclasses.replace(study, grid=grid, analysis=analysis)
    changed.validate()
    return changed, rest


def requests(study: Study, chosen: Chosen) -> Iterator[tuple[dict[str, str], Request]]:
    """One request for every dataset and variant, datasets outermost."""
    preset = chosen.preset or study.preset
    for dataset in chosen.datasets or study.datasets:
        own = study.datasets.get(dataset, []) if preset == study.preset else []
        for variant, words in study.cells():
            yield (
                variant,
                Request(
                    methods=[parse(name) for name in study.arms],
                    datasets=[dataset],
                    seeds=chosen.seeds,
                    preset=preset,
                    words=[*own, *study.words, *words, *chosen.words],
                    data_root=chosen.data_root,
                    store_root=chosen.store_root,
                    skip_corrupt=chosen.skip_corrupt,
                    recipe=recipe_of(chosen, dataset, preset, study.tuned_at(variant)),
                    processes=chosen.processes,
                ),
            )


def plan_study(study: Study, chosen: Chosen, device: torch.device) -> tuple[list[RunSpec], list[Cell]]:
    """All runs, seeds outermost, and their cells. Raises UserError where two cells come to the same run."""
    specs: list[RunSpec] = []
    cells: dict[str, Cell] = {}
    for variant, request in requests(study, chosen):
        planned = plan(request, device)
        for arm, spec in zip(request.methods, planned, strict=False):  # the first seed's, in the order of the arms
            cell = Cell(key_of(spec), arm.name, spec.dataset.name, variant)
            known = cells.setdefault(cell.key, cell)
            if known is not cell:
                raise UserError(f"{_words(cell)} is the same run as {_words(known)}: leave one of them out.")
        specs += planned
    return sorted(specs, key=lambda spec: chosen.seeds.index(spec.seed)), list(cells.values())


def key_of(spec: RunSpec) -> str:
    """The id of a run less its seed."""
    return spec.id.rpartition("/")[0]


def variants_apart(cells: Sequence[Cell]) -> dict[str, list[str]]:
    """Keys of the cells by variant, under a name that can be part of a path; under '' where there is but one.

    Analyses compare arms at one setting of the others.
    """
    found: dict[str, list[str]] = {}
    for cell in cells:
        name = safe("-".join(f"{key}={value}" for key, value in cell.variant.items())) if cell.variant else ""
        found.setdefault(name, []).append(cell.key)
    return found if len(found) > 1 else {"": [cell.key for cell in cells]}


def recipe_of(chosen: Chosen, dataset: str, preset: str, at: str) -> str:
    """The recipe for one dataset: the study's own tuning of it, where that was done, else what was asked for."""
    own = chosen.tuned / tuned_name(dataset, preset, at) if chosen.tuned else None
    return str(own) if own is not None and own.is_file() else chosen.recipe


def tuned_name(dataset: str, preset: str, at: str) -> str:
    """File name under which `tune` writes its recipe; `at` is Study.tuned_at."""
    return "-".join([safe(dataset), preset, *([safe(at)] if at else [])]) + ".yaml"


def trained(study: Study) -> list[Arm]:
    """The arms that have settings to tune."""
    arms = [parse(name) for name in study.arms]
    return [arm for arm in arms if discover.load("methods", arm.method).trains]


def _is_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


def _words(cell: Cell) -> str:
    return ", ".join([cell.arm, cell.dataset, *(f"{key}={value}" for key, value in cell.variant.items())])
