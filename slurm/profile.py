"""What one run asks of a cluster: a checked dataclass, read from YAML, with settings from the command line on top."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import yaml

from bench.api import Range
from bench.config.check import build
from bench.errors import UserError, suggest

FOLDER = Path(__file__).parent / "profiles"
PREFIX = "slurm."
"""Of words on the command line that set a field: `slurm.memory=32`."""


@dataclass(frozen=True)
class Profile:
    """Resources are those of one run; a job of several packed runs asks for their sum, but for one run's GPU.

    What is None is left to the cluster's own default.
    """

    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    time: str = "12:00:00"
    """Limit of a job; one that reaches it saves its state and is queued again."""
    memory: Annotated[float, Range(above=0)] | None = None
    """GiB per node."""
    report_memory: Annotated[float, Range(above=0)] = 8
    """GiB of the job that writes the report."""
    cpus: Annotated[int, Range(minimum=1)] = 4
    """Per process, and its number of threads."""
    gpus: Annotated[int, Range(minimum=0)] = 1
    """Of all nodes together: a process on each; 0 runs on the CPU."""
    nodes: Annotated[int, Range(minimum=1)] = 1
    concurrency: Annotated[int, Range(minimum=1)] = 64
    """Jobs at a time."""
    notice: Annotated[int, Range(minimum=1)] = 120
    """Seconds before the time limit at which a job is told to save its state (`sbatch --signal`)."""
    requeue: Annotated[int, Range(minimum=0)] = 100
    """How often a job may begin again after a time limit, preemption or lost node; 0 never."""
    setup: list[str] = field(default_factory=list)
    """Shell lines before the run: `module load cuda`."""
    environment: dict[str, str] = field(default_factory=dict)
    sbatch: dict[str, str] = field(default_factory=dict)
    """Further options of sbatch by their long names: `exclude: node7`; an empty text is an option without a value."""

    def validate(self) -> None:
        """Raises UserError for a time that is none or too short, and for GPUs that the nodes cannot share evenly."""
        if self.notice >= 60 * minutes(self.time):
            raise UserError(f"slurm.notice={self.notice} leaves nothing of slurm.time={self.time}: set fewer seconds.")
        if self.gpus % self.nodes:
            raise UserError(f"slurm.gpus={self.gpus} cannot be shared evenly by slurm.nodes={self.nodes}.")
        for name in self.environment:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
                raise UserError(f"slurm.environment: '{name}' is no name of an environment variable.")

    @property
    def minutes(self) -> int:
        return minutes(self.time)


def minutes(text: str) -> int:
    """Whole minutes of a time as sbatch takes it, rounded up: `90`, `12:00:00`, `2-12`, `2-12:30`, `30:00`."""
    match = re.fullmatch(r"(?:(\d+)-)?(\d+)(?::(\d+))?(?::(\d+))?", text.strip())
    if match is None:
        raise UserError(f"slurm.time={text}: give minutes (90), hours:minutes:seconds (12:00:00) or days-hours (2-12).")
    days, *rest = match.groups()
    parts = [int(part) for part in rest if part is not None]
    if days is None and len(parts) < 3:
        parts.insert(0, 0)  # minutes[:seconds]; all else begins with hours
    hours, mins, seconds = [*parts, 0, 0][:3]
    total = 1440 * int(days or 0) + 60 * hours + mins + math.ceil(seconds / 60)
    if total == 0:
        raise UserError(f"slurm.time={text}: a job needs at least a minute.")
    return total


def names() -> list[str]:
    """Profiles that come with the suite."""
    return sorted(path.stem for path in FOLDER.glob("*.yaml"))


def read(wanted: str) -> dict[str, Any]:
    """The settings of the profile `wanted`, a name or a YAML file, unchecked. Raises UserError when there is none."""
    if wanted.endswith((".yaml", ".yml")):
        path = Path(wanted).expanduser()
    elif wanted in names():
        path = FOLDER / f"{wanted}.yaml"
    else:
        raise UserError(f"Unknown profile '{wanted}'; give a name or a .yaml file.{suggest(wanted, names())}")
    try:
        values = _load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"The profile {path} cannot be read: {' '.join(str(error).split())[:200]}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path} is no profile: it needs lines such as partition: gpu.")
    return {str(key): value for key, value in values.items()}


def resolve(values: Mapping[str, Any], words: Sequence[str]) -> Profile:
    """The profile of `values` with `slurm.<field>=<value>` words on top, the last one winning.

    Raises UserError naming a field that is unknown or out of its range.
    """
    merged = dict(values)
    for word in words:
        name, _, text = word.removeprefix(PREFIX).partition("=")
        try:
            merged[name] = _load(text)
        except yaml.YAMLError as error:
            raise UserError(f"'{word}' cannot be read as a setting.") from error
    if type(merged.get("time")) is int:
        merged["time"] = str(merged["time"])
    for name in ("environment", "sbatch"):
        if isinstance(merged.get(name), Mapping):
            merged[name] = {str(key): _as_text(value) for key, value in merged[name].items()}
    return build(Profile, merged, PREFIX.removesuffix("."))


class _Loader(yaml.SafeLoader):
    """YAML 1.1 without its numbers in base 60: 12:00:00 stays text."""


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith((":int", ":float"))]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"[-+]?\d+$"), list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"[-+]?\d+\.\d*$"), list("-+0123456789"))


def _load(text: str) -> Any:
    return yaml.load(text, Loader=_Loader)  # a safe loader: plain values only


def _as_text(value: Any) -> Any:
    if value is None or value is True:
        return ""
    return str(value) if isinstance(value, int | float) else value
