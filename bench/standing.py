"""How far a run is, from its files alone: wherever it runs, as long as its folder can be read. Never imports torch."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from bench.errors import UserError
from bench.store import RunFolder, in_words

_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(frozen=True)
class Standing:
    """`state`: running, stopped, completed, collapsed, diverged, failed or damaged; of a run given to SLURM also
    queued, and unfinished where its job has ended before it.

    `epoch` is the last finished one of `epochs`; `loss` and `images_per_second` are that epoch's, and `seconds_left` is
    what the remaining pretraining takes at that rate (None before the first epoch, and when the run has ended).
    `outcome` are the scores or the reason of a run that has ended; `job` is the SLURM job of one that has not.
    """

    run_id: str
    state: str
    epoch: int = 0
    epochs: int = 0
    loss: float | None = None
    images_per_second: float | None = None
    seconds_left: float | None = None
    outcome: str = ""
    job: str = ""

    @property
    def ended(self) -> bool:
        return self.state not in ("running", "stopped", "queued")


class Watcher:
    """Looks at the runs of an output folder again and again; what has ended for good is read once.

    It keeps its view of every lock, since the heartbeat of a process on another machine is judged over time.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        self._folders: dict[str, RunFolder] = {}
        self._ended: dict[str, Standing] = {}

    def look(self) -> list[Standing]:
        """Every run that has begun, by id."""
        found = sorted(
            str(path.parent.relative_to(self.output)) for path in self.output.glob("*/*/*/seed*/config.yaml")
        )
        standings = []
        for run_id in found:
            folder = self._folders.setdefault(run_id, RunFolder(self.output, run_id))
            standing = self._ended.get(run_id) or standing_of(folder)
            if standing.ended and standing.state not in ("failed", "damaged"):  # which may be begun anew
                self._ended[run_id] = standing
            standings.append(standing)
        return standings


def standing_of(folder: RunFolder) -> Standing:
    """Of one run folder that holds a config.yaml."""
    try:
        config = _config(folder.path / "config.yaml")
        last = _last_row(folder.path / "metrics.csv")
        result = folder.result()
    except UserError as error:
        return Standing(folder.run_id, "damaged", outcome=str(error))
    epoch, epochs = int(last["epoch"]) if last else 0, config["epochs"]
    if result is not None:
        state, _, outcome = in_words(result).partition(": ")
        return Standing(folder.run_id, state, epoch, epochs, outcome=outcome)
    state = "running" if folder.lock.is_held() else "stopped"
    if last is None:
        return Standing(folder.run_id, state, 0, epochs)
    rate = float(last["images_per_second"])
    images = (epochs - epoch) / epoch * float(last["step"]) * config["batch_size"]
    return Standing(folder.run_id, state, epoch, epochs, float(last["loss"]), rate, images / rate)


def _config(path: Path) -> Mapping[str, int]:
    try:
        config = yaml.load(path.read_bytes(), Loader=_LOADER)  # a safe loader: plain values only
        return {key: int(config[key]) for key in ("epochs", "batch_size")}
    except (OSError, ValueError, TypeError, KeyError, yaml.YAMLError) as error:
        raise UserError(f"{path} is not the configuration of a run.") from error


def _last_row(path: Path) -> Mapping[str, str] | None:
    """The last line of metrics.csv; None before the first epoch."""
    try:
        rows = list(csv.DictReader(path.read_text(encoding="utf-8").splitlines()))
        for column in ("epoch", "step", "loss", "images_per_second") if rows else ():
            float(rows[-1][column])
        if rows and int(rows[-1]["epoch"]) < 1:
            raise ValueError("epochs count from 1")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, csv.Error) as error:
        raise UserError(f"{path} cannot be read as the metrics of a run.") from error
    return rows[-1] if rows else None
