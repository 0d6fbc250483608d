"""One run, fully resolved: `RunSpec`, its canonical form and its id."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from bench.config.check import build
from bench.config.schema import PROTOCOL_VERSION, Pretraining, Protocol
from bench.errors import UserError
from bench.seeds import AXES, derive


@dataclass(frozen=True)
class DatasetEntry:
    """Which data: `name` as on the command line, `key` of its store, `fingerprint` of decoded pixels and labels."""

    name: str
    key: str
    fingerprint: str
    classes: int


@dataclass(frozen=True)
class MethodEntry:
    """Which objective: `name` as on the command line; `version` a number, or a digest of an outside file's text."""

    name: str
    short_name: str
    title: str
    version: str
    config: dict[str, Any]


@dataclass(frozen=True)
class RunSpec:
    """A run. Its id covers every field that can change the result; the seed stands beside the hash."""

    dataset: DatasetEntry
    method: MethodEntry
    protocol: Protocol
    seed: int
    world_size: int = 1
    recipe: str = "default"
    """Where the method's settings come from, in words; names things only, and is not part of the id."""
    protocol_version: str = PROTOCOL_VERSION

    def canonical(self) -> dict[str, Any]:
        """Plain nested mapping, as in a run folder's config.yaml; `from_canonical` is its inverse."""
        return {
            "protocol": self.protocol_version,
            "dataset": dataclasses.asdict(self.dataset),
            "method": dataclasses.asdict(self.method),
            **dataclasses.asdict(self.protocol),
            "world_size": self.world_size,
            "recipe": self.recipe,
            "seed": self.seed,
        }

    @staticmethod
    def from_canonical(values: Mapping[str, Any]) -> RunSpec:
        """The run of a canonical mapping. Raises UserError naming a field that is unknown, missing or out of range."""
        rest = dict(values)
        try:
            return RunSpec(
                protocol_version=rest.pop("protocol"),
                dataset=build(DatasetEntry, rest.pop("dataset"), "dataset"),
                method=MethodEntry(**rest.pop("method")),
                world_size=rest.pop("world_size"),
                recipe=rest.pop("recipe"),
                seed=rest.pop("seed"),
                protocol=build(Protocol, rest),
            )
        except (KeyError, TypeError) as error:
            raise UserError(f"not the configuration of a run of this version ({error})") from error

    @cached_property
    def digest(self) -> str:
        """Eight hexadecimal digits of SHA-256 over the canonical form, less the seed and what only names things."""
        identity = self.canonical()
        del identity["seed"], identity["recipe"]
        del identity["evaluate"]["curve_points"]  # measured along the way, it changes neither encoder nor scores
        if self.protocol.data == Pretraining():
            del identity["data"]  # runs from before the field existed keep their ids
        identity["dataset"] = {"fingerprint": self.dataset.fingerprint}
        identity["method"] = {key: identity["method"][key] for key in ("short_name", "version", "config")}
        text = json.dumps(identity, sort_keys=True, separators=(",", ":"), allow_nan=False)
        return hashlib.sha256(text.encode()).hexdigest()[:8]

    def with_seed(self, seed: int) -> RunSpec:
        """The same run at another seed; the digest, which no seed enters, is not computed again."""
        other = dataclasses.replace(self, seed=seed)
        other.__dict__["digest"] = self.digest
        return other

    @property
    def id(self) -> str:
        """`<dataset>/<method>/<digest>/seed<k>`, safe as a relative path."""
        return str(PurePosixPath(safe(self.dataset.key), safe(self.method.short_name), self.digest, f"seed{self.seed}"))

    def axis_seed(self, axis: str) -> int:
        """The seed of one axis of randomness (see bench/seeds.py)."""
        assert axis in AXES
        fixed = getattr(self.protocol.seeds, axis)
        return derive(self.seed if fixed is None else fixed, axis)


def safe(name: str) -> str:
    """`name` with every character that does not belong in a path replaced by '-'; never empty, '.' or '..'."""
    return re.sub(r"[^A-Za-z0-9._-]", "-", name).lstrip(".") or "-"
