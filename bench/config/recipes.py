"""Recipes: settings per method for a dataset and preset, published or found by `bench tune`, with their source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from bench.arms import Arm, parse
from bench.errors import UserError, suggest

FOLDER = Path(__file__).parent / "recipe"


@dataclass(frozen=True)
class Recipe:
    """Contents of a recipe file."""

    label: str
    """What reports call it: 'tuned (16 trials)', 'published (solo-learn, CIFAR)'."""
    datasets: Sequence[str]
    """Names on the command line for which it is the default; `imagewoof` stands for all its variants."""
    presets: Sequence[str]
    """Presets for which it is the default."""
    methods: Mapping[str, Mapping[str, Any]]
    """Arm -> settings: fields of the protocol by dotted name, and the method's own hyperparameters."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """How the values were found; for readers."""

    def suits(self, dataset: str, preset: str) -> bool:
        """Whether it is the default for this dataset and preset."""
        return bool({dataset, dataset.partition(":")[0]} & set(self.datasets)) and preset in self.presets

    def words(self, arm: Arm) -> list[str]:
        """Settings of an arm as words for this method alone; empty for an arm without a recipe of its own."""
        settings = {parse(name): values for name, values in self.methods.items()}.get(arm, {})
        return [f"{arm.short_name}.{key}={_as_word(value)}" for key, value in settings.items()]


def names() -> list[str]:
    """Recipes that come with the suite."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def choose(wanted: str, dataset: str, preset: str) -> Recipe | None:
    """The recipe `wanted`: a name, a file, `none`, or `auto` for the one that suits, if any.

    Raises UserError for an unknown name or a file that is no recipe.
    """
    if wanted == "none":
        return None
    if wanted == "auto":
        return next((recipe for recipe in map(_bundled, names()) if recipe.suits(dataset, preset)), None)
    if wanted.endswith((".yaml", ".yml")):
        return read(Path(wanted).expanduser())
    if wanted not in names():
        raise UserError(f"Unknown recipe '{wanted}'.{suggest(wanted, [*names(), 'auto', 'none'])}")
    return _bundled(wanted)


def label(recipe: Recipe | None, arm: Arm, words: Sequence[str]) -> str:
    """Where an arm's settings come from, in words: 'default' without a recipe; `words` are the user's own."""
    settings = {} if recipe is None else recipe.words(arm)
    if recipe is None or not settings:
        return "default"
    keys = {word.partition("=")[0].removeprefix(f"{arm.short_name}.") for word in settings}
    own = {word.partition("=")[0].removeprefix(f"{arm.short_name}.") for word in words}
    return f"{recipe.label}, changed" if keys & own else recipe.label


def read(path: Path) -> Recipe:
    """The recipe in a YAML file. Raises UserError naming what is wrong with it."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"The recipe {path} cannot be read: {' '.join(str(error).split())[:200]}") from error
    known = {item.name for item in fields(Recipe)}
    if not isinstance(values, dict) or not isinstance(values.get("methods"), dict):
        raise UserError(f"{path} is no recipe: it needs label, datasets, presets and methods.")
    for key in values:
        if key not in known:
            raise UserError(f"{path}: unknown key '{key}'.{suggest(str(key), known)}")
    missing = known - set(values) - {"provenance"}
    if missing:
        raise UserError(f"{path}: '{min(missing)}' is missing.")
    for name, settings in values["methods"].items():
        if not isinstance(settings, dict):
            raise UserError(f"{path}: the settings of '{name}' must be key: value lines.")
    return Recipe(**values)


def _bundled(name: str) -> Recipe:
    return read(FOLDER / f"{name}.yaml")


def _as_word(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{','.join(map(_as_word, value))}]" if isinstance(value, list) else str(value)
