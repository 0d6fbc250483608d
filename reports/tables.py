"""One `Table`, three forms: Markdown (fit for a terminal), LaTeX that needs only booktabs, CSV of raw numbers."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.reports import text


@dataclass(frozen=True)
class Column:
    """A heading, in plain text; `unit` stands below it in LaTeX and behind it in Markdown."""

    heading: str
    unit: str = ""
    numeric: bool = True


@dataclass(frozen=True)
class Cell:
    """Plain text in one or two lines (one below the other in LaTeX, side by side in Markdown)."""

    lines: tuple[str, ...] = ()
    bold: bool = False


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
        """A `table` environment; `\\usepackage{booktabs}` is all that the preamble needs."""
        first, *others = ["r" if column.numeric else "l" for column in self.columns]
        alignment = first + "".join("r" if letter == "r" else r"@{\hspace{8pt}}l" for letter in others)
        heads = [_latex_row([Cell((column.heading, column.unit)) for column in self.columns])]
        body = [_latex_row(row) for row in self.body]
        aside = [_latex_row(row) for row in self.aside]
        groups = ["\\addlinespace[2pt]\n".join(f"{row}\n" for row in group) for group in (heads, body, aside) if group]
        notes = r" \\ ".join(text.latex(note) for note in self.notes)
        return "\n".join(
            [
                "% needs \\usepackage{booktabs}",
                r"\begin{table}[htbp]",
                r"\centering",
                f"\\caption{{{text.latex(self.caption)}}}",
                f"\\label{{{self.label}}}",
                r"\smallskip\scriptsize",
                r"\setlength{\tabcolsep}{2pt}",
                f"\\begin{{tabular}}{{@{{}}{alignment}@{{}}}}",
                r"\toprule",
                "\\midrule\n".join(groups) + r"\bottomrule",
                r"\end{tabular}",
                r"\par\smallskip",
                f"\\begin{{minipage}}{{\\linewidth}}\\raggedright {notes}\\end{{minipage}}",
                r"\end{table}",
                "",
            ]
        )

    def csv(self) -> str:
        """The records at full precision, one line each; empty where a value does not exist."""
        names = list(dict.fromkeys(itertools.chain.from_iterable(self.records)))
        buffer = io.StringIO()
        writer = csv.DictWriter(buffer, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(self.records)
        return buffer.getvalue()

    def _padded(self, row: Sequence[str], widths: Sequence[int]) -> list[str]:
        return [
            value.rjust(width) if column.numeric else value.ljust(width)
            for value, width, column in zip(row, widths, self.columns, strict=True)
        ]


def _markdown_cell(cell: Cell) -> str:
    joined = " ".join(text.markdown(line) for line in cell.lines if line)
    return f"**{joined}**" if cell.bold and joined else joined


def _latex_row(row: Sequence[Cell]) -> str:
    height = max(len(cell.lines) for cell in row)
    lines = []
    for index in range(height):
        values = [text.latex(cell.lines[index]) if index < len(cell.lines) else "" for cell in row]
        bold = [
            f"\\textbf{{{value}}}" if cell.bold and value else value for value, cell in zip(values, row, strict=True)
        ]
        if any(values):
            lines.append(" & ".join(bold) + r" \\")
    return "\n".join(lines)
