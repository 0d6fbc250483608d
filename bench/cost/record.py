"""What was measured, as it comes: cost.json is whole after every row."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.errors import UserError
from bench.files import write_json
from bench.spec import RunSpec

Row = dict[str, Any]
"""One measurement, flat; `what` names its benchmark."""
SAME = ("hardware", "torch", "device", "threads", "packages")
"""Measurements that agree in these, as far as they are known, stand in one file."""


def described_by(spec: RunSpec) -> Row:
    """The columns that say whose step a row is of."""
    protocol = spec.protocol
    return {
        "method": spec.method.short_name,
        "dataset": spec.dataset.key,
        "backbone": protocol.backbone.name,
        "image_size": protocol.image_size,
        "batch": protocol.batch_size,
        "precision": protocol.precision,
    }


def commit(environment: dict[str, Any]) -> str:
    """The code that was measured, in words."""
    return f"{environment['git_commit']}{' with changes' if environment['git_dirty'] else ''}"


class Record:
    """`rows` of `<output>/cost.json`, with the hardware and versions that they were taken on."""

    def __init__(self, output: Path, environment: dict[str, Any], measured_now: Sequence[str]) -> None:
        """Rows of benchmarks that are not `measured_now` are kept.

        Raises UserError where these are of another machine or other versions.
        """
        self.path = output / "cost.json"
        self.environment = {key: value for key, value in environment.items() if key != "host"}  # made to be published
        try:
            known = json.loads(self.path.read_text(encoding="utf-8")) if self.path.exists() else {}
        except ValueError as error:
            raise UserError(f"{self.path} is no record of costs ({error}): move it away.") from error
        then = {**environment, **known.get("environment", {})}
        same = all(then.get(key) == environment.get(key) for key in SAME)
        kept = [row for row in known.get("rows", []) if row["what"] not in measured_now]
        if kept and not same:
            was, now = (", ".join(f"{one.get(key)}" for key in SAME) for one in (known["environment"], environment))
            what = "another machine, other versions or number of threads"
            raise UserError(f"{self.path} has times of {what} ({was}; here {now}): give another --output.")
        # Rows of earlier versions do not say whose they are.
        self.rows: list[Row] = [{"commit": commit(known["environment"]), **row} for row in kept]

    @staticmethod
    def read(output: Path) -> Record:
        """What `<output>/cost.json` holds. Raises UserError where that cannot be read."""
        try:
            known = json.loads((output / "cost.json").read_text(encoding="utf-8"))
            record = Record(output, known["environment"], measured_now=())
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise UserError(f"{output / 'cost.json'} is no record of costs ({error!r}).") from error
        return record

    def add(self, row: Row) -> None:
        """Keep a row, and of which code it is, on the disk as well."""
        self.rows.append({**row, "commit": commit(self.environment)})
        write_json(self.path, {"environment": self.environment, "rows": self.rows})

    def of(self, what: str) -> list[Row]:
        """The rows of one benchmark."""
        return [row for row in self.rows if row["what"] == what]
