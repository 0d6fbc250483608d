"""results.csv, the record of all runs that a report carries with it, and back."""

from __future__ import annotations

import csv
import math
import os
import re
from pathlib import Path
from typing import Any

import pandas as pd

from bench.errors import UserError
from bench.reports.load import KEYS, NUMERIC

OF_COMPLETED = ("config.method.name", "config.method.title", "config.dataset.name")
_WORDS = {"": math.nan, "null": None, "True": True, "False": False}
_NULLABLE = ("reason", "problem")
_TEXT = ("id", "dataset", "method", "digest", "folder", "status", *_NULLABLE)


def to_csv(runs: pd.DataFrame, destination: Path) -> str:
    """A line per run at full precision: `null` for a null in a configuration, empty for what is absent.

    Folders are written relative to `destination`, where the report is.
    """
    portable = runs.assign(folder=[os.path.relpath(folder, destination) for folder in runs["folder"]])
    for column in portable.columns:
        if str(column).startswith(("config.", "environment.")):
            values = ["null" if value is None else value for value in portable[column]]
            # As they are: a whole number that other runs have not would become a fraction, 2 into 2.0.
            portable[column] = pd.Series(values, portable.index, dtype=object)
    return portable.to_csv(index=False)


def from_csv(path: Path) -> pd.DataFrame:
    """The rows of `bench.reports.load.load` from a results.csv; folders are taken relative to it.

    Raises UserError where it is missing or not such a file.
    """
    try:
        with open(path, newline="", encoding="utf-8") as handle:
            rows = list(csv.DictReader(handle, strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read ({error}).") from error
    if not rows or not set(KEYS) <= set(rows[0]):
        raise UserError(f"{path} is not the results.csv of a report: it lacks runs or their columns.")
    if any(None in row or None in row.values() for row in rows):
        raise UserError(f"{path} is damaged: a line has too few or too many cells.")
    if any(row["status"] == "completed" for row in rows) and not set(OF_COMPLETED) <= set(rows[0]):
        missing = next(name for name in OF_COMPLETED if name not in rows[0])
        raise UserError(f"{path} is not the results.csv of a report: it lacks the column {missing}.")
    frame = pd.DataFrame([{name: _value(name, text) for name, text in row.items()} for row in rows], dtype=object)
    frame["folder"] = [str(path.parent / folder) for folder in frame["folder"]]
    numeric = [column for column in frame.columns if column.startswith(NUMERIC)]
    try:
        return frame.astype({**dict.fromkeys(numeric, float), "seed": int})
    except (ValueError, TypeError) as error:
        raise UserError(f"{path} has something else than a number in a column of numbers ({error}).") from error


def _value(name: str, text: str) -> Any:
    if name in _NULLABLE and not text:
        return None
    if name in _TEXT:
        return text
    if text in _WORDS:
        return _WORDS[text]
    if re.fullmatch(r"[+-]?[0-9]+", text):
        return int(text)
    try:
        return float(text)
    except ValueError:
        return text
