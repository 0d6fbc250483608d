"""What a page of prose quotes from results: every quoted number is made again and looked for in the page's words."""

from __future__ import annotations

import functools
import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from bench.errors import UserError
from bench.reports import statistics, text
from bench.reports.claims_evidence import costs
from bench.reports.records import from_csv

_NUMBER = re.compile(r"[−+]?\d+(?:,\d{3})*(?:\.\d+)?")
_LINK = re.compile(r"\]\([^)]*\)|`[^`]*`")


@dataclass(frozen=True)
class Quote:
    """Words of the page, and where their number comes from.

    `file` is a CSV or cost.json relative to the file of quotes. The number is its `column` in the one row where `rows`
    have these values, with the columns `ends` as interval; or, of a results.csv, the mean of `column` over the
    completed runs of `arm` (method/hash) or its difference to that of `less`, with Welch's 95 % interval, the runs in
    `also`, a second results.csv with other seeds, counted in. It is multiplied by `scale` and printed with `decimals`,
    a difference and what is `signed` with a sign.
    """

    says: str
    file: str
    column: str
    rows: dict[str, Any] = field(default_factory=dict)
    ends: list[str] = field(default_factory=list)
    arm: str = ""
    less: str = ""
    also: str = ""
    scale: float = 1.0
    decimals: int = 1
    signed: bool = False

    def __post_init__(self) -> None:
        of_runs = bool(self.less or self.also)
        if bool(self.rows) == bool(self.arm) or (of_runs and not self.arm) or len(self.ends) not in (0, 2):
            raise UserError(f"'{self.says}': it needs rows (and two ends or none), or an arm (less and also, perhaps).")


def read(path: Path) -> list[Quote]:
    """The quotes in a YAML file. Raises UserError for a mistake in it."""
    try:
        return [Quote(**one) for one in yaml.safe_load(path.read_text(encoding="utf-8"))]
    except (OSError, ValueError, TypeError, yaml.YAMLError) as error:
        raise UserError(f"The quotes {path} cannot be read: {' '.join(str(error).split())[:200]}") from error


class Files:
    """Tables that quotes name; each file is read once."""

    def __init__(self) -> None:
        self.runs = functools.cache(from_csv)
        self.table = functools.cache(_table)


def made_again(quote: Quote, folder: Path, files: Files) -> str:
    """The number as the page should print it. Raises UserError where it cannot be made."""
    path = folder / quote.file
    if quote.arm:
        paths = [path, *([folder / quote.also] if quote.also else [])]
        own, other = (_scores(paths, arm, quote.column, files) if arm else [] for arm in (quote.arm, quote.less))
        if not quote.less:
            return _number(statistics.summary(own).mean, quote, quote.signed)
        found = statistics.welch(own, other)
        return _with_ends(found.difference, found.interval or (), quote, signed=True)
    row = _row(path, quote, files)
    try:
        value, *ends = (float(row[column]) for column in (quote.column, *quote.ends))
    except ValueError as error:
        raise UserError(f"'{quote.says}': {quote.file} has no number for it ({error}).") from error
    return _with_ends(value, ends, quote, quote.signed)


def drifts(page: str, quotes: Sequence[Quote], folder: Path) -> list[str]:
    """A line for each quote that the page does not say, or whose number it says otherwise."""
    found = []
    words, files = " ".join(page.split()), Files()
    for quote in quotes:
        now = made_again(quote, folder, files)
        if " ".join(quote.says.split()) not in words:
            found.append(f"'{quote.says}': the page does not say it")
        elif not re.search(rf"(?<![\d.,−+-]){re.escape(now)}(?!\d|[.,]\d)", quote.says):
            found.append(f"'{quote.says}': {now} recomputed")
    return found


def covered(page: str, quotes: Sequence[Quote]) -> tuple[int, int]:
    """How many numbers of the page stand in quotes, and how many there are, links and code left out."""
    plain = " ".join(_LINK.sub("]", page).split())
    spans = [
        match.span()
        for quote in quotes
        for match in re.finditer(re.escape(" ".join(_LINK.sub("]", quote.says).split())), plain)
    ]
    numbers = [match.start() for match in _NUMBER.finditer(plain)]
    return sum(any(start <= one < end for start, end in spans) for one in numbers), len(numbers)


def _scores(paths: Sequence[Path], arm: str, column: str, files: Files) -> list[float]:
    where = " and ".join(map(str, paths))
    runs = pd.concat([files.runs(path) for path in paths])
    own = runs[(runs["method"] + "/" + runs["digest"] == arm) & (runs["status"] == "completed")]
    if own["seed"].duplicated().any():
        raise UserError(f"{where} have runs of {arm} at the same seed, which would be counted twice.")
    values: list[float] = own[column].dropna().tolist() if column in own else []
    if not values:
        raise UserError(f"{where}: no completed run of {arm} with {column}.")
    return values


def _table(path: Path) -> pd.DataFrame:
    return costs(path)[0] if path.suffix == ".json" else pd.read_csv(path)


def _row(path: Path, quote: Quote, files: Files) -> pd.Series:
    try:
        table = files.table(path)
        for column, value in quote.rows.items():
            table = table[table[column] == value]
        missing = [column for column in (quote.column, *quote.ends) if column not in table]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"'{quote.says}': {path} cannot be read for it ({error}).") from error
    if len(table) != 1 or missing:
        lacks = f", and no {', '.join(missing)}" if missing else ""
        raise UserError(f"'{quote.says}': {path} has {len(table)} such rows{lacks}.")
    return table.iloc[0]


def _with_ends(value: float, ends: Sequence[float], quote: Quote, signed: bool) -> str:
    number = _number(value, quote, signed)
    return f"{number} [{', '.join(_number(end, quote, False) for end in ends)}]" if ends else number


def _number(value: float, quote: Quote, signed: bool) -> str:
    if not math.isfinite(value):
        raise UserError(f"'{quote.says}': {quote.file} has no number for it.")
    number = text.number(quote.scale * value, quote.decimals)
    number = re.sub(r"\d+", lambda digits: f"{int(digits[0]):,}", number, count=1)  # 1,392, as prose has it
    return f"+{number}" if signed and not number.startswith("−") and float(number.replace(",", "")) else number
