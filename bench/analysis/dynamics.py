"""Dynamics of objectives: how each pulls at a pair by its correlation, on which pairs its gradient goes, and where it
takes points on a circle. No images and no training; loss terms over training come from runs, if there are any."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from tqdm import tqdm

from bench.analysis import toy
from bench.analysis.pairs import Kind, attraction, attractions, closed_form, objective_of, related_batch
from bench.store import disk_errors

OBJECTIVES = (
    "smi",
    "smi:form=maxmin",
    "smi:form=fisher",
    "smi:form=fisher:centre=feature",  # not over the batch, as it is by default: what of its share is the centring's
    "smi:centre=batch",
    "smi:transform=identity",
    "smi:level=feature",
    "spectral",
    "simclr",
    "barlow",
    "vicreg",
)
ON_THE_CIRCLE = (
    "smi:centre=none:w=1",
    "smi:centre=none:form=maxmin:w=1",
    "smi:centre=none:form=fisher:w=1",
    "smi:centre=none:transform=identity:w=1",
    "spectral",
    "simclr",
    "barlow",
    "vicreg",
)
"""In two dimensions Pearson's correlation is always 1 or -1: SMI on the cosine instead. Six images cannot all be
uncorrelated there, so that a large weight `w` would drown the alignment."""
COSINES = tuple(index / 20 for index in range(-19, 20))
BATCH, WIDTH, DRAWS = 64, 256, 2
RELATED_BATCH, RELATED_WIDTH, CLASSES, SAME_CLASS = 256, 1024, 16, 0.5
"""Of the batch on which gradient shares are taken: that many classes, embeddings of one class at this mean cosine."""
SAME_CLASSES, STRONGEST = (0.0, 0.1, 0.3, 0.5, 0.7, 0.9), 0.1
"""Other mean cosines, at which the share of this strongest part is taken: which one training has is not known."""
Rows = list[dict[str, Any]]
TOP = (0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.75, 1.0)
"""Shares of the strongest pairs."""


def analyse(
    run_folders: Sequence[Path],
    destination: Path,
    *,
    reference: str | None = None,
    seed: int = 0,
    objectives: Sequence[str] = OBJECTIVES,
    on_the_circle: Sequence[str] = ON_THE_CIRCLE,
) -> Path:
    """Gradients, shares and toy problems of these objectives; returns <destination>/section.md.

    Beside it: gradients.csv (objective, pair, cosine, attraction, closed_form), shares.csv (objective, top, share),
    related.csv (objective, same_class, share), toy.csv (objective, step, image, view, angle) and figures.
    `run_folders`, which may be none, add the diagonal and off-diagonal terms that their metrics.csv recorded;
    `reference` is the method these tables compare with. Everything is in float64 on the CPU and follows from `seed`.
    Raises UserError for an unknown objective.
    """
    from bench.reports.analysis import write_csv
    from bench.reports.figure_dynamics import write_section

    with _one_thread():
        gradients, shares, paths = _numbers(objectives, on_the_circle, seed)
        related = shares_by_relatedness(objectives, seed)
    with disk_errors(destination):
        write_csv(gradients, destination / "gradients.csv")
        write_csv(shares, destination / "shares.csv")
        write_csv(related, destination / "related.csv")
        write_csv(paths, destination / "toy.csv")
        return write_section(run_folders, destination, reference)


def _numbers(objectives: Sequence[str], on_the_circle: Sequence[str], seed: int) -> tuple[Rows, Rows, Rows]:
    """Rows of gradients.csv, shares.csv and toy.csv."""
    gradients: Rows = []
    shares: Rows = []
    paths: Rows = []
    related = related_batch(RELATED_BATCH, RELATED_WIDTH, CLASSES, SAME_CLASS, seed)
    for name in tqdm(objectives, desc="gradients", unit="objective", disable=None, delay=2):
        gradients += gradient_curves(name, seed)
        pulls = attractions(objective_of(name, RELATED_BATCH, RELATED_WIDTH)[0], *related)
        shares += [{"objective": name, **row} for row in gradient_shares(pulls, related[0] @ related[1].T)]
    for name in tqdm(on_the_circle, desc="toy problems", unit="objective", disable=None, delay=2):
        angles, losses = toy.trajectories(objective_of(name, toy.IMAGES, 2)[0], seed)
        paths += [
            {"objective": name, "step": step, "image": image, "view": view, "angle": angles[step, view, image].item()}
            | {"loss": losses[step].item()}
            for step in range(0, toy.STEPS + 1, 5)
            for image in range(toy.IMAGES)
            for view in range(2)
        ]
    return gradients, shares, paths


def shares_by_relatedness(objectives: Sequence[str], seed: int) -> Rows:
    """Rows of related.csv: the share of the STRONGEST pairs in batches with each of SAME_CLASSES."""
    rows: Rows = []
    for same_class in SAME_CLASSES:
        za, zb = related_batch(RELATED_BATCH, RELATED_WIDTH, CLASSES, same_class, seed)
        for name in objectives:
            pulls = attractions(objective_of(name, RELATED_BATCH, RELATED_WIDTH)[0], za, zb)
            share = {row["top"]: row["share"] for row in gradient_shares(pulls, za @ zb.T)}[STRONGEST]
            rows.append({"objective": name, "same_class": same_class, "share": share})
    return rows


@contextmanager
def _one_thread() -> Iterator[None]:
    """Matrices are small: a second thread does nothing but wait, for minutes where it has no core of its own."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def gradient_curves(name: str, seed: int) -> list[dict[str, Any]]:
    """Attraction of a positive and of a negative pair at COSINES, by autograd and, where there is one, closed form."""
    objective, config = objective_of(name, BATCH, WIDTH)
    rows: list[dict[str, Any]] = []
    kinds: tuple[Kind, ...] = ("positive", "negative")
    for kind in kinds:
        measured = attraction(objective, kind, COSINES, BATCH, WIDTH, DRAWS, seed)
        exact = closed_form(name, config, kind, COSINES, BATCH)
        for index, cosine in enumerate(COSINES):
            row = {"objective": name, "pair": kind, "cosine": cosine, "attraction": measured[index].item()}
            rows.append(row | {"closed_form": None if exact is None else exact[index].item()})
    return rows


def gradient_shares(pulls: Tensor, cosines: Tensor) -> list[dict[str, float]]:
    """Which share of the summed |pull| on negative pairs the strongest of them have, from both (B, B) of a batch.

    Rows `top` (of the negative pairs, by |cosine|) and `share`.
    """
    negative = ~torch.eye(len(cosines), dtype=torch.bool)
    forces, cosines = pulls[negative].abs(), cosines[negative]
    ordered = forces[cosines.abs().argsort(descending=True, stable=True)].cumsum(0)
    counts = [max(1, round(top * len(cosines))) for top in TOP]
    return [
        {"top": top, "share": (ordered[count - 1] / ordered[-1]).item()} for top, count in zip(TOP, counts, strict=True)
    ]
