"""Preset (Hydra's compose API), the dataset's own defaults and the user's `key=value`, for one method at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from hydra import compose, initialize_config_module
from hydra.core.config_store import ConfigStore
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from hydra.errors import HydraException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from bench import discover
from bench.augment.pipeline import Augmentation
from bench.config.schema import Protocol
from bench.errors import UserError, suggest


def words_for(words: Sequence[str], method: str, methods: Sequence[str]) -> list[str]:
    """The `key=value` words that concern `method`: those for all, then its own without their prefix.

    `smi.optimizer.lr=0.1` becomes `optimizer.lr=0.1`, and `smi.w=20`, which is no setting of the protocol, becomes
    `method.w=20`; words for another of the plan's `methods` are left out. Raises UserError for a word that is not a
    plain `key=value`.
    """
    general, own = [], []
    for word in words:
        head, _, rest = word.partition(".")
        if "/" in head.partition("=")[0] and head not in methods:
            raise UserError(f"'{word}': '{head}' is not one of --methods.{suggest(head, methods)}")
        parsed = _parse(rest if head in methods else word)  # a slash, as in solo/barlow, is not in Hydra's grammar
        if parsed.is_sweep_override() or parsed.is_add() or parsed.is_delete() or parsed.is_force_add():
            raise UserError(f"'{word}': write key=value, one value at a time.")
        if head == method:
            own.append(rest if _first_key(rest) in (*Protocol.__dataclass_fields__, "budget") else f"method.{rest}")
        elif head == "method":
            raise UserError(f"'{word}': name the method instead, e.g. {method}.{rest}")
        elif head in discover.names("methods") and head not in methods:
            raise UserError(f"'{word}': '{head}' is not one of --methods.{suggest(head, methods)}")
        elif head not in methods:
            general.append(word)
    return general + own


def compose_protocol(
    preset: str,
    dataset_defaults: Mapping[str, Any],
    method: str,
    method_config: type[Any],
    overrides: Sequence[str],
) -> dict[str, Any]:
    """Plain nested values of the whole configuration, with the method's hyperparameters under `method`.

    Raises UserError in one line for an unknown key (with the nearest valid one) or a word Hydra cannot read.
    """
    protocol = _protocol(preset)
    fields = {field.name: field.default for field in dataclasses.fields(method_config)}
    known = _leaves(OmegaConf.to_container(protocol)) | {f"method.{name}" for name in fields}
    words = [f"{key}={value}" for key, value in dataset_defaults.items()]
    words += overrides
    for word in words:
        _check_key(word, method, known)
    try:
        composed = OmegaConf.merge(protocol, {"method": fields})
        for word in words:
            override = _parse(word)
            OmegaConf.update(composed, override.key_or_group, override.value())
        values = OmegaConf.to_container(composed, resolve=True)
    except (HydraException, OmegaConfBaseException) as error:
        raise UserError(f"Cannot apply {' '.join(words)}: {str(error).splitlines()[0]}") from error
    assert isinstance(values, dict)
    return {str(key): value for key, value in values.items()}


@cache
def _protocol(preset: str) -> DictConfig:
    """The configuration of a preset but the method's own. Composed once: that takes as long as planning 100 runs."""
    ConfigStore.instance().store(group="augment", name="standard", node=dataclasses.asdict(Augmentation()))
    with initialize_config_module("bench.config", version_base="1.3"):
        composed = compose("config", [f"preset={preset}", "+augment=standard"])
    OmegaConf.set_struct(composed, False)  # keys are checked against it, with a better message
    return composed


@cache
def _parse(word: str) -> Override:
    try:
        return OverridesParser.create().parse_override(word)
    except HydraException as error:
        raise UserError(f"'{word}' cannot be read as key=value: {str(error).splitlines()[0]}") from error


def _first_key(word: str) -> str:
    return word.partition("=")[0].partition(".")[0]


def _check_key(word: str, method: str, known: set[str]) -> None:
    key = _parse(word).key_or_group
    if key in known:
        return
    inside = sorted(leaf for leaf in known if leaf.startswith(f"{key}."))
    if inside:
        raise UserError(f"{key} has settings of its own; set one of them, e.g. {inside[0]}=...")
    shown = key.replace("method.", f"{method}.", 1)
    names = {leaf.replace("method.", f"{method}.", 1) for leaf in known}
    raise UserError(f"Unknown setting '{shown}'.{suggest(shown, names)}")


def _leaves(node: Any, path: str = "") -> set[str]:
    if not isinstance(node, dict) or (path and not node):
        return {path}
    return set().union(*(_leaves(value, f"{path}.{key}" if path else str(key)) for key, value in node.items()))
