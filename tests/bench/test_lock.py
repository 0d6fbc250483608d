"""One writer per run: races between real processes, dead owners, standing heartbeats, lost locks."""

import errno
import json
import os
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from bench import lock as lock_module
from bench.local import make_ready
from bench.lock import Lock, LockLost
from bench.store import RunFolder


def test_second_taker_waits_until_release(tmp_path):
    first, second = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    assert first.acquire()
    assert first.is_held()
    assert not second.acquire()
    first.check()
    first.release()
    assert second.acquire()
    second.release()
    assert list(tmp_path.iterdir()) == []


def test_a_dead_process_of_this_machine_is_taken_over_at_once(tmp_path):
    _start(HOLD_AND_DIE, tmp_path).wait()
    assert (tmp_path / "lock").exists()
    lock = Lock(tmp_path / "lock")
    assert not lock.is_held()
    assert lock.acquire()
    lock.check()
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_another_machines_lock_is_taken_only_when_its_heartbeat_stands(tmp_path, monkeypatch):
    owner = Lock(tmp_path / "lock", beat=0.02)
    monkeypatch.setattr(lock_module, "_machine", lambda: "another host")
    assert owner.acquire()
    monkeypatch.undo()
    observer = Lock(tmp_path / "lock", stale=0.3)
    deadline = time.monotonic() + 0.6
    while time.monotonic() < deadline:
        assert not observer.acquire(), "the heartbeat is still counting"
        time.sleep(0.02)
    owner._stop.set()  # the owner hangs: its heartbeat stands still
    owner._thread.join()
    assert observer.is_held()  # which, unlike `acquire`, waits for no disk
    time.sleep(0.35)
    assert observer.acquire()
    with pytest.raises(LockLost):
        owner.check()
    owner.release()
    observer.check()  # the late owner's release did not touch the new lock
    observer.release()


STALE = lock_module.STALE_SECONDS + 5


@pytest.mark.parametrize("beat", [True, False])
def test_a_lock_that_another_host_left_long_ago_is_stale_at_the_first_look(tmp_path, left_behind, monkeypatch, beat):
    left_behind(tmp_path / "lock", STALE, beat)
    monkeypatch.setattr(time, "time", lambda: pytest.fail("the clock of this host says nothing about the server's"))
    assert not Lock(tmp_path / "lock").is_held()
    lock = Lock(tmp_path / "lock")
    assert lock.acquire()
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_that_another_host_beat_a_moment_ago_is_held(tmp_path, left_behind):
    left_behind(tmp_path / "lock", lock_module.STALE_SECONDS - 20)
    assert Lock(tmp_path / "lock").is_held()
    assert not Lock(tmp_path / "lock").acquire()


def test_where_nothing_can_be_written_a_heartbeat_must_be_seen_standing(tmp_path, left_behind, monkeypatch):
    left_behind(tmp_path / "lock", 0.5)

    def refuse(descriptor):
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "fsync", refuse)
    lock = Lock(tmp_path / "lock", stale=0.3)
    assert lock.is_held()
    time.sleep(0.35)
    assert not lock.is_held()


@pytest.mark.parametrize("fresh", [True, False])
def test_a_command_repeats_a_run_whose_lock_another_host_left(tmp_path, left_behind, fresh):
    """Which looks once: with --fresh, or because it failed."""
    spec = SimpleNamespace(id="digits/smi/0a/seed0")
    folder = RunFolder(tmp_path, spec.id).path
    left_behind(folder / "lock", STALE)
    (folder / "result.json").write_text('{"status": "failed", "reason": "it was so"}')
    assert make_ready([spec], tmp_path, fresh) == [spec]
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"null", b'{"pid": 3}', b"\xff\xfe\0", b'{"token": "\xff"}'])
def test_a_lock_that_cannot_be_read_is_held_until_it_has_stood_long(tmp_path, content):
    path = tmp_path / "lock"
    path.write_bytes(content)
    assert Lock(path).is_held()
    assert not Lock(path).acquire()
    with pytest.raises(LockLost):
        Lock(path).check()
    os.utime(path, (time.time() - STALE,) * 2)
    lock = Lock(path)
    assert lock.acquire()
    lock.release()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", lock_module.WITHOUT_LINKS)
def test_a_file_system_without_hard_links_has_locks_all_the_same(tmp_path, monkeypatch, number):
    def refuse(source, target):
        raise OSError(number, os.strerror(number), source, target)

    monkeypatch.setattr(os, "link", refuse)
    first, second = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    assert first.acquire()
    assert not second.acquire()
    second._take_away(json.dumps({"token": "somebody long gone"}))  # by mistake: it is given back
    first.check()
    first.release()
    assert second.acquire()
    second.release()
    assert list(tmp_path.iterdir()) == []


