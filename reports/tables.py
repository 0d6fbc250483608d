"""One `Table`, four forms: Markdown (fit for a terminal), LaTeX with booktabs and siunitx, HTML, CSV of raw numbers."""

from __future__ import annotations

import csv
import html
import io
import itertools
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.reports import text

_NUMBER = re.compile(
    r"(?P<sign>[+−]?)(?P<whole>[0-9]+)(?:\.(?P<decimals>[0-9]+))?(?: ± (?P<uncertainty>[0-9]+(?:\.[0-9]+)?))?$"
)
_NUMERIC = ' class="numeric"'


@dataclass(frozen=True)
class Column:
    """A heading, in plain text; `unit` stands below it in LaTeX and behind it in Markdown."""

    heading: str
    unit: str = ""
    numeric: bool = True


@dataclass(frozen=True)
class Cell:
    """Plain text in one or more lines (one below the other in LaTeX, side by side in Markdown).

    `sort` is the value at full precision by which HTML sorts; None sorts last.
    """

    lines: tuple[str, ...] = ()
    bold: bool = False
    sort: float | None = None


@dataclass(frozen=True)
class Table:
    """`body` is the comparison, `aside` the reference rows below a rule; `records` are the numbers behind it all."""

    label: str
    caption: str
    columns: Sequence[Column]
    body: Sequence[Sequence[Cell]]
    aside: Sequence[Sequence[Cell]]
    notes: Sequence[str]
    records: Sequence[Mapping[str, Any]]

    def markdown(self) -> str:
        """Caption, padded table and notes. Markdown has no inner rule: a row of dots sets the reference rows apart."""
        heads = [text.markdown(" ".join(filter(None, (column.heading, column.unit)))) for column in self.columns]
        rows = [[_markdown_cell(cell) for cell in row] for row in self.body]
        if self.body and self.aside:
            rows.append(["···"] + [""] * (len(self.columns) - 1))
        rows += [[_markdown_cell(cell) for cell in row] for row in self.aside]
        widths = [max(3, *map(len, column)) for column in zip(heads, *rows, strict=True)]
        rules = [
            "-" * (width - 1) + ":" if column.numeric else "-" * width
            for column, width in zip(self.columns, widths, strict=True)
        ]
        lines = ["| " + " | ".join(self._padded(row, widths)) + " |" for row in [heads, rules, *rows]]
        notes = [f"- {text.markdown(note)}" for note in self.notes]
        return "\n".join([text.markdown(self.caption), "", *lines, "", *notes, ""])

    def latex(self) -> str:
        """A `table` environment that needs `booktabs` and `siunitx` (version 3) in the preamble.

        Numeric columns are aligned at the decimal marker; what is no number is centred there.
        """
        rows = [*self.body, *self.aside]
        specifications = []
        for index, column in enumerate(self.columns):
            lines = [line for row in rows for line in row[index].lines]
            specifications.append(_number_column(lines) if column.numeric else "l")
        heads = [_latex_row([Cell((column.heading, column.unit)) for column in self.columns], self.columns)]
        body = [_latex_row(row, self.columns) for row in self.body]
        aside = [_latex_row(row, self.columns) for row in self.aside]
        groups = ["\\addlinespace[2pt]\n".join(f"{row}\n" for row in group) for group in (heads, body, aside) if group]
        notes = r" \\ ".join(text.latex(note) for note in self.notes)
        return "\n".join(
            [
                "% needs \\usepackage{booktabs} and \\usepackage{siunitx}, version 3",
                r"\begin{table}[htbp]",
                r"\centering",
                f"\\caption{{{text.latex(self.caption)}}}",
                f"\\label{{{self.label}}}",
                r"\smallskip\scriptsize",
                r"\setlength{\tabcolsep}{3pt}",
                r"\sisetup{separate-uncertainty, table-align-uncertainty=false, retain-zero-uncertainty,",
                r"  retain-explicit-plus, reset-text-series=false, text-series-to-math}",
                f"\\begin{{tabular}}{{@{{}}{''.join(specifications)}@{{}}}}",
                r"\toprule",
                "\\midrule\n".join(groups) + r"\bottomrule",
                r"\end{tabular}",
                r"\par\smallskip",
                f"\\begin{{minipage}}{{\\linewidth}}\\raggedright {notes}\\end{{minipage}}",
                r"\end{table}",
                "",
            ]
        )

    def to_html(self) -> str:
        """A `<table>` with caption, `data-sort` on the cells of numeric columns, a second `<tbody class="aside">` for
        the reference rows, and the notes as a list below it. No style and no script of its own.
        """
        heads = "".join(
            f'<th scope="col"{_NUMERIC if column.numeric else ""}>{_html_lines((column.heading, column.unit))}</th>'
            for column in self.columns
        )
        bodies = [f"<tbody>{''.join(self._html_row(row) for row in self.body)}</tbody>"]
        if self.aside:
            bodies.append(f'<tbody class="aside">{"".join(self._html_row(row) for row in self.aside)}</tbody>')
        lines = [f'<table id="{html.escape(self.label)}">', f"<caption>{html.escape(self.caption)}</caption>"]
        lines += [f"<thead><tr>{heads}</tr></thead>", *bodies, "</table>"]
        if self.notes:
            lines.append(f'<ul class="notes">{"".join(f"<li>{html.escape(note)}</li>" for note in self.notes)}</ul>')
        return "\n".join(lines) + "\n"

    def csv(self) -> str:
        """The records at full precision, one line each; empty where a value does not exist."""
        names = list(dict.fromkeys(itertools.chain.from_iterable(self.records)))
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.records)
        return buffer.getvalue()

    def _html_row(self, row: Sequence[Cell]) -> str:
        first, *others = row
        cells = [f'<th scope="row">{_html_lines(first.lines)}</th>']
        for cell, column in zip(others, self.columns[1:], strict=True):
            inner = _html_lines(cell.lines)
            inner = f"<strong>{inner}</strong>" if cell.bold and inner else inner
            sort = f' data-sort="{"" if cell.sort is None else repr(float(cell.sort))}"' if column.numeric else ""
            cells.append(f"<td{_NUMERIC if column.numeric else ''}{sort}>{inner}</td>")
        return f"<tr>{''.join(cells)}</tr>"

    def _padded(self, row: Sequence[str], widths: Sequence[int]) -> list[str]:
        return [
            value.rjust(width) if column.numeric else value.ljust(width)
            for value, width, column in zip(row, widths, self.columns, strict=True)
        ]


