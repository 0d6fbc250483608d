"""Localisation: whether the evidence that finished encoders see lies on the object, against chance and no training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from bench.analysis import annotations as drawn
from bench.analysis import heatmaps, map_scores
from bench.analysis.annotations import Annotated
from bench.analysis.composed import Composed
from bench.analysis.heatmaps import Probe
from bench.analysis.runs import FinishedRun, Where, by_data, chosen_rows, finished
from bench.data import Data, load
from bench.datasets._store import prepare
from bench.errors import UserError
from bench.evaluate.protocol import part_features
from bench.files import write_atomically
from bench.plan import open_dataset
from bench.seeds import derive
from bench.store import disk_errors, ended

IMAGES = 1024
"""Test pictures that are examined (all of them, if there are fewer)."""
BATCH = 128
EXAMPLES = 5
"""Pictures kept for the overlays, evenly spread over those examined."""
MAPS = ("class_activation", "activation", "seed_similarity")
Examined = Annotated | Composed


def analyse(
    run_folders: Sequence[Path],
    destination: Path,
    where: Where,
    *,
    reference: str | None = None,
    images: int = IMAGES,
    seed: int = 0,
    annotations: Path | None = None,
    background: str | None = None,
) -> Path:
    """Score where the encoders of these run folders see evidence; returns <destination>/section.md.

    The ground truth is read from the folder `annotations` (see bench.analysis.annotations.find); without it pictures
    are composed (bench.analysis.composed), on test pictures of another class or of the dataset `background`. Beside
    the section: scores.csv (a row per run and map: means over pictures), chance.csv (the same for a uniform map and for
    a centre prior), examples-*.npz, tables and figures. Maps are those of bench.analysis.heatmaps, scores those of
    bench.analysis.map_scores; labels of test pictures choose the class whose activation is drawn, and nothing else.
    Everything follows from `seed`. Raises UserError where no run has an encoder or something asked for is not there.
    """
    from bench.reports.analysis import write_csv
    from bench.reports.figure_localisation import write_section

    if annotations is not None and background is not None:
        raise UserError("Backgrounds belong to composed pictures: give either --annotations or --background.")
    scores: list[dict[str, Any]] = []
    chance: list[dict[str, Any]] = []
    examples: dict[Path, dict[str, np.ndarray]] = {}
    for members, data in by_data(finished(run_folders), where):
        examined = _examined(members[0], data, where, images, seed, annotations, background)
        sizes = sorted({run.spec.protocol.image_size for run in members})
        name = data.store.fingerprint
        for size in sizes:
            chance += [{"fingerprint": name, "image_size": size, **row} for row in _chance(examined, size)]
        maps = {}
        for run in tqdm(members, desc="localisation", unit="run", disable=None, delay=2):
            rows, maps[run.spec.id] = _run_scores(run, data, examined)
            scores += [{"id": run.spec.id, "images": len(examined), **row} for row in rows]
        examples[destination / f"examples-{name[:8]}.npz"] = _examples(examined, data, sizes[-1], maps)
    with disk_errors(destination):
        for path, arrays in examples.items():
            _save(path, arrays)
        write_csv(scores, destination / "scores.csv")
        write_csv(chance, destination / "chance.csv")
        return write_section(run_folders, destination, reference)


def _examined(
    run: FinishedRun,
    data: Data,
    where: Where,
    images: int,
    seed: int,
    annotations: Path | None,
    background: str | None,
) -> Examined:
    if annotations is None:
        other = None
        if background is not None:
            store = prepare(open_dataset(background), where.data_root, where.store_root, where.skip_corrupt)
            other = load(store, where.device).test
        return Composed(data, chosen_rows(data.test, images, seed), other, seed)
    found = drawn.find(annotations, open_dataset(run.spec.dataset.name), data, where.data_root)
    known = [row for row in chosen_rows(data.test, len(data.test), seed).tolist() if row in found]
    chosen = np.random.default_rng(derive(seed, "analysis", "annotated")).permutation(known)[:images]
    return Annotated(data, torch.from_numpy(np.sort(chosen)).to(where.device), found)


@torch.no_grad()
def _run_scores(run: FinishedRun, data: Data, examined: Examined) -> tuple[list[dict[str, Any]], Tensor]:
    """Mean scores of every map, a row each; and the class-activation maps (EXAMPLES, S, S) of the examples."""
    protocol, device = run.spec.protocol, data.test.device
    encoder = run.encoder(device)
    train = part_features(encoder, data, data.train, protocol.image_size, "float32")
    probe = Probe.fit(train, run.spec.dataset.classes, _strength(run))
    parts: dict[str, list[dict[str, Tensor]]] = {name: [] for name in MAPS}
    for part, pictures, masks in _batches(examined, protocol.image_size):
        features = encoder.feature_map(pictures)
        maps = {
            "class_activation": heatmaps.class_activation(probe, features, examined.labels[part]),
            "activation": heatmaps.activation(features),
            "seed_similarity": heatmaps.seed_similarity(probe, features),
        }
        for name, one in maps.items():
            parts[name].append(_scores(one, masks))
    shown = _shown(examined)
    pictures, _ = examined.batch(shown, protocol.image_size)
    examples = heatmaps.class_activation(probe, encoder.feature_map(pictures), examined.labels[shown])
    return [{"map": name, **_means(parts[name])} for name in MAPS], heatmaps.enlarged(examples, protocol.image_size)


def _shown(examined: Examined) -> Tensor:
    return torch.linspace(0, len(examined) - 1, min(EXAMPLES, len(examined))).long().to(examined.rows.device)


def _strength(run: FinishedRun) -> float:
    """The strength that the run's own linear probe chose on validation."""
    strength = (ended(run.folder).get("probe") or {}).get("strength")
    if not isinstance(strength, float):
        raise UserError(f"{run.folder / 'result.json'} does not say which strength its linear probe chose.")
    return strength


