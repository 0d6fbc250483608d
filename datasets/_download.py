"""Downloads an archive: resumed after a break, its digest checked before anything reads it."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from tqdm import tqdm

from bench.api import Archive
from bench.errors import UserError
from bench.files import sync_folder, write_json

ATTEMPTS = 5
PAUSE_SECONDS = 2.0
TIMEOUT_SECONDS = 30.0
BLOCK = 1 << 20


class _Broken(Exception):
    """The network failed; what has arrived is kept."""


def fetch(archive: Archive, data_root: Path) -> Path:
    """Path of the checked archive file in `data_root`: the one that lies there, or else downloaded.

    Bytes arrive in `<filename>.partial`, which a later call continues. Without a digest nothing tells a continued
    file from a mixture of two versions, so such a download starts afresh in every call.
    Raises UserError without a network and for a wrong digest (a downloaded file is then removed, a file that was
    already there is left alone); OSError when the disk is full or read-only.
    """
    path = data_root / archive.filename
    if path.exists():
        _check(archive, path, path)
        return path
    data_root.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".partial")
    if _published(archive) is None:
        partial.unlink(missing_ok=True)
    _download(archive, partial)
    try:
        _check(archive, partial, path)
    except UserError:
        partial.unlink()
        raise
    os.replace(partial, path)
    sync_folder(data_root)
    return path


def _download(archive: Archive, partial: Path) -> None:
    tag: str | None = None
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with _open(archive.url, partial.stat().st_size if partial.exists() else 0, tag) as response:
                tag = response.headers.get("ETag")
                _append(response, partial, archive.filename)
            return
        except urllib.error.HTTPError as error:
            if error.code == 416:  # nothing beyond what has arrived: complete, or another file than ours
                if error.headers.get("Content-Range", "").endswith(f"/{partial.stat().st_size}"):
                    return
                partial.unlink()
            elif error.code < 500:
                raise _unreachable(archive, partial, error) from error
            reason: Exception = error
        except (_Broken, urllib.error.URLError, http.client.HTTPException, ConnectionError, TimeoutError) as error:
            reason = error
        if attempt < ATTEMPTS:
            time.sleep(PAUSE_SECONDS)
    raise _unreachable(archive, partial, reason) from reason


def _open(url: str, start: int, tag: str | None) -> http.client.HTTPResponse:
    headers = {"User-Agent": "ssl-bench"}
    if start:
        headers["Range"] = f"bytes={start}-"
        if tag is not None and not tag.startswith("W/"):
            headers["If-Range"] = tag
    response: http.client.HTTPResponse = urllib.request.urlopen(
        urllib.request.Request(url, headers=headers), timeout=TIMEOUT_SECONDS
    )
    return response


def _append(response: http.client.HTTPResponse, partial: Path, title: str) -> None:
    """Add the body to `partial`, or replace it where the server sends the whole file. Raises _Broken when cut short."""
    continued = response.status == 206
    start = partial.stat().st_size if continued else 0
    length = response.headers.get("Content-Length")
    total = None if length is None else start + int(length)
    progress = tqdm(
        desc=title, total=total, initial=start, unit="B", unit_scale=True, unit_divisor=1024, disable=None, delay=2
    )
    with open(partial, "ab" if continued else "wb") as handle, progress:
        for block in _blocks(response):
            handle.write(block)
            progress.update(len(block))
        handle.flush()
        os.fsync(handle.fileno())
    if total is not None and partial.stat().st_size < total:
        raise _Broken("the connection broke")


def _blocks(response: http.client.HTTPResponse) -> Iterator[bytes]:
    """The body piece by piece; network errors become _Broken, so that they are not taken for those of the disk."""
    while True:
        try:
            block = response.read(BLOCK)
        except (http.client.HTTPException, OSError) as error:
            raise _Broken(str(error) or type(error).__name__) from error
        if not block:
            return
        yield block


def _unreachable(archive: Archive, partial: Path, reason: Exception) -> UserError:
    why = reason.reason if type(reason) is urllib.error.URLError else reason
    folder = partial.parent.resolve()
    return UserError(
        f"Could not download {archive.url} ({why}). Give the command again to go on where it stopped, or put "
        f"{archive.filename} or its unpacked folder into {folder} by hand."
    )


def _published(archive: Archive) -> tuple[str, str] | None:
    if archive.sha256 is not None:
        return "sha256", archive.sha256
    return None if archive.md5 is None else ("md5", archive.md5)


def _check(archive: Archive, path: Path, final: Path) -> None:
    """Compare the digest of `path` with the published one, or with the one seen when it was first used."""
    published = _published(archive)
    if published is not None:
        algorithm, expected = published
        actual = _digest(path, algorithm)
        if actual != expected:
            raise UserError(
                f"{final} has {algorithm} {actual}, not {expected} ({archive.digest_source}): delete it and download "
                "again; a re-compressed copy never matches, but its unpacked folder is accepted as it is."
            )
        return
    record = final.with_name(final.name + ".digest.json")
    actual = _digest(path, "sha256")
    if not record.exists():
        print(
            f"No digest of {archive.url} is published: its contents are trusted on first use, "
            f"SHA-256 {actual}, recorded in {record}.",
            file=sys.stderr,
        )
        write_json(record, {"url": archive.url, "sha256": actual, "trusted": "on first use"})
        return
    seen = _recorded(record)
    if actual != seen:
        raise UserError(
            f"{final} has SHA-256 {actual}, but {seen} when it was first used: if the change is meant, delete {record}."
        )


def _recorded(record: Path) -> str:
    try:
        return str(json.loads(record.read_text(encoding="utf-8"))["sha256"])
    except (ValueError, KeyError, TypeError) as error:
        raise UserError(f"{record} is damaged; delete it to trust the archive anew.") from error


def _digest(path: Path, algorithm: str) -> str:
    with open(path, "rb") as handle:
        return hashlib.file_digest(handle, algorithm).hexdigest()