def _markdown_cell(cell: Cell) -> str:
    joined = " ".join(text.markdown(line) for line in cell.lines if line)
    return f"**{joined}**" if cell.bold and joined else joined


def _html_lines(lines: Sequence[str]) -> str:
    return "<br>".join(html.escape(line) for line in lines if line)


def _latex_row(row: Sequence[Cell], columns: Sequence[Column]) -> str:
    """The cell's lines below each other; what a number column cannot parse is braced, which siunitx centres."""
    rows = []
    for index in range(max(len(cell.lines) for cell in row)):
        values = []
        for cell, column in zip(row, columns, strict=True):
            line = cell.lines[index] if index < len(cell.lines) else ""
            number = column.numeric and _NUMBER.match(line)
            value = text.latex(line) if not number else line.replace("−", "-").replace(" ± ", r" \pm ")
            value = f"\\bfseries {value}" if cell.bold and value else value
            values.append(f"{{{value}}}" if value and not number and (column.numeric or cell.bold) else value)
        if any(values):
            rows.append(" & ".join(values) + r" \\")
    return "\n".join(rows)


def _number_column(lines: Sequence[str]) -> str:
    """siunitx's `S` with room for the widest number in its lines; `r` where none is a number."""
    numbers = [match.groupdict("") for match in map(_NUMBER.match, lines) if match]
    if not numbers:
        return "r"
    sign = "+" if any(number["sign"] for number in numbers) else ""
    whole = max(len(number["whole"]) for number in numbers)
    decimals = max(len(number["decimals"]) for number in numbers)
    uncertain = max(
        len(number["uncertainty"].replace(".", "").lstrip("0") or number["uncertainty"][:1]) for number in numbers
    )
    return f"S[table-format={sign}{whole}.{decimals}{f'({uncertain})' if uncertain else ''}]"
