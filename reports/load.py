"""Run folders to one DataFrame: a row per run, finished or not; a file that cannot be trusted is said, not believed."""

from __future__ import annotations

import io
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from bench.errors import UserError
from bench.store import is_changed

FINISHED = ("completed", "diverged", "failed")
NUMERIC = ("scores.", "geometry.", "cost.", "curve.")
"""How the names of columns begin that hold numbers alone."""
KEYS = ("id", "dataset", "method", "digest", "seed", "folder", "status", "reason", "collapsed", "problem")
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


class Damaged(Exception):
    """A file of a run folder that cannot be trusted; the message says why."""


def load(outputs: Sequence[Path]) -> pd.DataFrame:
    """One row per run folder `<dataset>/<method>/<hash>/seed<k>` below the output folders, sorted by id.

    Columns: `id`, `dataset`, `method`, `digest`, `seed` (from the path), `folder`, `status` (completed, diverged,
    failed; unfinished without a result.json; unreadable where result.json or config.yaml is damaged), `reason`,
    `collapsed`, `problem` (anything else wrong, in words); then flattened, with dots: `scores.linear`,
    `geometry.effective_rank`, `cost.seconds` (floats, NaN where absent), `environment.hardware`, `config.epochs`
    (objects: None is a null in the file, NaN an absent key); `incidents`, what happened to the run on its way, where
    something did to any. The same id in two output folders gives one row; where
    the copies disagree, the first folder's counts and `problem` says so.

    Raises UserError for an output folder that does not exist.
    """
    records: dict[str, dict[str, Any]] = {}
    for output in dict.fromkeys(Path(output).resolve() for output in outputs):
        if not output.is_dir():
            raise UserError(f"There is no output folder {output}.")
        for folder in _run_folders(output):
            record = _record(output, folder)
            known = records.get(record["id"])
            records[record["id"]] = record if known is None else _merged(known, record)
    frame = pd.DataFrame([records[key] for key in sorted(records)], dtype=object)
    frame = frame.reindex(columns=[*KEYS, *(column for column in frame.columns if column not in KEYS)])
    numeric = [column for column in frame.columns if column.startswith(NUMERIC)]
    return frame.astype({**dict.fromkeys(numeric, float), "seed": int})


def curves(runs: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """Rows of every run's metrics.csv with the run's `id`, and a line for each file that could not be read.

    A file that is not the one with which its run ended counts as such. A last line without its newline was being
    written and is left out. A run without metrics.csv has no rows.
    """
    texts: dict[str, str] = {}
    problems = {}
    for identifier, folder, status in zip(runs["id"], runs["folder"], runs["status"], strict=True):
        path = Path(folder, "metrics.csv")
        try:
            if path.exists():
                if status in FINISHED and is_changed(path.parent, path.name):
                    raise ValueError("it is not the file with which the run ended")
                texts[identifier] = path.read_text(encoding="utf-8").rpartition("\n")[0]
        except (OSError, ValueError) as error:
            problems[identifier] = error
    frames = []
    for members in _by_header(texts):
        try:
            frames.append(_parsed(members))
        except ValueError:  # pandas' parser errors are ValueErrors; one of these files is to blame
            for identifier, text in members.items():
                try:
                    frames.append(_parsed({identifier: text}))
                except ValueError as error:
                    problems[identifier] = error
    place = {identifier: number for number, identifier in enumerate(runs["id"])}
    curves = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=["id", "epoch"])
    curves = curves.sort_values("id", key=lambda ids: ids.map(place), kind="stable", ignore_index=True)
    return curves, [
        f"{identifier}: metrics.csv cannot be read ({_one_line(problems[identifier])})"
        for identifier in sorted(problems, key=place.__getitem__)
    ]


def _by_header(texts: Mapping[str, str]) -> Iterator[dict[str, str]]:
    """Texts of CSV files by run, those with one header together: to parse many small files apart takes long."""
    groups: dict[str, dict[str, str]] = {}
    for identifier, text in texts.items():
        groups.setdefault(text.partition("\n")[0], {})[identifier] = text
    yield from groups.values()


def _parsed(texts: Mapping[str, str]) -> pd.DataFrame:
    """Rows of CSV texts with one header, each with its run's `id`. Raises ValueError where one is damaged."""
    header = next(iter(texts.values())).partition("\n")[0]
    bodies = {identifier: text.partition("\n")[2] for identifier, text in texts.items()}
    counts = [body.count("\n") + 1 if body else 0 for body in bodies.values()]
    frame = pd.read_csv(io.StringIO("\n".join([header, *filter(None, bodies.values())])))
    if len(frame) != sum(counts):
        raise ValueError("a line is empty or a quotation mark is left open")
    identifiers = [identifier for identifier, count in zip(bodies, counts, strict=True) for _ in range(count)]
    return frame.apply(pd.to_numeric).assign(id=identifiers)


