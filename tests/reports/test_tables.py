"""The four forms of a table, and the escaping of whatever a method or a dataset is called."""

import csv
import io
import re
import shutil
import subprocess
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.reports import text
from bench.reports.declared import Declared
from bench.reports.page import Selection, write_report
from bench.reports.tables import Cell, Column, Table

NASTY = r"50% of a_b & c\d {e} $f$ #g ~h ^i <j> |k| `l` *m* [n](o) λ±− é ü Ångström 中 ß 'q' \"r\" -- \\"


def table(name: str = "SMI") -> Table:
    return Table(
        label="tab:woof",
        caption=f"Accuracy, ± is the sample standard deviation. {name}",
        columns=[Column("method", name, numeric=False), Column("linear", "%")],
        body=[
            [Cell((name, "1a2b3c4d")), Cell(("43.4 ± 0.5", "[42.7, 44.1]"), bold=True, sort=0.434)],
            [Cell(("Barlow Twins",)), Cell(("40.5 ± 0.0",))],
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
        "| Barlow Twins   |                  40.5 ± 0.0 |",
        "| ···            |                             |",
        "| Random encoder |                        21.5 |",
        "",
        "- A note. SMI",
        "- Another.",
    ]


def test_latex() -> None:
    lines = table().latex().splitlines()
    assert r"\begin{tabular}{@{}lS[table-format=2.1(1)]@{}}" in lines
    assert lines[lines.index(r"\toprule") : lines.index(r"\end{tabular}")] == [
        r"\toprule",
        r"method & {linear} \\",
        r"SMI & {\%} \\",
        r"\midrule",
        r"SMI & \bfseries 43.4 \pm 0.5 \\",
        r"1a2b3c4d & {\bfseries {[}42.7, 44.1{]}} \\",
        r"\addlinespace[2pt]",
        r"Barlow Twins & 40.5 \pm 0.0 \\",
        r"\midrule",
        r"Random encoder & 21.5 \\",
        r"\bottomrule",
    ]
    assert r"\label{tab:woof}" in lines


@pytest.mark.parametrize(
    ("lines", "specification"),
    [
        (["33.1 ± 0.1", "[32.8, 33.4]", "9.0 ± 10.7"], "S[table-format=2.1(3)]"),
        (["+1.9", "−12.25", "reference", "–"], "S[table-format=+2.2]"),
        (["3", "12"], "S[table-format=2.0]"),
        (["1.0 ± 0.0"], "S[table-format=1.1(1)]"),
        (["–", "not"], "r"),
    ],
)
def test_a_number_column_has_room_for_its_widest_number(lines: list[str], specification: str) -> None:
    cells = [[Cell(("a",)), Cell((line,))] for line in lines]
    one = Table("tab:x", "", [Column("a", numeric=False), Column("b")], cells, [], [], [])
    assert f"{{@{{}}l{specification}@{{}}}}" in one.latex()


def test_html_is_well_formed_escaped_and_sortable() -> None:
    page = ElementTree.fromstring(f"<div>{table(NASTY).to_html().replace('<br>', '<br/>')}</div>")
    found = page.find("table")
    assert found is not None
    assert found.get("id") == "tab:woof"
    bodies = found.findall("tbody")
    assert [body.get("class") for body in bodies] == [None, "aside"]
    first = bodies[0].findall("tr")[0]
    assert "".join(first[0].itertext()) == NASTY + "1a2b3c4d"
    assert (first[0].get("scope"), first[1].get("class"), first[1].get("data-sort")) == ("row", "numeric", "0.434")
    assert "".join(first[1].itertext()) == "43.4 ± 0.5[42.7, 44.1]"
    assert first[1].find("strong") is not None
    assert bodies[0].findall("tr")[1][1].get("data-sort") == ""
    assert [item.text for item in page.findall("ul/li")] == [f"A note. {NASTY}", "Another."]


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


def needs_latex() -> None:
    if shutil.which("pdflatex") is None:
        pytest.skip("pdflatex is not installed (Debian: texlive-latex-base, texlive-latex-recommended)")
    if (
        shutil.which("kpsewhich") is None
        or subprocess.run(["kpsewhich", "siunitx.sty"], capture_output=True).returncode
    ):
        pytest.skip("siunitx is not installed (Debian: texlive-science)")


@pytest.mark.slow
def test_no_table_of_a_report_is_wider_than_the_page(experiment: Path, tmp_path: Path) -> None:
    needs_latex()
    for folder in experiment.glob("*/*/*/seed*"):  # under a key of which others published numbers
        for name in ("config.yaml", "result.json"):
            if (folder / name).is_file():
                content = (folder / name).read_text(encoding="utf-8")
                (folder / name).write_text(content.replace("imagewoof", "imagenette"), encoding="utf-8")
    (experiment / "imagewoof-160").rename(experiment / "imagenette-160")
    report = tmp_path / "report"
    write_report([experiment], report, Declared(all_pairs=True, margin=0.02), Selection(formats=["latex"]))
    tables = sorted(path.stem for path in (report / "tables").glob("*.tex"))
    assert tables == ["imagenette-160", "imagenette-160-pairs", "imagenette-160-published"]
    inputs = "\n\\clearpage\n".join(f"\\input{{tables/{name}}}" for name in tables)
    preamble = "\\documentclass{article}\n\\usepackage{booktabs}\n\\usepackage{siunitx}\n\\begin{document}\n"
    (report / "main.tex").write_text(f"{preamble}{inputs}\n\\end{{document}}\n", encoding="utf-8")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    completed = subprocess.run(command, cwd=report, capture_output=True, text=True, errors="replace", check=False)
    assert completed.returncode == 0, completed.stdout[-2000:]
    log = (report / "main.log").read_text(errors="replace")
    too_wide = [float(points) for points in re.findall(r"Overfull \\hbox \(([0-9.]+)pt too wide\)", log)]
    assert [points for points in too_wide if points > 1] == []


@pytest.mark.slow
def test_the_latex_compiles_with_booktabs_and_siunitx(tmp_path: Path) -> None:
    needs_latex()
    (tmp_path / "table.tex").write_text(table(NASTY).latex(), encoding="utf-8")
    (tmp_path / "main.tex").write_text(
        "\\documentclass{article}\n\\usepackage{booktabs}\n\\usepackage{siunitx}\n\\begin{document}\n\\input{table}\nTable~\\ref{tab:woof}\n"
        "\\end{document}\n"
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "main.tex"]
    for _ in range(2):  # the second run resolves the reference
        completed = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, errors="replace", check=False)
        assert completed.returncode == 0, completed.stdout[-2000:]
    assert "undefined" not in completed.stdout
    assert "Missing character" not in (tmp_path / "main.log").read_text(errors="replace")
    if shutil.which("pdftotext") is None:
        pytest.skip("pdftotext is not installed (Debian: poppler-utils): what the PDF says was not looked at")
    subprocess.run(["pdftotext", "-layout", "main.pdf", "main.txt"], cwd=tmp_path, check=True)
    words = " ".join((tmp_path / "main.txt").read_text(encoding="utf-8").split())
    for number in ("43.4 ± 0.5", "[42.7, 44.1]", "40.5 ± 0.0", "21.5"):  # siunitx would drop the zero by itself
        assert number in words
