from __future__ import annotations

import hashlib
import http.server
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.api import Archive
from bench.datasets import _download
from bench.datasets._download import fetch
from bench.errors import UserError

CONTENT = bytes(range(256)) * 2000


class Server(http.server.ThreadingHTTPServer):
    """Serves CONTENT with ranges; breaks each of the first `breaks` answers off after `keep` bytes."""

    content = CONTENT
    breaks = 0
    keep = 100_000
    ranges = True
    status = 200

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.asked: list[str | None] = []


class Handler(http.server.BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.asked.append(wanted)
        if self.server.status != 200:
            self.send_error(self.server.status)
            return
        start = int(wanted.removeprefix("bytes=").removesuffix("-")) if wanted and self.server.ranges else 0
        if start >= len(self.server.content):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(self.server.content)}")
            self.end_headers()
            return
        body = self.server.content[start:]
        self.send_response(206 if start else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.server.breaks > 0:
            self.server.breaks -= 1
            body = body[: self.server.keep]
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:
        pass


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setattr(_download, "PAUSE_SECONDS", 0.0)
    with Server() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def archive(server: Server, *, digest: bool = True, content: bytes = CONTENT) -> Archive:
    sha256 = hashlib.sha256(content).hexdigest() if digest else None
    url = f"http://127.0.0.1:{server.server_port}/a.tgz"
    return Archive(url, "a.tgz", sha256=sha256, digest_source="this test")


def test_downloads_checks_and_leaves_only_the_archive(server: Server, tmp_path: Path) -> None:
    assert fetch(archive(server), tmp_path / "new").read_bytes() == CONTENT
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.tgz"]


def test_md5_is_checked_too(server: Server, tmp_path: Path) -> None:
    url = archive(server).url
    assert fetch(Archive(url, "a.tgz", md5=hashlib.md5(CONTENT).hexdigest()), tmp_path).exists()
    with pytest.raises(UserError, match="has md5"):
        fetch(Archive(url, "b.tgz", md5="0" * 32), tmp_path)


def test_goes_on_after_broken_connections(server: Server, tmp_path: Path) -> None:
    server.breaks = 3
    assert fetch(archive(server), tmp_path).read_bytes() == CONTENT
    assert server.asked == [None, "bytes=100000-", "bytes=200000-", "bytes=300000-"]


def test_goes_on_in_a_later_call(server: Server, tmp_path: Path) -> None:
    server.breaks, server.keep = _download.ATTEMPTS, 1000
    with pytest.raises(UserError, match="Give the command again to go on"):
        fetch(archive(server), tmp_path)
    assert (tmp_path / "a.tgz.partial").stat().st_size == 1000 * _download.ATTEMPTS
    assert fetch(archive(server), tmp_path).read_bytes() == CONTENT
    assert server.asked[-1] == f"bytes={1000 * _download.ATTEMPTS}-"


def test_server_without_ranges_sends_all_again(server: Server, tmp_path: Path) -> None:
    server.breaks, server.ranges = 1, False
    assert fetch(archive(server), tmp_path).read_bytes() == CONTENT


def test_complete_partial_file_is_accepted(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.tgz.partial").write_bytes(CONTENT)
    assert fetch(archive(server), tmp_path).read_bytes() == CONTENT


def test_too_long_partial_file_is_started_anew(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.tgz.partial").write_bytes(CONTENT + b"more")
    assert fetch(archive(server), tmp_path).read_bytes() == CONTENT


def test_wrong_digest_is_refused_and_the_download_removed(server: Server, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"not .* \(this test\)"):
        fetch(archive(server, content=b"something else"), tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_was_there_is_checked_and_kept(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.tgz").write_bytes(b"re-compressed")
    with pytest.raises(UserError, match="unpacked folder is accepted"):
        fetch(archive(server), tmp_path)
    assert (tmp_path / "a.tgz").read_bytes() == b"re-compressed"
    (tmp_path / "a.tgz").write_bytes(CONTENT)
    assert fetch(archive(server), tmp_path).read_bytes() == CONTENT
    assert server.asked == []


def test_no_digest_is_trusted_once(server: Server, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "a.tgz.partial").write_bytes(b"of an older version")
    path = fetch(archive(server, digest=False), tmp_path)
    assert server.asked == [None]
    assert f"SHA-256 {hashlib.sha256(CONTENT).hexdigest()}" in capsys.readouterr().err
    fetch(archive(server, digest=False), tmp_path)
    assert capsys.readouterr().err == ""
    path.unlink()
    server.content = CONTENT + b"changed"
    with pytest.raises(UserError, match="when it was first used"):
        fetch(archive(server, digest=False), tmp_path)
    assert not path.exists()


def test_missing_file_on_the_server_is_not_tried_again(server: Server, tmp_path: Path) -> None:
    server.status = 404
    with pytest.raises(UserError, match="404"):
        fetch(archive(server), tmp_path)
    assert len(server.asked) == 1


def test_without_a_network_one_line_says_what_was_tried_and_where_to_put_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_download, "PAUSE_SECONDS", 0.0)
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/a.tgz"
        with pytest.raises(UserError) as caught:
            fetch(Archive(url, "a.tgz", md5="0" * 32), tmp_path)
    message = str(caught.value)
    assert url in message
    assert str(tmp_path) in message
    assert "\n" not in message
