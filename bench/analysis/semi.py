"""Few labels: the probes of every run, fitted to a small part of the labelled images."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from tqdm import tqdm

from bench.analysis.runs import FinishedRun, Where, by_data, finished
from bench.data import Data, stratified_rows
from bench.errors import UserError
from bench.evaluate.linear import Labelled
from bench.evaluate.protocol import Parts, evaluate, labelled_features
from bench.seeds import derive
from bench.store import disk_errors


def analyse(
    run_folders: Sequence[Path],
    destination: Path,
    where: Where,
    *,
    reference: str | None = None,
    fractions: str = "0.01,0.1",
) -> Path:
    """Probe accuracy of these runs' frozen features with `fractions` of the labels; <destination>/section.md.

    Beside it measures.csv, a row per run: `linear_1` and `knn_1` for 1 %, and so on. The encoder is not fine-tuned,
    as it is in the papers' semi-supervised tables. Raises UserError for a fraction out of (0, 1] and where no run has
    an encoder or its data are not here.
    """
    from bench.reports.analysis import Quantity, compared, loaded, read_csv, table, write, write_csv

    shares = _fractions(fractions)
    rows: list[dict[str, float | str]] = []
    for members, data in by_data(finished(run_folders), where):
        for run in tqdm(members, desc="few labels", unit="run", disable=None, delay=2):
            rows.append({"id": run.spec.id, **measure(run, data, shares)})
    quantities = {
        f"{probe}_{100 * share:g}": Quantity(f"{probe}, {100 * share:g} %", 3, "accuracy on test images, a fraction")
        for probe in ("linear", "knn")
        for share in shares
    }
    with disk_errors(destination):
        write_csv(rows, destination / "measures.csv")
        values = read_csv(destination / "measures.csv")
        tables = [
            table(one, quantities, f"Probes with few labels on {one.title}, frozen features.", [])
            for one in compared(loaded(run_folders), values, reference)
        ]
        return write(destination, "Few labels", tables, [])


def measure(run: FinishedRun, data: Data, fractions: Sequence[float]) -> dict[str, float]:
    """Accuracies on all test images of probes fitted to a fraction of every class's training labels.

    The strength of the linear probe is chosen on the same fraction of the validation labels, so that the fraction is
    of all labels that are used. The labels are drawn from the run's `probe` axis: the same for every method at a seed,
    those of a small fraction among those of a larger one.
    """
    protocol = run.spec.protocol
    parts = labelled_features(run.encoder(data.test.device), data, protocol.image_size, protocol.precision)
    seed, wanted = derive(run.spec.axis_seed("probe"), "labels"), protocol.evaluate
    scores: dict[str, float] = {}
    for fraction in fractions:
        few = Parts(_few(parts.train, fraction, seed), _few(parts.validation, fraction, seed), parts.test)
        found = evaluate(few, len(data.store.classes), wanted.neighbours, wanted.temperature).scores
        scores |= {f"{probe}_{100 * fraction:g}": found[probe] for probe in ("linear", "knn")}
    return scores


def _few(part: Labelled, fraction: float, seed: int) -> Labelled:
    rows = torch.from_numpy(stratified_rows(part.labels.cpu().numpy(), fraction, seed)).to(part.labels.device)
    return Labelled(part.features[rows], part.labels[rows])


def _fractions(text: str) -> list[float]:
    try:
        found = [float(word) for word in text.split(",")]
    except ValueError:
        found = []
    if not found or not all(0 < fraction <= 1 for fraction in found):
        raise UserError(f"semi.fractions={text}: give shares of the labels above 0 and at most 1, such as 0.01,0.1.")
    return found
