"""Geometry of finished encoders on held-out pictures: how their features are spread, and how alike encoders are."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from tqdm import tqdm

from bench.analysis import representation
from bench.analysis.cka import linear_cka
from bench.analysis.runs import FinishedRun, Where, by_data, chosen_rows, finished
from bench.augment import pipeline
from bench.data import Data
from bench.evaluate.features import extract
from bench.seeds import derive
from bench.store import disk_errors

IMAGES = 2048
"""Test pictures on which everything is measured (all of them, if there are fewer)."""
BATCH = 512


def analyse(
    run_folders: Sequence[Path],
    destination: Path,
    where: Where,
    *,
    reference: str | None = None,
    images: int = IMAGES,
    seed: int = 0,
) -> Path:
    """Measure the encoders of these run folders; returns the section of a report, <destination>/section.md.

    Beside it: measures.csv (a row per run), spectrum.csv (id, index, share), cka.csv (pairs of runs on the same data),
    tables and figures. All of it is of the encoder's output, which evaluation uses, not of the projector's, which runs
    do not keep. `seed` draws the pictures and their views, the same for every run. Raises UserError where no run has
    an encoder or its data are not here.
    """
    from bench.reports.analysis import write_csv
    from bench.reports.figure_geometry import write_section

    runs = finished(run_folders)
    measures: list[dict[str, float | str | None]] = []
    spectra: list[dict[str, float | str | None]] = []
    pairs: list[dict[str, float | str | None]] = []
    for members, data in by_data(runs, where):
        rows = chosen_rows(data.test, images, seed)
        features = {}
        for run in tqdm(members, desc="geometry", unit="run", disable=None, delay=2):
            plain, shape = measure(run, data, rows, seed)
            features[run.spec.id] = plain
            measures.append({"id": run.spec.id, **shape})
            shares = enumerate(representation.spectrum(plain).tolist(), start=1)
            spectra += [{"id": run.spec.id, "index": index, "share": share} for index, share in shares]
        for (id_a, a), (id_b, b) in tqdm(
            list(itertools.combinations(features.items(), 2)), desc="CKA", unit="pair", disable=None, delay=2
        ):
            pairs.append({"id_a": id_a, "id_b": id_b, "cka": linear_cka(a, b)})
    with disk_errors(destination):
        write_csv(measures, destination / "measures.csv")
        write_csv(spectra, destination / "spectrum.csv")
        write_csv(pairs, destination / "cka.csv")
        return write_section(run_folders, destination, reference)


@torch.no_grad()
def measure(run: FinishedRun, data: Data, rows: Tensor, seed: int) -> tuple[Tensor, dict[str, float | None]]:
    """Features (n, d) of the test pictures `rows` (n,) and their measures, by bench.analysis.representation.

    Alignment and redundancy are between two views by the run's own augmentation. In float32 whatever the run's
    precision: the rounding of bfloat16 makes a collapsed representation look rich.
    """
    protocol, device = run.spec.protocol, data.test.device
    encoder = run.encoder(device)
    plain = extract(encoder, data.test, protocol.image_size, data.mean, data.std, "float32", rows)
    sizes = data.test.sizes[rows]
    parts = [slice(start, start + BATCH) for start in range(0, len(rows), BATCH)]
    views = []
    for view in range(pipeline.LARGE_VIEWS):
        drawn = pipeline.draw(protocol.augment, view, sizes, derive(seed, "analysis", "views", view))
        batches = data.test.stream(rows[part] for part in parts)
        made = (
            pipeline.apply(canvases, drawn[part], protocol.image_size, data.mean, data.std)
            for part, canvases in zip(parts, batches, strict=True)
        )
        views.append(torch.cat([encoder(pictures).float() for pictures in made]))
    first, second = views
    return plain, {
        "images": len(rows),
        "effective_rank": representation.effective_rank(plain),
        "alignment": representation.alignment(first, second),
        "uniformity": representation.uniformity(plain),
        "redundancy": representation.redundancy(first, second),
        "class_separation": representation.class_separation(plain, data.test.labels[rows]),
    }
