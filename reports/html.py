"""report.html: one file that needs no network. Everything that comes from a run is escaped by the template engine."""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from bench.reports import text
from bench.reports.content import Content
from bench.reports.tables import Table

TEMPLATES = Path(__file__).parent
FILES = {"error.log": 60, "result.json": 200, "config.yaml": 200, "environment.json": 100, "metrics.csv": 11}
"""What the page shows of a run folder, and how many lines of it at most: the first one and the last ones."""
COLUMNS = ("scores.linear", "scores.knn", "cost.seconds")


@dataclass(frozen=True)
class File:
    """The content of a run folder's file; `left_out` of its lines are missing from it."""

    name: str
    content: str
    left_out: int


@dataclass(frozen=True)
class Run:
    """A run as the page shows it; `label` is its row's, `folder` the address of its folder seen from the page."""

    id: str
    label: str
    status: str
    reason: str | None
    linear: float | None
    knn: float | None
    seconds: float | None
    folder: str
    files: list[File]


def render(content: Content, destination: Path) -> str:
    """The page as it is to lie in `destination` (links to run folders are relative to it)."""
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"percent": text.percent, "number": text.number}
    style, script = ((TEMPLATES / f"template.{kind}").read_text(encoding="utf-8") for kind in ("css", "js"))
    return environment.get_template("template.html").render(
        content=content,
        runs=_runs(content, destination),
        style=style,
        script=script,
        digest={"style": _digest(style), "script": _digest(script)},
        bare=_bare,
    )


def excerpt(path: Path, most: int) -> File | None:
    """The file's first line and its last ones, `most` in all, undecodable bytes replaced; None where it is missing."""
    try:
        lines = path.read_bytes().decode(errors="replace").splitlines()
    except OSError:
        return None
    left_out = max(0, len(lines) - most)
    return File(path.name, "\n".join(lines if not left_out else [lines[0], *lines[left_out + 1 :]]), left_out)


def _bare(table: Table) -> str:
    """The table alone: the page shows its caption and its notes beside it, where they do not scroll."""
    return replace(table, caption="", notes=[]).to_html()


def _runs(content: Content, destination: Path) -> list[Run]:
    return [_run(record, content.labels, destination) for record in content.runs.to_dict("records")]


def _run(record: Mapping[Any, Any], labels: Mapping[str, str], destination: Path) -> Run:
    folder = Path(record["folder"])
    linear, knn, seconds = (_known(record.get(column)) for column in COLUMNS)
    files = [excerpt(folder / name, most) for name, most in FILES.items()]
    return Run(
        id=record["id"],
        label=labels.get(record["folder"], record["method"]),
        status="collapsed" if record["status"] == "completed" and record["collapsed"] else record["status"],
        reason="; ".join(str(record[key]) for key in ("reason", "problem") if isinstance(record[key], str)) or None,
        linear=linear,
        knn=knn,
        seconds=seconds,
        folder=quote(Path(os.path.relpath(folder, destination)).as_posix()) + "/",
        files=[file for file in files if file is not None],
    )


def _known(value: object) -> float | None:
    return float(value) if isinstance(value, float) and not pd.isna(value) else None


def _digest(content: str) -> str:
    """For the page's content security policy, which lets nothing else run."""
    return f"sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}"
