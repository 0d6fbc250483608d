"""The run folder, the only thing that passes between stages: `<output>/<run id>/`.

The files of FILES (checkpoints while unfinished, error.log after a failure), `tensorboard/` where it was asked for,
and result.json, written last and whole: its presence means done.
Never imports torch.
"""

from __future__ import annotations

import csv
import errno
import hashlib
import io
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml

from bench.errors import UserError
from bench.files import write_atomically, write_json, write_text
from bench.lock import Lock

RESULTS = ("encoder.safetensors", "predictions.npz")
FILES = (
    "config.yaml",
    "environment.json",
    "metrics.csv",
    "checkpoint.pt",
    "checkpoint.previous.pt",
    "checkpoint.damaged",
    "checkpoint.previous.damaged",
    *RESULTS,
    "error.log",
)


class RunFolder:
    """Paths and writes of one run. Every write or removal checks the lock before it takes effect (LockLost).

    TensorBoard's events alone are written by others: after metrics.csv each time, whose check is theirs too.
    """

    def __init__(self, output: Path, run_id: str) -> None:
        self.path = output / run_id
        self.run_id = run_id
        self.lock = Lock(self.path / "lock")

    @property
    def checkpoint(self) -> Path:
        return self.path / "checkpoint.pt"

    @property
    def previous_checkpoint(self) -> Path:
        return self.path / "checkpoint.previous.pt"

    @property
    def encoder(self) -> Path:
        return self.path / "encoder.safetensors"

    @property
    def predictions(self) -> Path:
        return self.path / "predictions.npz"

    @property
    def events(self) -> Path:
        """Folder of what TensorBoard reads; no part of the result."""
        return self.path / "tensorboard"

    def result(self) -> dict[str, Any] | None:
        """Content of result.json; None when there is none. Raises UserError when it cannot be read as one."""
        path = self.path / "result.json"
        try:
            result = json.loads(path.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (json.JSONDecodeError, UnicodeDecodeError) as error:
            raise UserError(f"{path} is damaged ({error}); delete it and run the same command again.") from error
        if not isinstance(result, dict) or "status" not in result:
            raise UserError(f"{path} is not a result; delete it and run the same command again.")
        return result

    def write_config(self, canonical: Mapping[str, Any]) -> None:
        write_text(self.path / "config.yaml", yaml.safe_dump(dict(canonical), sort_keys=False), self.lock.check)

    def write_environment(self, environment: Mapping[str, Any]) -> None:
        write_json(self.path / "environment.json", dict(environment), self.lock.check)

    def write_metrics(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """metrics.csv, whole: a row per epoch, so that nothing later than the newest row is ever in it."""
        if not rows:
            self.remove(self.path / "metrics.csv")
            return
        columns = list(dict.fromkeys(key for row in rows for key in row))
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.path / "metrics.csv", buffer.getvalue(), self.lock.check)

    def write_binary(self, path: Path, write: Any) -> None:
        """A file of the run by `write(temporary_path)`."""
        write_atomically(path, write, self.lock.check)

    def remove(self, path: Path) -> None:
        """A file of the run, if it is there."""
        self.lock.check()
        path.unlink(missing_ok=True)

    def write_result(self, result: Mapping[str, Any]) -> None:
        write_json(self.path / "result.json", dict(result), self.lock.check)

    def write_failure(self, reason: str, details: str) -> None:
        """End the run as `failed`; `details` (a traceback, say) go to error.log."""
        write_text(self.path / "error.log", details, self.lock.check)
        self.write_result({"status": "failed", "reason": reason, "id": self.run_id})

    def reset(self, fresh: bool) -> None:
        """Make ready for a new attempt: forget a failure, or with `fresh` everything an earlier attempt left.

        Raises UserError while another process works on the run.
        """
        if not self.path.is_dir():
            return
        result = self.result()
        if not fresh and (result is None or result["status"] != "failed"):
            return
        if not self.lock.acquire():
            if fresh:
                raise UserError(f"{self.path} is being run by another process; wait for it, or leave --fresh out.")
            return
        try:
            (self.path / "result.json").unlink(missing_ok=True)  # first, so that the rest is never taken for finished
            for name in FILES if fresh else ("error.log",):
                (self.path / name).unlink(missing_ok=True)
            if fresh:
                shutil.rmtree(self.events, ignore_errors=True)  # NFS keeps a file that somebody watches
        finally:
            self.lock.release()


def digests(folder: Path) -> dict[str, str]:
    """SHA-256 of each file of a run that its results are made of; in result.json, so that later changes show."""
    return {name: _digest(folder / name) for name in ("metrics.csv", *RESULTS) if (folder / name).exists()}


def is_changed(folder: Path, name: str) -> bool:
    """Whether a file of a finished run is not the one that it ended with: cut short, edited, or of another run.

    False where the run has not recorded any. Raises UserError where result.json itself cannot be read, and OSError
    where the file is there and cannot be.
    """
    recorded = ended(folder).get("files", {}).get(name)
    return recorded is not None and (not (folder / name).exists() or recorded != _digest(folder / name))


def ended(folder: Path) -> dict[str, Any]:
    """The result.json of the run in a folder; empty where it has not ended. Raises UserError as `RunFolder.result`."""
    return RunFolder(folder, "").result() or {}


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def in_words(result: Mapping[str, Any]) -> str:
    """A result.json as part of a line: status or reason, scores, time; `damaged: ...` where it lacks them."""
    try:
        if result["status"] != "completed":
            return f"{result['status']}: {result['reason']}"
        scores = result["scores"]
        state = "collapsed" if result["collapsed"] else "completed"
        # without a test: tuning
        where, suffix = ("", "") if "linear" in scores else (" on validation", "_validation")
        linear, knn = (100 * scores[f"{name}{suffix}"] for name in ("linear", "knn"))
        return f"{state}: linear {linear:.1f} %, kNN {knn:.1f} %{where} ({result['cost']['seconds']:.0f} s)"
    except (KeyError, TypeError, ValueError) as error:
        return f"damaged: result.json is not a result ({error})"


@contextmanager
def disk_errors(output: Path) -> Iterator[None]:
    """What the disk of the output folder refuses becomes one line for the user; what is finished stays."""
    try:
        yield
    except OSError as error:
        trouble = disk_trouble(error, output)
        if trouble is None:
            raise
        raise UserError(trouble) from error


def disk_trouble(error: OSError, output: Path) -> str | None:
    """What the user must mend where an error is the output folder's: its disk is full, broken or may not be written.

    None for every other error, such as that of a file elsewhere, or of one that is missing.
    """
    if not _concerns(error, output):
        return None
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        return f"No space left under {output}: free some and run the same command again."
    if error.errno in (errno.EIO, errno.ESTALE):
        return f"The disk of {output} fails ({error.strerror}): the same command goes on once it is mended."
    no_place = (errno.ENOTDIR, errno.EEXIST, errno.EISDIR, errno.ENAMETOOLONG)
    no_folder = error.filename is not None and error.errno in no_place
    if no_folder or error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return f"Cannot write under {output} ({error.strerror}): choose another place."
    return None


def _concerns(error: OSError, output: Path) -> bool:
    """Whether an error names the output folder, something in it or a folder above it, or nothing at all."""
    if not isinstance(error.filename, str):
        return error.filename is None
    named, ours = Path(error.filename).absolute(), output.absolute()
    return named.is_relative_to(ours) or ours.is_relative_to(named)
