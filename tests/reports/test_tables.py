"""The three forms of a table, and the escaping of whatever a method or a dataset is called."""

import csv
import io
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.reports import text
from bench.reports.tables import Cell, Column, Table

NASTY = r"50% of a_b & c\d {e} $f$ #g ~h ^i <j> |k| `l` *m* [n](o) λ±− é ü Ångström 中 ß 'q' \"r\" -- \\"


def table(name: str = "SMI") -> Table:
    return Table(
        label="tab:woof",
        caption=f"Accuracy, ± is the sample standard deviation. {name}",
        columns=[Column("method", name, numeric=False), Column("linear", "%")],
        body=[
            [Cell((name, "1a2b3c4d")), Cell(("43.4 ± 0.5", "[42.7, 44.1]"), bold=True)],
            [Cell(("Barlow Twins",)), Cell(("40.5",))],
        ],
        aside=[[Cell(("Random encoder",)), Cell(("21.5",))]],
        notes=[f"A note. {name}", "Another."],
        records=[{"method": name, "linear": 0.1 + 0.2}, {"method": "barlow", "linear": None, "p": 0.5}],
    )


def test_markdown() -> None:
    assert table().markdown().splitlines() == [
        "Accuracy, ± is the sample standard deviation. SMI",
        "",
        "| method SMI     |                    linear % |",
        "| -------------- | --------------------------: |",
        "| SMI 1a2b3c4d   | **43.4 ± 0.5 [42.7, 44.1]** |",
        "| Barlow Twins   |                        40.5 |",
        "| ···            |                             |",
        "| Random encoder |                        21.5 |",
        "",
        "- A note. SMI",
        "- Another.",
    ]


def test_latex() -> None:
    lines = table().latex().splitlines()
    assert lines[lines.index(r"\toprule") : lines.index(r"\end{tabular}")] == [
        r"\toprule",
        r"method & linear \\",
        r"SMI & \% \\",
        r"\midrule",
        r"SMI & \textbf{43.4 $\pm$ 0.5} \\",
        r"1a2b3c4d & \textbf{{[}42.7, 44.1{]}} \\",
        r"\addlinespace[2pt]",
        r"Barlow Twins & 40.5 \\",
        r"\midrule",
        r"Random encoder & 21.5 \\",
        r"\bottomrule",
    ]
    assert r"\label{tab:woof}" in lines


def test_csv_keeps_full_precision_and_leaves_absent_values_empty() -> None:
    rows = list(csv.DictReader(io.StringIO(table().csv())))
    assert rows[0] == {"method": "SMI", "linear": "0.30000000000000004", "p": ""}
    assert float(rows[0]["linear"]) == 0.1 + 0.2
    assert rows[1] == {"method": "barlow", "linear": "", "p": "0.5"}


def test_markdown_escapes_what_would_be_markup() -> None:
    assert text.markdown("a|b *c* _d_ e_f <g> [h](i) `j` &amp; \n x < 1") == (
        r"a\|b \*c\* \_d\_ e_f &lt;g> [h]\(i) \`j\` &amp;amp; x < 1"
    )


@given(st.text())
def test_latex_escaping_is_ascii_without_an_active_character(value: str) -> None:
    escaped = text.latex(value)
    assert escaped.isascii()
    assert escaped.isprintable()
    for character in "&%#_":
        assert escaped.count(character) == escaped.count(f"\\{character}") == value.count(character)


@pytest.mark.parametrize(
    ("p", "printed"),
    [(0.0001, "p < 0.001"), (0.0123, "p = 0.012"), (0.04996, "p = 0.04996"), (0.05, "p = 0.050"), (1.0, "p = 1.000")],
)
def test_p_never_crosses_the_threshold_by_rounding(p: float, printed: str) -> None:
    assert text.p_value(p) == printed


@pytest.mark.parametrize(("fraction", "printed"), [(0.0123, "+1.2"), (-0.0123, "−1.2"), (-0.0001, "0.0"), (0.0, "0.0")])
def test_points_carry_a_sign_unless_zero(fraction: float, printed: str) -> None:
    assert text.points(fraction) == printed


@pytest.mark.slow
def test_the_latex_compiles_with_booktabs_alone(tmp_path: Path) -> None:
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed (Debian: texlive-latex-base, texlive-latex-recommended)")
    (tmp_path / "table.tex").write_text(table(NASTY).latex(), encoding="utf-8")
    (tmp_path / "main.tex").write_text(
        "\\documentclass{article}\n\\usepackage{booktabs}\n\\begin{document}\n\\input{table}\nTable~\\ref{tab:woof}\n"
        "\\end{document}\n"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    for _ in range(2):  # the second run resolves the reference
        completed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
        assert completed.returncode == 0, completed.stdout[-2000:]
    assert "undefined" not in completed.stdout
    assert "Missing character" not in (tmp_path / "main.log").read_text(errors="replace")
