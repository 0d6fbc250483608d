"""Finished runs as analyses need them: their specification, their encoder, the pictures they are examined on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

import torch
import yaml
from torch import Tensor

from bench.backbones import ResNet
from bench.data import Data, Images, load
from bench.datasets._store import prepare
from bench.errors import UserError
from bench.external import encoder_of_file
from bench.plan import open_dataset
from bench.seeds import derive
from bench.spec import RunSpec
from bench.store import is_changed


@dataclass(frozen=True)
class Where:
    """Where datasets lie, as for `bench run`, and the device that does the work."""

    data_root: Path
    store_root: Path | None
    skip_corrupt: bool
    device: torch.device


@dataclass(frozen=True)
class FinishedRun:
    """A run folder with its encoder."""

    folder: Path
    spec: RunSpec

    def encoder(self, device: torch.device) -> ResNet:
        """The trained network on `device`, in evaluation mode. Raises UserError where its file does not fit."""
        protocol = self.spec.protocol
        path = self.folder / "encoder.safetensors"
        if is_changed(self.folder, path.name):
            raise UserError(f"{path} is not the encoder with which the run ended; `run --fresh` makes it anew.")
        network = encoder_of_file(path, protocol.backbone.name, protocol.backbone.width, protocol.image_size)
        return network.to(device).eval()


def finished(run_folders: Sequence[Path]) -> list[FinishedRun]:
    """The runs among these folders that have an encoder, in the order of their ids.

    Raises UserError where none has, and for a config.yaml that is not one of this version's.
    """
    folders = [folder for folder in run_folders if (folder / "encoder.safetensors").is_file()]
    if not folders:
        raise UserError("None of these runs has an encoder: there is nothing to analyse. Let a run complete first.")
    runs = [FinishedRun(folder, _specification(folder / "config.yaml")) for folder in folders]
    return sorted(runs, key=lambda run: run.spec.id)


def by_data(runs: Sequence[FinishedRun], where: Where) -> Iterator[tuple[list[FinishedRun], Data]]:
    """Runs on the same data, with that data on the device. Raises UserError where the data here are not the runs'."""

    def fingerprint(run: FinishedRun) -> str:
        return run.spec.dataset.fingerprint

    for wanted, group in groupby(sorted(runs, key=fingerprint), fingerprint):
        members = list(group)
        name = members[0].spec.dataset.name
        store = prepare(open_dataset(name), where.data_root, where.store_root, where.skip_corrupt)
        if store.fingerprint != wanted:
            raise UserError(
                f"{members[0].folder} was trained on other pictures than the {name} here "
                f"(fingerprint {wanted[:8]}, not {store.fingerprint[:8]}); give its data with --data-root."
            )
        yield members, load(store, where.device)


def chosen_rows(images: Images, count: int, seed: int) -> Tensor:
    """Sorted rows (at most `count`,) of labelled pictures, drawn by `seed`: the same for every run on the same data."""
    labelled = (images.labels >= 0).nonzero().squeeze(1).cpu()
    generator = torch.Generator().manual_seed(derive(seed, "analysis", "rows"))
    drawn = labelled[torch.randperm(len(labelled), generator=generator)[:count]]
    return drawn.sort().values.to(images.device)


def _specification(path: Path) -> RunSpec:
    try:
        return RunSpec.from_canonical(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (OSError, yaml.YAMLError, AttributeError, KeyError, TypeError, UserError) as error:
        reason = " ".join(str(error).split())
        raise UserError(f"{path} is not the configuration of a run of this version ({reason}).") from error