def test_a_fresh_lock_taken_away_by_mistake_is_given_back(tmp_path):
    owner = Lock(tmp_path / "lock")
    assert owner.acquire()
    thief = Lock(tmp_path / "lock")
    thief._take_away(json.dumps({"token": "somebody long gone"}))
    owner.check()
    owner.release()


def test_an_answer_lost_on_the_network_does_not_hide_a_lock_that_is_ours(tmp_path, monkeypatch):
    link = os.link

    def linked_twice(source, target):
        link(source, target)
        raise FileExistsError(target)  # what the client's second try is told

    lock, other = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    monkeypatch.setattr(os, "link", linked_twice)
    assert lock.acquire()
    monkeypatch.undo()
    assert not other.acquire()
    lock.check()
    lock.release()
    assert list(tmp_path.iterdir()) == []


def test_a_lock_replaced_while_it_is_read_is_read_again(tmp_path, monkeypatch):
    lock, read, answers = Lock(tmp_path / "lock"), Path.read_text, [errno.ESTALE, errno.ESTALE]
    assert lock.acquire()

    def stale_at_first(path, **options):
        if path.name == "lock" and answers:
            raise OSError(answers.pop(), "Stale file handle")
        return read(path, **options)

    monkeypatch.setattr(Path, "read_text", stale_at_first)
    lock.check()
    assert not answers
    answers += [errno.ESTALE] * 10_000
    with pytest.raises(OSError, match="Stale"):  # for which a command has a line
        lock.check()
    answers.clear()
    lock.release()


def test_what_one_process_of_a_run_holds_lets_the_others_write_until_it_is_lost(tmp_path):
    holder, other = Lock(tmp_path / "lock"), Lock(tmp_path / "lock")
    assert holder.acquire()
    with pytest.raises(LockLost):
        other.check()
    other.adopt(holder.token)
    other.check()
    holder.release()
    with pytest.raises(LockLost):
        other.check()


def test_many_processes_racing_have_one_winner_at_a_time(tmp_path):
    processes = [_start(COUNT_UP, tmp_path) for _ in range(4)]
    assert [process.wait() for process in processes] == [0] * 4
    assert (tmp_path / "counter").read_text() == "20"


def test_of_many_that_take_a_stale_lock_at_once_one_has_it(tmp_path, left_behind):
    rounds, takers = 10, 4
    for number in range(rounds):
        left_behind(tmp_path / str(number) / "lock", STALE)
    processes = [_start(TAKE_ALL, tmp_path, str(takers), stdout=subprocess.PIPE, text=True) for _ in range(takers)]
    held = [process.communicate(timeout=60)[0].split() for process in processes]
    assert [process.returncode for process in processes] == [0] * takers
    assert sorted(name for names in held for name in names) == sorted(map(str, range(rounds)))
    assert [path for path in tmp_path.glob("*/*") if path.name != "lock" and not path.name.endswith(".beat")] == []


HOLD_AND_DIE = """
import os, pathlib, sys
from bench.lock import Lock
assert Lock(pathlib.Path(sys.argv[1]) / "lock").acquire()
os._exit(1)
"""

COUNT_UP = """
import pathlib, sys, time
from bench.lock import Lock
folder = pathlib.Path(sys.argv[1])
for _ in range(5):
    lock = Lock(folder / "lock")
    while not lock.acquire():
        time.sleep(0.005)
    counter = folder / "counter"
    value = int(counter.read_text()) if counter.exists() else 0
    time.sleep(0.01)
    lock.check()
    counter.write_text(str(value + 1))
    lock.release()
"""


TAKE_ALL = """
import os, pathlib, sys, time
from contextlib import suppress
from bench.lock import Lock, LockLost
folder, takers = pathlib.Path(sys.argv[1]), int(sys.argv[2])
def meet(place):
    (folder / f"{place}-{os.getpid()}").touch()
    deadline = time.monotonic() + 30
    while len(list(folder.glob(f"{place}-*"))) < takers:
        assert time.monotonic() < deadline, "one of them is gone"
        time.sleep(0.001)
locks = [Lock(path / "lock") for path in sorted(folder.iterdir()) if path.is_dir()]
taken = []
for number, lock in enumerate(locks):
    meet(number)
    if lock.acquire():
        taken.append(lock)
meet("end")
for lock in taken:
    with suppress(LockLost):  # taken by mistake, while it was fresh, and somebody was there before it was given back
        lock.check()
        print(lock.path.parent.name)
"""


def _start(program, folder, *words, **options):
    return subprocess.Popen([sys.executable, "-c", program, str(folder), *words], **options)
