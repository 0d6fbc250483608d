"""Transfer of finished encoders: linear probe and kNN on other datasets, fine-grained and coarse ones apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from tqdm import tqdm

from bench.analysis.runs import FinishedRun, Where, by_data, finished
from bench.data import Data, load
from bench.datasets._store import prepare
from bench.evaluate.protocol import evaluate, labelled_features
from bench.plan import open_dataset
from bench.spec import safe
from bench.store import disk_errors

KINDS = {"fine": "fine-grained", "coarse": "coarse"}


def analyse(
    run_folders: Sequence[Path],
    destination: Path,
    where: Where,
    *,
    reference: str | None = None,
    fine: str = "",
    coarse: str = "",
) -> Path:
    """Scores of these runs' encoders on the datasets `fine` and `coarse` (names as in `run`, with commas).

    Returns the section of a report, <destination>/section.md; beside it measures.csv, a row per run: `<target>.linear`
    and `.knn` (accuracies on the target's test images), and their means over the targets of a kind and over all,
    `fine.linear`, `all.linear` and so on. Raises UserError where there is no finished run, or its data or a target's
    are not here.
    """
    from bench.reports.analysis import Quantity, compared, loaded, read_csv, table, write, write_csv

    asked = {"fine": fine, "coarse": coarse}
    targets = {kind: [name for name in names.split(",") if name] for kind, names in asked.items()}
    opened = {name: _open(name, where) for names in targets.values() for name in names}
    rows: list[dict[str, float | str]] = []
    for members, source in by_data(finished(run_folders), where):
        for run in tqdm(members, desc="transfer", unit="run", disable=None, delay=2):
            scores = {name: measure(run, target, source) for name, target in opened.items() if _other(target, source)}
            rows.append({"id": run.spec.id, **_named(scores, targets, opened)})
    tables = []
    with disk_errors(destination):
        write_csv(rows, destination / "measures.csv")
        values = read_csv(destination / "measures.csv")
        for comparison in compared(loaded(run_folders), values, reference):
            for kind, words in KINDS.items():
                known = [name for name in targets[kind] if f"{_key(opened[name])}.linear" in values]
                keys = [_key(opened[name]) for name in known] + ([kind] if len(known) > 1 else [])
                quantities = {
                    f"{key}.{probe}": Quantity(f"{key} {probe}", 3, "accuracy on test images, a fraction")
                    for key in keys
                    for probe in ("linear", "knn")
                }
                if quantities:
                    caption = f"Transfer from {comparison.title} to {words} datasets, frozen features."
                    one = table(comparison, quantities, caption, [])
                    tables.append(dataclasses.replace(one, label=f"{one.label}-{kind}"))
        return write(destination, "Transfer", tables, [])


def measure(run: FinishedRun, target: Data, source: Data) -> dict[str, float]:
    """Accuracies `linear` and `knn` on the test images of `target`, at the run's image size.

    Pixels are normalised as in pretraining, on `source`. Probes are fitted and chosen on the target's own parts.
    """
    protocol, device = run.spec.protocol, target.test.device
    seen = dataclasses.replace(target, mean=source.mean, std=source.std)
    parts = labelled_features(run.encoder(device), seen, protocol.image_size, protocol.precision)
    wanted = protocol.evaluate
    scores = evaluate(parts, len(target.store.classes), wanted.neighbours, wanted.temperature).scores
    return {name: scores[name] for name in ("linear", "knn")}


def _open(name: str, where: Where) -> Data:
    return load(prepare(open_dataset(name), where.data_root, where.store_root, where.skip_corrupt), where.device)


def _other(target: Data, source: Data) -> bool:
    """A dataset is no transfer target of its own runs."""
    return target.store.fingerprint != source.store.fingerprint


def _key(target: Data) -> str:
    return safe(target.store.key)


def _named(
    scores: dict[str, dict[str, float]], targets: dict[str, list[str]], opened: dict[str, Data]
) -> dict[str, float]:
    """Scores by column: of every target, and their mean over the targets of a kind and over `all`."""
    columns = {f"{_key(opened[name])}.{probe}": value for name, own in scores.items() for probe, value in own.items()}
    for kind, names in {**targets, "all": list(scores)}.items():
        known = [scores[name] for name in names if name in scores]
        for probe in ("linear", "knn") if known else ():
            columns[f"{kind}.{probe}"] = sum(own[probe] for own in known) / len(known)
    return columns
