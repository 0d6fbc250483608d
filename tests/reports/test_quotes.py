"""A page's quotes: numbers made again from tables and from runs, and what a page says otherwise."""

from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml

from bench.cli import main
from bench.errors import UserError
from bench.reports.load import load
from bench.reports.quotes import covered, read
from bench.reports.records import to_csv
from bench.reports.statistics import welch

Writer = Callable[..., Path]
SMI, BARLOW = [0.53, 0.54, 0.52], [0.50, 0.51, 0.49]


@pytest.fixture
def arms(write_run: Writer, tmp_path: Path) -> dict[str, str]:
    """results.csv of two arms; their method/hash by name."""
    names = {}
    for arm, values in {"smi": SMI, "barlow": BARLOW}.items():
        for seed, value in enumerate(values):
            folder = write_run(arm, seed, value)
            names[arm] = "/".join(folder.parts[-3:-1])
    (tmp_path / "results.csv").write_text(to_csv(load([tmp_path / "runs"]), tmp_path))
    return names


def page(tmp_path: Path, words: str, *quotes: dict[str, object]) -> list[str]:
    (tmp_path / "page.md").write_text(words)
    (tmp_path / "page.yaml").write_text(yaml.safe_dump(list(quotes), allow_unicode=True))
    return ["verify", str(tmp_path / "page.md")]


def test_a_difference_and_a_mean_of_runs(
    arms: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = {"file": "results.csv", "column": "scores.linear", "scale": 100}
    found = welch(SMI, BARLOW)
    assert found.interval is not None
    low, high = (f"{100 * end:.1f}" for end in found.interval)
    lead = {"says": f"SMI leads by +3.0 [{low}, {high}]", **runs, "arm": arms["smi"], "less": arms["barlow"]}
    mean = {"says": "SMI has 53.0 %", **runs, "arm": arms["smi"]}
    words = f"SMI has 53.0 %.\n\nHere SMI\nleads by +3.0 [{low}, {high}], n = 3."
    assert main(page(tmp_path, words, lead, mean)) == 0
    assert "0 drifted, 2 quotes checked; 4 of the page's 5 numbers stand in them." in capsys.readouterr().out
    assert main(page(tmp_path, words, lead, {**mean, "says": "SMI has 53.0 points"})) == 1
    assert "the page does not say it" in capsys.readouterr().out
    wrong = {**mean, "says": "SMI has 53.04 %"}
    assert main(page(tmp_path, "SMI has 53.04 %", wrong)) == 1
    assert "'SMI has 53.04 %': 53.0 recomputed" in capsys.readouterr().out


def test_runs_of_two_files_are_counted_together_and_none_twice(
    arms: dict[str, str], write_run: Writer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for seed, value in enumerate([0.58, 0.59], start=3):
        write_run("smi", seed, value, output="later")
    (tmp_path / "later.csv").write_text(to_csv(load([tmp_path / "later"]), tmp_path))
    runs = {"file": "results.csv", "also": "later.csv", "column": "scores.linear", "scale": 100, "arm": arms["smi"]}
    assert main(page(tmp_path, "55.2 %", {"says": "55.2 %", **runs})) == 0
    assert main(page(tmp_path, "55.2 %", {"says": "55.2 %", **runs, "also": "results.csv"})) == 2
    assert "counted twice" in capsys.readouterr().err


def test_a_number_of_a_table_with_its_ends(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    table = {"arm": ["a", "b"], "gain": [0.012, -0.02], "low": [0.001, -0.03], "high": [0.023, -0.01]}
    pd.DataFrame(table).to_csv(tmp_path / "table.csv", index=False)
    gain = {"file": "table.csv", "column": "gain", "rows": {"arm": "b"}, "scale": 100, "signed": True}
    quote = {"says": "−2.0 [−3.0, −1.0]", **gain, "ends": ["low", "high"]}
    assert main(page(tmp_path, "It is −2.0 [−3.0, −1.0].", quote, {**gain, "says": "−2.0", "decimals": 1})) == 0
    assert main(page(tmp_path, "It is +1.2.", {**gain, "says": "+1.2", "rows": {"arm": "a"}})) == 0
    assert main(page(tmp_path, "It is 1.2.", {**gain, "says": "1.2", "rows": {"arm": "a"}})) == 1
    assert "+1.2 recomputed" in capsys.readouterr().out
    words = "+1,200.00 [100.00, 2,300.00]"
    thousands = {**gain, "says": words, "rows": {"arm": "a"}, "scale": 1e5, "decimals": 2, "ends": ["low", "high"]}
    assert main(page(tmp_path, words, thousands)) == 0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": {"arm": "c"}}, "has 0 such rows"),
        ({"column": "gains"}, "no gains"),
        ({"file": "none.csv"}, "cannot be read"),
        ({"arm": "smi/0"}, "it needs rows"),
        ({"ends": ["low"]}, "it needs rows"),
        ({"colum": "x"}, "unexpected keyword"),
    ],
)
def test_mistakes_are_one_line(
    change: dict[str, object], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pd.DataFrame({"arm": ["a"], "gain": [1.0]}).to_csv(tmp_path / "table.csv", index=False)
    quote = {"says": "1.0", "file": "table.csv", "column": "gain", "rows": {"arm": "a"}, **change}
    assert main(page(tmp_path, "1.0", quote)) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1


def test_a_page_or_its_quotes_that_are_missing_are_one_line(tmp_path: Path) -> None:
    assert main(["verify", str(tmp_path / "page.md")]) == 2
    with pytest.raises(UserError, match="cannot be read"):
        read(tmp_path / "page.yaml")


def test_numbers_of_links_and_code_are_no_numbers_of_the_page() -> None:
    assert covered("See [5 runs](results/2.md), `batch_size=64`: 1,234 MiB or −0.5.", []) == (0, 3)


@pytest.mark.parametrize("page", ["findings", "findings-details", "performance"])
def test_a_page_quotes_what_the_reports_say(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", str(Path(__file__).parents[2] / f"docs/{page}.md")]) == 0, capsys.readouterr().out


def test_a_page_is_verified_alone(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "docs/findings.md", "docs/methods.md"]) == 2
    assert "give it alone" in capsys.readouterr().err
