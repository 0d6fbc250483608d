"""What the pages and tables of a report say, line by line, and where two such texts differ: either way, to the word."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser
from itertools import zip_longest

from bench.reports.notes import BOTH_SOURCES, MCNEMAR
from bench.reports.pictures import PREDICTIONS

FIGURES = "figures and their captions"
"""What no comparison of texts looks at."""
_FIGURE = re.compile(r"^!\[(?P<caption>.*)\]\(<figures/[^>\n]+>\)\n\n(?P=caption)(?: \(\[PDF\]\(<[^>\n]+>\)\))?$", re.M)
_INLINE = ("strong", "small", "a", "td", "th", "br")
_ASIDE = ("style", "script", "figure")
_RUN_FILES = ("h4", "pre")


def markdown_lines(content: str) -> list[str]:
    """Of a page or a table, without figures; padding of tables and empty lines count for nothing."""
    return _lines(_FIGURE.sub("", content))


def latex_lines(content: str) -> list[str]:
    """Of a table, each note a line of its own."""
    for before, after in ((r"\raggedright ", "\\raggedright\n"), (r"\end{minipage}", "\n\\end{minipage}")):
        content = content.replace(before, after)
    return _lines(content.replace(r" \\ ", "\n"))


def html_lines(content: str, files: bool) -> list[str]:
    """What a reader of the page sees, a line for each row of a table; no figures, and run files only with `files`."""
    page = _Page((*_ASIDE, *(() if files else _RUN_FILES)))
    page.feed(content)
    page.close()
    page.end_line()
    return page.lines


def without_folders(lines: Sequence[str]) -> list[str]:
    """The lines less what was computed from predictions and curves, which lie in run folders alone."""
    kept = (line.partition(f" {BOTH_SOURCES}")[0] for line in lines)
    of_folders = (MCNEMAR, ": metrics.csv cannot be read (", f": {PREDICTIONS} cannot be read (")
    return [line for line in kept if not any(words in line for words in of_folders)]


def text_drifts(expected: Sequence[str], found: Sequence[str]) -> Iterator[str]:
    """A line for each difference: words that changed, lines that are missing, lines that should not be there."""
    if list(expected) == list(found):
        return
    matcher = difflib.SequenceMatcher(None, found, expected, autojunk=False)
    for kind, a, b, c, d in matcher.get_opcodes():
        if kind != "equal":
            for before, now in zip_longest(found[a:b], expected[c:d]):
                yield from _line_drifts(before, now)


def changed(before: object, now: object) -> str:
    """`'43.9' printed, '43.4' recomputed`; what is absent is `nothing`."""
    return f"{_shown(before)} printed, {_shown(now)} recomputed"


def _line_drifts(before: str | None, now: str | None) -> Iterator[str]:
    if before is None:
        yield f"lacks the line: {str(now)[:100]}"
        return
    if now is None:
        yield f"follows from no run: {before[:100]}"
        return
    printed, recomputed = before.split(), now.split()
    words = difflib.SequenceMatcher(None, printed, recomputed, autojunk=False)
    for kind, a, b, c, d in words.get_opcodes():
        if kind != "equal":
            change = changed(" ".join(printed[a:b])[:100], " ".join(recomputed[c:d])[:100])
            yield f"{now.strip('| ')[:40]}...: {change}"


def _lines(content: str) -> list[str]:
    """Without padding: the widths of a table's columns say nothing."""
    lines = (re.sub(r"-{3,}", "---", " ".join(line.split())) for line in content.splitlines())
    return [line for line in lines if line]


def _shown(value: object) -> str:
    return "nothing" if value is None or value != value or value == "" else f"'{value}'"


class _Page(HTMLParser):
    """Text of a page by line, without what stands in elements `aside`."""

    def __init__(self, aside: Sequence[str]) -> None:
        super().__init__()
        self.aside = aside
        self.depth = 0  # of elements aside
        self.lines: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.depth += tag in self.aside
        self._boundary(tag)
        if tag in ("td", "th"):
            self.words.append("|")

    def handle_endtag(self, tag: str) -> None:
        self._boundary(tag)
        self.depth -= tag in self.aside

    def handle_data(self, data: str) -> None:
        if not self.depth:
            self.words.append(data)

    def end_line(self) -> None:
        line = " ".join(" ".join(self.words).split())
        self.lines += [line] if line else []
        self.words = []

    def _boundary(self, tag: str) -> None:
        if tag not in _INLINE:
            self.end_line()