def _scores(maps: Tensor, masks: Tensor) -> dict[str, Tensor]:
    """Every score (B,) of maps (B, h, w) against masks (B, S, S); concentration at the map's own resolution."""
    large = heatmaps.enlarged(maps, masks.shape[1])
    return {
        "energy": map_scores.energy(large, masks),
        "pointing": map_scores.pointing(large, masks),
        "box_overlap": map_scores.box_overlap(large, masks),
        "gini": map_scores.gini(maps),
        "entropy": map_scores.entropy(maps),
    }


def _means(parts: Sequence[Mapping[str, Tensor]]) -> dict[str, float]:
    return {name: torch.cat([part[name] for part in parts]).mean().item() for name in parts[0]}


def _chance(examined: Examined, size: int) -> list[dict[str, Any]]:
    """What a uniform map and a centre prior score: the levels that say nothing of an encoder."""
    priors: dict[str, Callable[[int, int, torch.device], Tensor]] = {
        "uniform": heatmaps.uniform,
        "centre_prior": heatmaps.centre_prior,
    }
    parts: dict[str, list[dict[str, Tensor]]] = {name: [] for name in priors}
    for _, _, masks in _batches(examined, size):
        for name, prior in priors.items():
            parts[name].append(_scores(prior(len(masks), size, masks.device), masks))
    return [{"map": name, **_means(parts[name])} for name in priors]


def _batches(examined: Examined, size: int) -> Iterator[tuple[slice, Tensor, Tensor]]:
    for start in range(0, len(examined), BATCH):
        part = slice(start, start + BATCH)
        yield part, *examined.batch(part, size)


def _examples(examined: Examined, data: Data, size: int, maps: Mapping[str, Tensor]) -> dict[str, np.ndarray]:
    """The examples (EXAMPLES, S, S, 3) uint8, their masks, and under `map/<run id>` each run's maps."""
    pictures, masks = examined.batch(_shown(examined), size)
    pixels = (pictures * data.std[:, None, None] + data.mean[:, None, None]).clamp(0, 1)
    arrays = {"pictures": (255 * pixels).byte().permute(0, 2, 3, 1).cpu().numpy(), "masks": masks.cpu().numpy()}
    return arrays | {f"map/{identifier}": one.float().cpu().numpy() for identifier, one in maps.items()}


def _save(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    def write(temporary: Path) -> None:
        with open(temporary, "wb") as handle:
            np.savez_compressed(handle, allow_pickle=False, **arrays)

    write_atomically(path, write)
