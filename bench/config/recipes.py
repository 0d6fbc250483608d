"""Recipes: settings per method for a dataset and preset, published or found by `bench tune`, with their source."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from bench import discover
from bench.arms import Arm, parse
from bench.config.compose import words_for
from bench.errors import UserError, suggest

FOLDER = Path(__file__).parent / "recipe"


@dataclass(frozen=True)
class Recipe:
    """Contents of a recipe file."""

    label: str
    """What reports call it: 'tuned (16 trials)', 'published (solo-learn, CIFAR)'."""
    datasets: Sequence[str]
    """Names on the command line for which it was made; `imagewoof` stands for all its variants."""
    presets: Sequence[str]
    """Presets at which it is the default there. A published recipe has none: it is nobody's default, and made for
    exactly the names in `datasets`."""
    methods: Mapping[str, Mapping[str, Any]]
    """Arm -> settings: fields of the protocol by dotted name, and the method's own hyperparameters."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """What reports call the settings of single arms, where `label` would say too much: 'ours'."""
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """How the values were found; for readers."""

    def suits(self, dataset: str, preset: str) -> bool:
        """Whether it is the default for this dataset and preset."""
        return bool({dataset, dataset.partition(":")[0]} & set(self.datasets)) and preset in self.presets

    def made_for(self, dataset: str, preset: str) -> bool:
        """Whether its label may stand here as it is."""
        return self.suits(dataset, preset) if self.presets else dataset in self.datasets

    def row(self, arm: Arm) -> str | None:
        """The name in `methods` whose settings an arm gets: its own, or that of the method which `solo/<name>`
        implements, so that two implementations meet at the same settings.

        In a published recipe a variant gets its method's; in a tuned one (which has provenance) it gets none, since a
        weight that was searched for one form of a loss means nothing in another.
        """
        rows = {parse(name): name for name in self.methods}
        candidates = [arm, Arm(arm.method.rpartition("/")[2], arm.settings)]
        if not self.provenance:
            candidates += [Arm(candidate.method) for candidate in candidates]
        return next((rows[candidate] for candidate in candidates if candidate in rows), None)

    def words(self, arm: Arm) -> list[str]:
        """Settings for an arm as words for its method alone, less those that the arm or its method does not have."""
        row = self.row(arm)
        if row is None:
            return []
        own = {setting.partition("=")[0] for setting in arm.settings}
        ours = discover.describe("methods", parse(row).method).defaults
        unknown = set(ours) - set(discover.describe("methods", arm.method).defaults)
        chosen = {key: value for key, value in self.methods[row].items() if key not in own | unknown}
        return [f"{arm.short_name}.{key}={_as_word(value)}" for key, value in chosen.items()]


def names() -> list[str]:
    """Recipes that come with the suite."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def choose(wanted: str, dataset: str, preset: str, arms: Sequence[Arm]) -> Recipe | None:
    """The recipe `wanted`: a name, a file, `none`, or `auto` for the one that suits, if any.

    Raises UserError for an unknown name, a file that is no recipe, and one asked for that has nothing for any arm.
    """
    if wanted == "none":
        return None
    if wanted == "auto":
        return next((recipe for recipe in map(bundled, names()) if recipe.suits(dataset, preset)), None)
    if wanted.endswith((".yaml", ".yml")):
        recipe = read(Path(wanted).expanduser())
    elif wanted in names():
        recipe = bundled(wanted)
    else:
        raise UserError(f"Unknown recipe '{wanted}'.{suggest(wanted, [*names(), 'auto', 'none'])}")
    if all(recipe.row(arm) is None for arm in arms):
        raise UserError(f"The recipe {wanted} has settings for {', '.join(recipe.methods)}, not for --methods.")
    return recipe


def label(recipe: Recipe | None, arm: Arm, words: Sequence[str], dataset: str, preset: str) -> str:
    """Where an arm's settings come from, in words: 'default' where the recipe has none for it.

    `words` are what the user set for the arm beyond its name. All but how long and how it is evaluated is a change,
    unless the recipe was found with the very same words.
    """
    row = None if recipe is None else recipe.row(arm)
    if recipe is None or row is None:
        return "default"
    text = recipe.labels.get(row, recipe.label)
    if recipe.datasets and not recipe.made_for(dataset, preset):
        text += f" for {', '.join(recipe.datasets)}" + (f" at {', '.join(recipe.presets)}" if recipe.presets else "")
    others = [*discover.names("methods"), *(parse(name).short_name for name in recipe.methods)]
    tuned_with = words_for(recipe.provenance.get("words") or (), parse(row).short_name, others)
    changed = _telling(words) != _telling(tuned_with)
    return f"{text}, changed" if changed or parse(row) != arm else text


def _telling(words: Sequence[str]) -> set[str]:
    """Words that make the settings found with others no longer those that were searched for."""
    return {word for word in words if not word.startswith(("epochs=", "evaluate.", "seeds.", "budget."))}


def read(path: Path) -> Recipe:
    """The recipe in a YAML file. Raises UserError naming what is wrong with it."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"The recipe {path} cannot be read: {' '.join(str(error).split())[:200]}") from error
    kinds = {"label": str, "datasets": list, "presets": list, "methods": dict, "labels": dict, "provenance": dict}
    if not isinstance(values, dict) or not isinstance(values.get("methods"), dict):
        raise UserError(f"{path} is no recipe: it needs label, datasets, presets and methods.")
    for key, value in values.items():
        if key not in kinds:
            raise UserError(f"{path}: unknown key '{key}'.{suggest(str(key), kinds)}")
        if not isinstance(value, kinds[key]):
            raise UserError(f"{path}: '{key}' must be {'text' if kinds[key] is str else f'a {kinds[key].__name__}'}.")
    missing = [key for key in ("label", "datasets", "presets") if key not in values]
    if missing:
        raise UserError(f"{path}: '{missing[0]}' is missing.")
    for name, settings in values["methods"].items():
        _check_row(path, str(name), settings)
    return Recipe(**values)


def _check_row(path: Path, name: str, settings: object) -> None:
    method = parse(name).method
    if not method.startswith("file:") and method not in discover.names("methods"):
        raise UserError(f"{path}: unknown method '{method}'.{suggest(method, discover.names('methods'))}")
    if not isinstance(settings, dict) or any(isinstance(value, dict) for value in settings.values()):
        raise UserError(f"{path}: the settings of '{name}' must be lines such as optimizer.lr: 0.1")


def bundled(name: str) -> Recipe:
    """A recipe that comes with the suite."""
    return read(FOLDER / f"{name}.yaml")


def _as_word(value: Any) -> str:
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    return f"[{','.join(map(_as_word, value))}]" if isinstance(value, list) else str(value)
