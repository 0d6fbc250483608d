"""The records of a table on the disk against those that its runs give now."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path
from typing import Any

from bench.reports.tables import Table
from bench.reports.verify_text import changed

TOLERANCE = 1e-9
"""Relative difference of two numbers that counts as the rounding of another machine's arithmetic."""
FROM_FOLDERS = frozenset(("seeds_error", "pictures_error", "both_low", "both_high", "mcnemar_p"))
"""Columns of a table's CSV that take more of a run folder than results.csv holds."""


def records_drifts(path: Path, table: Table, whole: bool) -> Iterator[str]:
    stored = list(csv.DictReader(io.StringIO(path.read_text(encoding="utf-8"))))
    expected = list(csv.DictReader(io.StringIO(table.csv())))
    for index, (before, row) in enumerate(zip_longest(stored, expected), start=1):
        if before is None or row is None:
            yield f"line {index + 1} {'is missing' if before is None else 'follows from no run'}"
            continue
        label = row.get("label") or next(iter(row.values()))
        for name in dict.fromkeys([*before, *row]):
            if (whole or name not in FROM_FOLDERS) and not same(before.get(name), row.get(name)):
                yield f"{label}, {name}: {changed(before.get(name), row.get(name))}"


def same(a: Any, b: Any) -> bool:
    """Whether two cells say the same: numbers within TOLERANCE, absent and null alike, else the same words."""
    a, b = (None if value is None or value != value or value == "" else value for value in (a, b))
    if a is None or b is None:
        return a is b
    try:
        return math.isclose(float(a), float(b), rel_tol=TOLERANCE, abs_tol=1e-12)
    except (TypeError, ValueError):
        return _close_lists(str(a), str(b))


def _close_lists(a: str, b: str) -> bool:
    """For cells of several numbers with blanks between them, such as the raw values of a row."""
    if a == b:
        return True
    first, second = a.split(), b.split()
    return len(first) == len(second) > 1 and all(same(x, y) for x, y in zip(first, second, strict=True))
