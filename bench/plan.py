"""Methods x datasets x seeds as a list of `RunSpec`, everything resolved and checked before the first step is taken."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from bench import discover
from bench.api import Dataset, Method
from bench.arms import Arm
from bench.config import recipes
from bench.config.check import build
from bench.config.compose import compose_protocol, words_for
from bench.config.recipes import Recipe
from bench.config.schema import Budget, Pretraining, Protocol
from bench.context import context_of
from bench.data import cut_validation, native_image_size, stratified_count
from bench.datasets._store import Store, prepare
from bench.errors import UserError, suggest
from bench.hardware import resolve_precision
from bench.spec import DatasetEntry, MethodEntry, RunSpec

MOST_SEEDS = 10_000


@dataclass(frozen=True)
class Request:
    """What the user asked for, as on the command line; `words` are the `key=value` settings."""

    methods: Sequence[Arm]
    datasets: Sequence[str]
    seeds: Sequence[int]
    preset: str
    words: Sequence[str]
    data_root: Path
    store_root: Path | None = None
    skip_corrupt: bool = False
    recipe: str = "auto"
    processes: int = 1
    """Of each run."""


def plan(request: Request, device: torch.device) -> list[RunSpec]:
    """The runs of a request, datasets prepared, seeds outermost (so that an interrupted plan has whole seeds).

    Raises UserError for anything the user can mend, before any run has begun.
    """
    _check_names(request.methods)
    classes = {arm.method: discover.load("methods", arm.method) for arm in request.methods}
    per_seed = []
    for name in request.datasets:
        dataset = open_dataset(name)
        store = prepare(dataset, request.data_root, request.store_root, request.skip_corrupt)
        recipe = recipes.choose(request.recipe, name, request.preset, request.methods)
        for arm in request.methods:
            per_seed.append(_resolve(request, dataset, name, store, arm, recipe, classes[arm.method], device))
    _refuse_twins(per_seed, request.methods)
    fixed = [spec for spec in per_seed if None not in dataclasses.astuple(spec.protocol.seeds)]
    if fixed and len(request.seeds) > 1:
        raise UserError(
            "With all of seeds.init, order, views and probe fixed every seed is the same run: give --seeds 1."
        )
    return [spec.with_seed(seed) for seed in request.seeds for spec in per_seed]


def open_dataset(name: str) -> Dataset:
    """The dataset of `name[:argument]`, e.g. `imagewoof:320`, `folder:PATH`. Raises UserError for an unknown one."""
    head, _, argument = name.partition(":")
    dataset: Dataset = discover.load("datasets", head)(argument)
    return dataset


def parse_seeds(text: str) -> list[int]:
    """`5` means seeds 0 to 4; `0,3,7` means these, `7,` that one. Raises UserError for anything else."""
    try:
        numbers = [int(part) for part in text.removesuffix(",").split(",")]
    except ValueError:
        raise UserError(f"--seeds {text}: give a number of seeds (5) or a list (0,3,7; one seed is 7,).") from None
    if "," not in text:
        if not 1 <= numbers[0] <= MOST_SEEDS:
            raise UserError(f"--seeds {text}: at least one and at most {MOST_SEEDS} seeds.")
        return list(range(numbers[0]))
    if max(numbers) >= MOST_SEEDS:
        raise UserError(f"--seeds {text}: seeds from {MOST_SEEDS} on are kept for `bench tune`.")
    if min(numbers) < 0 or len(set(numbers)) != len(numbers):
        raise UserError(f"--seeds {text}: seeds must be different and not negative.")
    return numbers


def _resolve(
    request: Request,
    dataset: Dataset,
    name: str,
    store: Store,
    arm: Arm,
    recipe: Recipe | None,
    cls: type[Method],
    device: torch.device,
) -> RunSpec:
    short = arm.short_name
    shorts = [other.short_name for other in request.methods]
    given = words_for(request.words, short, shorts)
    words = [*given, *words_for(arm.words(), short, [short])]
    recommended = words_for(recipe.words(arm) if recipe else [], short, [short])
    defaults = {key: value for key, value in dataset.defaults.items() if key != "image_size"}
    values = compose_protocol(request.preset, defaults, short, cls.Config, [*recommended, *words])
    config: Any = build(cls.Config, values.pop("method"), short)
    if values["epochs"] is not None and any(word.startswith("budget.images=") for word in words):
        raise UserError(f"budget.images has no effect where epochs={values['epochs']} is set: leave one of them out.")
    entry = MethodEntry(
        name=f"file:{discover.source_path('methods', arm.method)}" if arm.method.startswith("file:") else arm.method,
        short_name=short,
        title=discover.describe("methods", arm.method).title.partition(":")[0],
        version=discover.source_digest(arm.method) or str(cls.version),
        config=dataclasses.asdict(config),
    )
    spec = RunSpec(
        dataset=DatasetEntry(name, dataset.label, store.fingerprint, len(store.classes)),
        method=entry,
        protocol=_protocol(values, dataset, store, device),
        seed=request.seeds[0],
        world_size=request.processes,
        recipe=recipes.label(recipe, arm, given, name, request.preset),
    )
    if spec.protocol.augment.local_views and not cls.multi_crop:
        raise UserError(
            f"{short} takes the two large views alone: leave augment.local_views out, or set it for a multi-crop "
            "method alone, e.g. swav.augment.local_views=4."
        )
    _check_shares(spec)
    cls.check(context_of(spec, cls, training_images(store, spec.protocol.data.fraction)))
    return spec


def has_equal_shares(batch: int, parts: int, processes: int) -> bool:
    """Whether processes can share every part of a batch equally, with two images each at least."""
    return processes == 1 or not (batch % (processes * parts) or batch < 2 * processes * parts)


def _check_shares(spec: RunSpec) -> None:
    """Objectives gather equal shares of a batch from all processes."""
    processes, batch, parts = spec.world_size, spec.protocol.batch_size, spec.protocol.accumulate
    if not has_equal_shares(batch, parts, processes):
        by = f"{processes} processes" + f" times accumulate={parts}" * (parts > 1)
        raise UserError(f"batch_size={batch} cannot be divided by {by} into equal shares of at least two images.")


def _protocol(values: dict[str, Any], dataset: Dataset, store: Store, device: torch.device) -> Protocol:
    """Fill what is left open (size, epochs, precision) and check every field."""
    budget = build(Budget, values.pop("budget"), "budget")
    images = training_images(store, build(Pretraining, values["data"], "data").fraction)
    if values["image_size"] is None:
        native = native_image_size(dataset, store)
        values["image_size"] = min(native, budget.largest_image or native)
    if values["epochs"] is None:
        if budget.images is None:
            raise UserError("Set epochs, or budget.images from which epochs follow.")
        values["epochs"] = max(1, round(budget.images / images))
    values["precision"] = resolve_precision(values["precision"], device)
    protocol = build(Protocol, values)
    protocol = dataclasses.replace(protocol, epochs=max(1, round(protocol.epochs * budget.length)))
    if images < protocol.batch_size:
        raise UserError(
            f"{store.key} has {images} training images to pretrain on, fewer than batch_size={protocol.batch_size}: "
            f"set batch_size={_power_of_two_below(images)} or less."
        )
    if protocol.batch_size < 2 * protocol.accumulate:
        raise UserError(
            f"accumulate={protocol.accumulate} leaves fewer than two images of batch_size={protocol.batch_size} "
            "a part, which objectives and batch normalisation need."
        )
    return protocol


def training_images(store: Store, fraction: float = 1.0) -> int:
    """Number of pictures for pretraining, which sees a `fraction` of each class.

    Raises UserError where no probe can be trained and validated.
    """
    labels = store.split("train").labels
    training, validation = cut_validation(labels)
    if len(validation) == 0 or not (labels[training] >= 0).any():
        raise UserError(f"{store.key} has no class with two labelled training images: none can be kept for validation.")
    return stratified_count(labels[training], fraction)


def _power_of_two_below(number: int) -> int:
    return max(2, 1 << (number.bit_length() - 1))


def _check_names(arms: Sequence[Arm]) -> None:
    files: dict[str, str] = {}
    for arm in arms:
        if files.setdefault(arm.short_name, arm.method) != arm.method:
            raise UserError(f"--methods names '{arm.short_name}' twice; a file from outside needs a name of its own.")
    clash = {arm.short_name for arm in arms if arm.method.startswith("file:")} & set(Protocol.__dataclass_fields__)
    if clash:
        raise UserError(f"A method cannot be called '{clash.pop()}', which is a setting; rename the file.")


def _refuse_twins(specs: Sequence[RunSpec], arms: Sequence[Arm]) -> None:
    """Two arms that come to the same run would be one row of the table, counted once."""
    known: dict[str, str] = {}
    for spec, arm in zip(specs, itertools.cycle(arms)):
        if spec.id in known:
            raise UserError(f"'{arm.name}' is the same run as '{known[spec.id]}': leave one of them out.")
        known[spec.id] = arm.name


def known_preset(name: str) -> str:
    """`name` if it is a preset. Raises UserError with the nearest one otherwise."""
    presets = [path.stem for path in (Path(__file__).parent / "config" / "preset").glob("*.yaml")]
    if name not in presets:
        raise UserError(f"Unknown preset '{name}'.{suggest(name, presets)}")
    return name
