"""One writer per run folder, on a local or a network file system.

The lock is a small file that appears whole by `os.link`, where there are hard links. Its owner counts up in a second
file, the heartbeat. An observer takes a lock over when the owner is a dead process of this machine, or when the counter
has stood still for `STALE_SECONDS`. How long it had stood before the observer's first look is told by the file server
alone, from the time stamps of the heartbeat and of a file written just now; from then on the observer's own monotonic
clock counts. Clocks of two machines are never compared. An owner checks before every rename that the lock is still its
own.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import threading
import time
import uuid
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench.files import write_text

BEAT_SECONDS = 5.0
STALE_SECONDS = 60.0
WITHOUT_LINKS = (errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS)
"""How file systems say that they have no hard links."""
READS = 10
"""Of a file that is replaced each time between being found and being read, before its file system counts as broken."""
NOBODY: dict[str, Any] = {"token": "", "machine": "", "pid": 0, "born": None}


class LockLost(Exception):
    """Another process took the run over: this one must stop writing."""


class Lock:
    """`acquire` and `is_held` may be called again and again; they remember what was seen, so that a heartbeat that
    comes to stand is noticed; one that has stood long already is so at the first look."""

    def __init__(self, path: Path, beat: float = BEAT_SECONDS, stale: float = STALE_SECONDS) -> None:
        self.path = path
        self._beat, self._stale = beat, stale
        self._token = uuid.uuid4().hex
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._seen: tuple[str, str] | None = None
        self._seen_since = 0.0

    def acquire(self) -> bool:
        """True when the lock is ours now; False while somebody else holds it. Never blocks."""
        if self._create():
            return True
        holder = _read(self.path)
        if holder is not None and self._is_stale(holder):
            self._take_away(holder)
            return self._create()
        return False

    @property
    def token(self) -> str:
        """What marks the lock as ours."""
        return self._token

    def adopt(self, token: str) -> None:
        """Let `check` pass while the lock with this token stands: held by process 0 of a run for all of them."""
        self._token = token

    def is_held(self) -> bool:
        """Whether a process seems to hold the lock: on this machine a living one, elsewhere one whose heart beats."""
        holder = _read(self.path)
        return holder is not None and not self._is_stale(holder)

    def owner(self) -> int | None:
        """Number of the process of this machine that took the lock, alive or dead; None where there is none."""
        owner = _owner(_read(self.path))
        return owner["pid"] if owner["machine"] == _machine() else None

    def check(self) -> None:
        """Raises LockLost when the lock is no longer ours."""
        if self._stop.is_set() or _token(_read(self.path)) != self._token:
            raise LockLost(f"{self.path.parent} was taken over by another process")

    def release(self) -> None:
        """Give the lock back; harmless when it was lost."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join()
        if _token(_read(self.path)) == self._token:
            self.path.unlink(missing_ok=True)
        self._heartbeat(self._token).unlink(missing_ok=True)

    def _create(self) -> bool:
        self._stop.clear()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        draft = self.path.with_name(f".{self.path.name}.{self._token}")
        owner = {"token": self._token, "machine": _machine(), "pid": os.getpid(), "born": _born(os.getpid())}
        try:
            write_text(draft, json.dumps(owner))  # on the disk before it is the lock: a lock is never empty
            _put(draft, self.path)
        except FileExistsError:
            # An answer lost on a network makes the client link again, and fail although the first time did it.
            if _token(_read(self.path)) != self._token:
                return False
        finally:
            draft.unlink(missing_ok=True)
        self._thread = threading.Thread(target=self._keep_beating, daemon=True)
        self._thread.start()
        return True

    def _keep_beating(self) -> None:
        count = 0
        heartbeat = self._heartbeat(self._token)
        while True:
            count += 1
            # A full disk must not kill the run here: its own writes report that, and `check` guards the lock.
            with suppress(OSError):
                heartbeat.write_text(str(count))
            if self._stop.wait(self._beat):
                return

    def _is_stale(self, holder: str) -> bool:
        owner = _owner(holder)
        if owner["machine"] == _machine():
            return owner["born"] is None or _born(owner["pid"]) != owner["born"]
        heartbeat = self._heartbeat(owner["token"])
        sight = (holder, _read(heartbeat) or "")
        if sight != self._seen:
            stood = self._age(heartbeat) if self._seen is None else 0.0
            self._seen, self._seen_since = sight, time.monotonic() - stood
        return time.monotonic() - self._seen_since >= self._stale

    def _age(self, heartbeat: Path) -> float:
        """Seconds since the owner's last sign of life, by the clock that stamps the files of this folder; 0 where that
        cannot be told, as in a folder that this process may not write."""
        probe = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex}.now")
        try:
            with open(probe, "w", encoding="utf-8") as handle:
                handle.write("now")
                handle.flush()
                os.fsync(handle.fileno())  # only what has reached the server has the server's time
                now = os.fstat(handle.fileno()).st_mtime
            return now - max(_stamp(self.path), _stamp(heartbeat))
        except OSError:
            return 0.0
        finally:
            with suppress(OSError):
                probe.unlink(missing_ok=True)

    def _take_away(self, holder: str) -> None:
        aside = self.path.with_name(f".{self.path.name}.stale.{self._token}")
        try:
            os.rename(self.path, aside)
        except FileNotFoundError:
            return
        if _read(aside) != holder:  # somebody was faster, and this is their fresh lock: give it back
            with suppress(FileExistsError):
                _put(aside, self.path)
        else:
            self._heartbeat(_owner(holder)["token"]).unlink(missing_ok=True)
        aside.unlink(missing_ok=True)

    def _heartbeat(self, token: str) -> Path:
        return self.path.with_name(f".{self.path.name}.{token}.beat")


