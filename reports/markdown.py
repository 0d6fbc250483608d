"""report.md: the answer first, then failures, and for every dataset table, figures and settings."""

from __future__ import annotations

from collections.abc import Sequence

from bench.reports import text
from bench.reports.content import Content, Part
from bench.reports.style import Drawing

BESIDE = {
    "html": "The same with every run's files: `report.html`.",
    "csv": "Every run: `results.csv`.",
    "latex": "Tables for a paper: `tables/`.",
    "figures": "Figures: `figures/`.",
}
"""What stands beside the page, by format."""


def render(content: Content, formats: Sequence[str]) -> str:
    """The whole page; `formats` are those of the report: figures are links to files where these are written."""
    sections = ["# Report", answers(content), _failures(content)]
    for part in content.parts:
        sections += [f"## {text.markdown(part.title)}", *(table.markdown() for table in part.tables)]
        sections += [_figure(drawing) for drawing in part.drawings if "figures" in formats]
        sections += [f"### Configuration\n\n{_list(part.settings)}" if part.settings else "", _machines(part)]
    sections.append(" ".join(line for form, line in BESIDE.items() if form in formats))
    return "\n\n".join(section.strip("\n") for section in sections if section)


def answers(content: Content) -> str:
    """What the runs say, a line for each sentence."""
    return _list(content.answers)


def _failures(content: Content) -> str:
    if not content.failures:
        return f"All {text.runs(len(content.runs))} completed."
    return f"## Failures\n\n{_list(content.failures)}"


def _figure(drawing: Drawing) -> str:
    caption = text.markdown(drawing.caption)
    return f"![{caption}](<figures/{drawing.name}.png>)\n\n{caption} ([PDF](<figures/{drawing.name}.pdf>))"


def _machines(part: Part) -> str:
    return f"### Machines\n\n{part.machines.markdown()}" if part.machines else ""


def _list(lines: Sequence[str]) -> str:
    return "\n".join(f"- {text.markdown(line)}" for line in lines)
