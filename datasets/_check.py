"""Whether a decoded store still holds what was decoded: opening it looks at lengths and headers alone."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from bench.api import Split
from bench.datasets._build import fingerprint, picture_digest, tracked, workers
from bench.datasets._store import Store
from bench.errors import UserError

AT_ONCE = 256


def check(store: Store) -> None:
    """Read every picture, size and label again. Raises UserError where they do not give the store's fingerprint."""
    splits = {name: store.split(name) for name in store.report["counts"]}
    with ThreadPoolExecutor(workers()) as pool:
        found = {name: (_digests(pool, split, name), split.labels) for name, split in splits.items()}
    if fingerprint(found, store.classes) != store.fingerprint:
        raise UserError(
            f"The decoded store {store.folder} is damaged (its pictures or labels are not those that were decoded): "
            "delete that folder, it is made anew then. Runs on it since the damage do not count."
        )


def _digests(pool: ThreadPoolExecutor, split: Split, name: str) -> list[bytes]:
    def task(rows: Sequence[int]) -> list[bytes]:
        return [picture_digest(split.images[row][:, : split.sizes[row][0], : split.sizes[row][1]]) for row in rows]

    return [
        digest for part in tracked(pool, task, range(len(split.labels)), AT_ONCE, f"check {name}") for digest in part
    ]
