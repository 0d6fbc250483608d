"""report.html in a real browser: opens from the disk, sorts, filters, prints, fits a phone, has a dark mode."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.reports.page import Selection, write_report

pytestmark = pytest.mark.slow
Writer = Callable[..., Path]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("no Chromium here: `apt-get install chromium`, or your system's like, lets this test run")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: `make env` does")
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"], timeout=180_000)
        yield browser
        browser.close()


@pytest.fixture
def report(experiment: Path, write_run: Writer, tmp_path: Path) -> Path:
    write_run("smi", 9, status="failed", reason="<script>document.title = 'broken'</script>", config={"w": 1.0})
    write_report([experiment], tmp_path / "report", selection=Selection(formats=["html"]))
    return tmp_path / "report" / "report.html"


@pytest.fixture
def opened(browser: Any, report: Path) -> Iterator[Callable[..., Any]]:
    """Opens the report from the disk; at the end no page may have complained or asked for another address."""
    complaints: list[str] = []

    def open_page(**options: Any) -> Any:
        page = browser.new_context(**options).new_page()
        page.set_default_timeout(120_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: request.url.startswith(("file:", "data:")) or complaints.append(request.url))
        page.goto(report.as_uri())
        return page

    yield open_page
    assert complaints == []


def column(page: Any, table: str, index: int) -> list[str]:
    """Texts of one column of the rows that are shown."""
    return [
        row.locator("th, td").nth(index).inner_text().split("\n")[0]
        for row in page.locator(f"{table} tbody:first-of-type tr:visible").all()
    ]


RUNS = "section[aria-labelledby=runs] table"
RESULTS = "section[aria-labelledby=part-1] table >> nth=0"


def test_the_answer_comes_first_and_nothing_of_a_run_is_executed(opened: Callable[..., Any]) -> None:
    page = opened()
    assert page.title() == "Report: imagewoof:160"
    headings = page.locator("h2").all_inner_texts()
    assert headings == ["Answer", "Failures", "imagewoof:160", "Runs"]
    assert page.locator(".answers li").first.inner_text().startswith("SMI (reconstructed) [w=10.0] is 2.9 points above")
    assert "<script>document.title" in page.locator(".failures").inner_text()
    images = page.locator("figure img")
    assert images.count() == 4
    for image in images.all():
        assert image.evaluate("image => image.decode().then(() => image.naturalWidth)") > 100


def test_tables_sort_by_value_in_both_directions_with_the_keyboard_too(opened: Callable[..., Any]) -> None:
    page = opened()
    linear = page.locator(f"{RUNS} thead button").nth(3)
    linear.click()
    rising = column(page, RUNS, 3)
    numbers = [float(value) for value in rising if value != "–"]
    assert len(numbers) == 23
    assert numbers == sorted(numbers)
    assert rising[23:] == ["–"] * 4
    linear.focus()
    page.keyboard.press("Enter")
    falling = column(page, RUNS, 3)
    assert [float(value) for value in falling[:23]] == sorted(numbers, reverse=True)
    assert falling[23:] == ["–"] * 4
    assert page.locator(f"{RUNS} thead th").nth(3).get_attribute("aria-sort") == "descending"


def test_reference_rows_stay_apart_when_sorted(opened: Callable[..., Any]) -> None:
    page = opened()
    table = page.locator(RESULTS)
    table.locator("thead button").first.click()
    bodies = [body.locator("tr th").all_inner_texts() for body in table.locator("tbody").all()]
    assert [name.split("\n")[0] for name in bodies[0]] == ["Barlow Twins", *["SMI (reconstructed)"] * 2, "vicreg"]
    assert [name.split("\n")[0] for name in bodies[1]] == ["Random encoder", "Supervised"]


def test_the_filter_keeps_rows_with_every_word(opened: Callable[..., Any]) -> None:
    page = opened()
    place = page.locator("section[aria-labelledby=runs]")
    box = place.get_by_role("searchbox")
    box.fill("smi FAILED")
    assert len(column(page, RUNS, 0)) == 1
    assert place.locator("output").inner_text() == "1 of 27 rows"
    box.fill("")
    assert len(column(page, RUNS, 0)) == 27


def test_a_click_on_a_run_opens_its_files(opened: Callable[..., Any]) -> None:
    page = opened()
    run = page.locator(f"{RUNS} tbody a").first
    name = run.inner_text()
    files = page.locator(f"details[id='{name}']")
    assert not files.locator("pre").first.is_visible()
    run.click()
    page.wait_for_function("document.querySelector('details.run[open]') !== null")
    assert files.locator("h4").all_inner_texts() == ["result.json", "config.yaml", "environment.json", "metrics.csv"]
    assert "protocol: '1'" in files.locator("pre").nth(1).inner_text()


def test_it_prints(opened: Callable[..., Any], tmp_path: Path) -> None:
    page = opened(color_scheme="dark")
    page.pdf(path=tmp_path / "report.pdf", format="A4")
    content = (tmp_path / "report.pdf").read_bytes()
    assert content.startswith(b"%PDF")
    assert 1 < content.count(b"/Type /Page\n") < 10
    page.emulate_media(media="print")
    assert not page.get_by_role("searchbox").first.is_visible()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"


def test_a_phone_scrolls_tables_and_figures_but_never_the_page(opened: Callable[..., Any]) -> None:
    page = opened(viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True)
    page.locator("details").evaluate_all("all => all.forEach((one) => { one.open = true })")
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    assert page.locator(f"{RUNS}").evaluate("table => table.scrollWidth > table.parentElement.clientWidth")
    assert page.evaluate("parseFloat(getComputedStyle(document.querySelector('.answers li')).fontSize)") >= 15


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_stands_out_in_both_modes(opened: Callable[..., Any], scheme: str) -> None:
    """WCAG's contrast of at least 4.5 between every kind of text and the page."""
    page = opened(color_scheme=scheme)
    paper = _luminance(page.evaluate("getComputedStyle(document.body).backgroundColor"))
    assert (paper > 0.5) == (scheme == "light")
    for selector in ("body", "a", ".caption", ".notes li", "figcaption", ".failures h2", "td.failed", "thead button"):
        ink = _luminance(page.locator(selector).first.evaluate("element => getComputedStyle(element).color"))
        assert (max(ink, paper) + 0.05) / (min(ink, paper) + 0.05) >= 4.5, selector
    inverted = page.locator("figure img").first.evaluate("image => getComputedStyle(image).filter") != "none"
    assert inverted == (scheme == "dark")


def _luminance(color: str) -> float:
    """Relative luminance of `rgb(r, g, b)` after WCAG 2."""
    channels = [int(value) / 255 for value in color.removeprefix("rgb(").removesuffix(")").split(",")]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]