def _run_folders(output: Path) -> Iterator[Path]:
    for folder in output.glob("*/*/*/seed*"):
        if re.fullmatch(r"[0-9a-f]{8}/seed[0-9]+", f"{folder.parent.name}/{folder.name}") and folder.is_dir():
            yield folder


def _record(output: Path, folder: Path) -> dict[str, Any]:
    dataset, method, digest, seed = folder.relative_to(output).parts
    identifier = f"{dataset}/{method}/{digest}/{seed}"
    record: dict[str, Any] = {"id": identifier, "dataset": dataset, "method": method, "digest": digest}
    record |= {"seed": int(seed.removeprefix("seed")), "folder": str(folder)}
    record |= {"status": "unfinished", "reason": None, "collapsed": False, "problem": None}
    try:
        result = _result(folder / "result.json", identifier) if (folder / "result.json").exists() else {}
        early = result.get("status") not in ("completed", "diverged")  # may have ended before it wrote the other files
        if not early or (folder / "config.yaml").exists():
            record |= _flatten(_config(folder / "config.yaml", record["seed"]), "config.")
        record |= result
    except Damaged as damage:
        return record | {"status": "unreadable", "reason": str(damage)}
    try:
        if not early or (folder / "environment.json").exists():
            record |= _flatten(_json(folder / "environment.json"), "environment.")
    except Damaged as damage:
        record["problem"] = str(damage)
    return record


def _result(path: Path, identifier: str) -> dict[str, Any]:
    result = _json(path)
    status = result.get("status")
    if status not in FINISHED:
        raise Damaged(f"{path.name} has the unknown status {status!r}")
    if result.get("id") != identifier:
        raise Damaged(f"{path.name} belongs to another run: {result.get('id')!r}")
    values: dict[str, Any] = {}
    for section in ("scores", "geometry", "cost"):
        numbers = result.get(section) or {}
        if not isinstance(numbers, dict) or not all(_is_number(number) for number in numbers.values()):
            raise Damaged(f"{path.name} has something else than numbers under '{section}'")
        values |= {f"{section}.{name}": number for name, number in numbers.items()}
    scores = [number for name, number in values.items() if name.startswith("scores.") and number is not None]
    if not all(0 <= score <= 1 for score in scores) or bool(scores) != (status == "completed"):
        raise Damaged(f"{path.name} is {status} with the scores {scores}: expected fractions if and only if completed")
    incidents = result.get("incidents") or []
    if not isinstance(incidents, list) or not all(isinstance(incident, str) for incident in incidents):
        raise Damaged(f"{path.name} has something else than lines of text under 'incidents'")
    if incidents:
        values["incidents"] = "; ".join(incidents)
    return {"status": status, "reason": result.get("reason"), "collapsed": bool(result.get("collapsed")), **values}


def _config(path: Path, seed: int) -> dict[str, Any]:
    try:
        config = yaml.load(path.read_bytes(), Loader=_LOADER)  # a safe loader: plain values only
    except (OSError, ValueError, RecursionError, yaml.YAMLError) as error:
        raise Damaged(f"{path.name} cannot be read ({_one_line(error)})") from error
    needed = {"dataset": ("name", "fingerprint"), "method": ("name", "title")}
    if not isinstance(config, dict) or not all(
        isinstance(config.get(section), dict) and all(isinstance(config[section].get(key), str) for key in keys)
        for section, keys in needed.items()
    ):
        raise Damaged(f"{path.name} is not the specification of a run")
    if config.get("seed") != seed:
        raise Damaged(f"{path.name} belongs to another run: seed {config.get('seed')}")
    config.setdefault("data", {"fraction": 1.0})  # runs from before the field existed
    return config


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse_constant)
    except (OSError, ValueError, RecursionError) as error:
        raise Damaged(f"{path.name} cannot be read ({_one_line(error)})") from error
    if not isinstance(value, dict):
        raise Damaged(f"{path.name} is not a JSON object")
    return value


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _is_number(value: object) -> bool:
    return value is None or (isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value))


def _flatten(values: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= _flatten(value, f"{prefix}{key}.")
        else:
            flat[f"{prefix}{key}"] = json.dumps(value) if isinstance(value, list) else value
    return flat


def _merged(first: dict[str, Any], second: dict[str, Any]) -> dict[str, Any]:
    """One row of two copies of a run: a readable finished copy counts, else the first; a contradiction is noted."""
    counts, other = (second, first) if _worth(second) > _worth(first) else (first, second)
    if other["status"] == "unfinished" or _outcome(counts) == _outcome(other):
        return counts
    return counts | {"problem": f"{other['folder']} holds a different result under the same id and does not count"}


def _worth(record: Mapping[str, Any]) -> int:
    return ("unfinished", "unreadable").index(record["status"]) if record["status"] not in FINISHED else 2


def _outcome(record: Mapping[str, Any]) -> dict[str, Any]:
    decisive = ("status", "collapsed", "scores.", "geometry.", "config.")
    return {key: value for key, value in record.items() if key.startswith(decisive) and key != "config.recipe"}


def _one_line(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())[:200]
