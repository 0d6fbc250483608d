"""report.html as text: self-contained, escaped, with the files of every run."""

import re
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote

import pytest

from bench.reports.html import excerpt
from bench.reports.page import Selection, write_report

Writer = Callable[..., Path]
SCRIPT = "<script>alert(1)</script>"


class Tags(HTMLParser):
    """Every start tag with its attributes, and all text outside of scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        if not self.tags or self.tags[-1][0] not in ("script", "style"):
            self.text += data


def page_of(output: Path, destination: Path) -> str:
    write_report([output], destination, selection=Selection(formats=["html"]))
    return (destination / "report.html").read_text(encoding="utf-8")


def test_it_needs_nothing_but_itself(experiment: Path, tmp_path: Path) -> None:
    page = Tags(page_of(experiment, tmp_path / "report"))
    addresses = [value or "" for _, attrs in page.tags for name, value in attrs.items() if name in ("src", "href")]
    assert sum(address.startswith("data:image/") for address in addresses) == 4
    folders = [address for address in addresses if not address.startswith(("data:", "#"))]
    assert len(folders) == 26
    assert all((tmp_path / "report" / unquote(folder)).is_dir() for folder in folders)
    identifiers = [attrs["id"] for _, attrs in page.tags if "id" in attrs]
    assert len(set(identifiers)) == len(identifiers)
    assert {unquote(address[1:]) for address in addresses if address.startswith("#")} <= set(identifiers)


@pytest.fixture
def without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Drawing them takes most of the time of a page."""
    monkeypatch.setattr("bench.reports.page._drawings", lambda *_: {})


@pytest.mark.usefixtures("without_figures")
def test_what_a_run_says_is_never_markup(write_run: Writer, tmp_path: Path) -> None:
    write_run("smi", 0, 0.4, title=SCRIPT, config={"note": SCRIPT})
    failed = write_run("barlow", 0, status="failed", reason=SCRIPT, environment={"hardware": SCRIPT})
    (failed / "error.log").write_text(f"Traceback: {SCRIPT}")
    (failed / "metrics.csv").write_text(f"epoch,{SCRIPT}\n1,2\n")
    written = page_of(tmp_path / "runs", tmp_path / "report")
    page = Tags(written)
    assert [tag for tag, _ in page.tags].count("script") == 1
    assert written.count("<script") == 1
    assert page.text.count(SCRIPT) > 6
    assert f"Traceback: {SCRIPT}" in page.text


@pytest.mark.usefixtures("without_figures")
def test_every_run_has_its_files(experiment: Path, tmp_path: Path) -> None:
    page = Tags(page_of(experiment, tmp_path / "report"))
    runs = [attrs["id"] for tag, attrs in page.tags if tag == "details" and attrs.get("class") == "run"]
    assert len(runs) == 26
    for name, count in {"config.yaml": 26, "environment.json": 26, "metrics.csv": 26, "result.json": 25}.items():
        assert len(re.findall(rf"^{name}", page.text, re.MULTILINE)) == count


def test_an_excerpt_keeps_the_head_and_the_end(tmp_path: Path) -> None:
    path = tmp_path / "metrics.csv"
    path.write_bytes(b"epoch\n" + b"".join(b"%d\n" % epoch for epoch in range(20)) + b"\xff")
    found = excerpt(path, 4)
    assert found is not None
    assert (found.content, found.left_out) == ("epoch\n18\n19\n\ufffd", 18)
    short = excerpt(path, 22)
    assert short is not None
    assert short.left_out == 0
    assert len(short.content.splitlines()) == 22
    assert excerpt(tmp_path / "missing", 4) is None


@pytest.mark.usefixtures("without_figures")
@pytest.mark.parametrize("count", [10, 12])
def test_many_failures_are_folded(write_run: Writer, tmp_path: Path, count: int) -> None:
    for seed in range(count - 1):  # and a line with the success rate
        write_run("smi", seed, status="failed", reason="out of memory")
    page = Tags(page_of(tmp_path / "runs", tmp_path / "report"))
    assert ("2 more" in page.text) == (count == 12)
    assert page.text.count("failed (out of memory)") == count - 1