def _read(path: Path, tries: int = READS) -> str | None:
    """Content of a file, None where there is none; bytes that are no text make it another text than any of ours."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno != errno.ESTALE or tries == 1:
            raise
        return _read(path, tries - 1)  # on NFS it was replaced between being found and being read


def _stamp(path: Path) -> float:
    """When a file was last written; 0 when there is none. It is opened, since NFS asks the server anew only then."""
    try:
        with open(path, "rb") as handle:
            return os.fstat(handle.fileno()).st_mtime
    except FileNotFoundError:
        return 0.0


def _token(content: str | None) -> str | None:
    return None if content is None else _owner(content)["token"]


def _owner(content: str | None) -> dict[str, Any]:
    """What a lock says of its owner; of one that cannot be read, somebody elsewhere who shows no heartbeat."""
    try:
        return {**NOBODY, **json.loads(content or "{}")}
    except (ValueError, TypeError):
        return NOBODY


def _put(draft: Path, path: Path) -> None:
    """Make a file appear at `path`, whole. Raises FileExistsError where there is one.

    Where the file system has no hard links it is written in its place: a process that dies in between leaves it empty,
    which is then a lock without heartbeat.
    """
    try:
        os.link(draft, path)
    except OSError as error:
        if error.errno not in WITHOUT_LINKS:
            raise
        with open(path, "x", encoding="utf-8") as handle:
            handle.write(draft.read_text(encoding="utf-8"))
            handle.flush()
            os.fsync(handle.fileno())


def _machine() -> str:
    """Host, boot and process-number space: where two processes with these equal can see each other."""
    boot = _read(Path("/proc/sys/kernel/random/boot_id")) or ""
    try:
        namespace = os.readlink("/proc/self/ns/pid")
    except OSError:
        namespace = ""
    return f"{socket.gethostname()}/{boot.strip()}/{namespace}"


def _born(pid: int) -> str | None:
    """Start time of a process in clock ticks, so that a reused number is another process; None when it is not alive."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        return None if fields[0] == "Z" else fields[19]
    except (FileNotFoundError, ProcessLookupError):
        return _alive_without_proc(pid)


def _alive_without_proc(pid: int) -> str | None:
    if Path("/proc/self/stat").exists():
        return None
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "alive"
