"""In a real browser: every view of the dashboard and the report draw, filter, link and print; nothing runs or leaves."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from summarize.pages.report import ReportConfig, main
from tests.browser import SIZES, Watched, chromium, needs_browser, picture, served
from tests.page_runs import math_pair
from tests.rubric_runs import source_000

pytestmark = [needs_browser, pytest.mark.slow]
_HACKED = "window.hacked"


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    math_pair(folder / "math")
    source_000(folder / "nine")
    return folder


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture(scope="module")
def dashboard(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(runs / "nine", tmp_path_factory.mktemp("log") / "log") as address:
        yield address


@pytest.fixture(scope="module")
def math_dashboard(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with served(runs / "math", tmp_path_factory.mktemp("log") / "log") as address:
        yield address


def view(watched: Watched, name: str) -> None:
    watched.page.get_by_text(name, exact=True).first.click()


@pytest.mark.parametrize("width", SIZES)
def test_every_view_of_the_dashboard_draws(browser: Any, dashboard: str, width: int) -> None:
    watched = Watched(browser, width)
    page = watched.page
    page.goto(dashboard)
    page.get_by_text("2,160 of 2,160 samples, 240 questions").wait_for()
    page.get_by_test_id("stDataFrame").first.wait_for()
    page.get_by_text("Question p").first.wait_for()
    picture(page, f"explorer-{width}")
    view(watched, "Performance Scores")
    page.get_by_text("Ratings", exact=True).first.wait_for()
    page.locator("[data-testid=stVegaLiteChart] :is(canvas, svg)").nth(1).wait_for()
    picture(page, f"scores-{width}")
    view(watched, "Domain Analysis")
    page.get_by_text("as a table").nth(1).wait_for()
    page.locator("[data-testid=stVegaLiteChart] :is(canvas, svg)").nth(1).wait_for()
    picture(page, f"domains-{width}")
    view(watched, "Analysis & Insights")
    page.get_by_text("has the highest overall score").wait_for()
    page.get_by_text("cannot be told apart").first.wait_for()
    picture(page, f"insights-{width}")
    assert watched.errors == []
    assert watched.outside == []
    watched.close()


def test_a_filter_changes_the_table_and_a_search_finds_its_question(browser: Any, math_dashboard: str) -> None:
    watched = Watched(browser, 1280)
    page = watched.page
    page.goto(math_dashboard)
    page.get_by_text("320 of 320 samples, 40 questions").wait_for()
    page.locator(".katex").first.wait_for()
    picture(page, "math-explorer")
    page.get_by_label("Only").first.click()
    page.get_by_role("option", name="truncated").click()
    page.get_by_text(re.compile(r"^\d\d of 320 samples")).wait_for()
    page.keyboard.press("Escape")
    page.get_by_label("Search in ids").fill("m21")
    page.get_by_label("Search in ids").press("Enter")
    page.get_by_text(re.compile(r"^[12] of 320 samples, 1 questions")).wait_for()
    page.get_by_role("heading", name="Question m21").wait_for()
    assert watched.errors == []
    watched.close()


@pytest.mark.parametrize("width", SIZES)
def test_a_link_opens_its_question_and_hostile_text_stays_text(browser: Any, math_dashboard: str, width: int) -> None:
    watched = Watched(browser, width)
    page = watched.page
    page.goto(f"{math_dashboard}?run=tuned-7b&question=m0")
    page.get_by_role("heading", name="Question m0").wait_for()
    page.get_by_text("<script>window.hacked=1").first.wait_for()
    page.locator(".katex").first.wait_for()  # mathematics is typeset
    assert page.evaluate(_HACKED) is None
    assert page.locator("[data-testid=stMarkdown] img").count() == 0
    assert page.locator("[data-testid=stMarkdown] a").count() == 0
    assert page.locator("[data-testid=stMarkdown] b").count() == 0
    picture(page, f"hostile-{width}")
    page.get_by_text("as plain text").click()
    page.locator("[data-testid=stCode]").get_by_text("<img src=http://203.0.113.9/y").first.wait_for()
    assert page.evaluate(_HACKED) is None
    assert watched.errors == []
    assert watched.outside == []
    watched.close()


def test_a_run_that_grows_and_then_is_deleted_is_shown_so_without_a_click(browser: Any, runs: Path, tmp_path: Path) -> None:
    folder = tmp_path / "shown"
    shutil.copytree(runs / "math" / "base", folder)
    finished = folder / "eval-results-judged" / "math-pages" / "output-rs3.jsonl"
    growing = finished.with_name(f"{finished.name}-async")
    lines = finished.read_bytes().splitlines(keepends=True)
    growing.write_bytes(b"".join(lines[:10]))
    finished.unlink()
    watched = Watched(browser, 1280)
    page = watched.page
    with served(folder, tmp_path / "log") as address:
        page.goto(address)
        page.get_by_text("130 of 130 samples").wait_for()
        page.get_by_text(re.compile(r"base-7b is running:\W*130 of 160 samples are graded")).wait_for()
        with growing.open("ab") as file:
            file.write(b"".join(lines[10:25]) + lines[25][:20])
        page.get_by_text("145 of 145 samples").wait_for()
        with growing.open("ab") as file:
            file.write(lines[25][20:] + b"".join(lines[26:]))
        growing.rename(finished)
        page.get_by_text("160 of 160 samples").wait_for()
        page.get_by_text("is running").wait_for(state="detached")
        shutil.rmtree(folder)
        page.get_by_text("is not there (any more)").wait_for()
        assert watched.errors == []
        watched.close()


@pytest.mark.parametrize("width", SIZES)
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_report_draws_filters_and_has_no_serious_fault(
    browser: Any, runs: Path, tmp_path: Path, width: int, scheme: str
) -> None:
    from axe_playwright_python.sync_playwright import Axe

    output = tmp_path / "report.html"
    main(ReportConfig([str(runs / "math"), str(runs / "nine")], output=str(output), samples=12))
    watched = Watched(browser, width, color_scheme=scheme)
    page = watched.page
    page.goto(output.as_uri())
    assert page.locator("figure .bar").count() >= 11
    assert page.locator("figure .dot").count() > 20
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    page.locator("#filter-mark").select_option("disagreement")
    assert re.fullmatch(r"\d+ of 12 questions", page.locator("#shown").inner_text())
    assert page.locator("details.sample[data-marks]:visible").count() < 12
    page.locator("details.sample[data-marks]:visible").first.locator("summary").click()
    page.locator(".katex").first.wait_for()
    page.locator("th.sorts").first.click()
    page.goto(f"{output.as_uri()}#samples")
    picture(page, f"report-{width}-{scheme}")
    assert watched.errors == []
    assert watched.outside == []
    watched.close()
    # The checker is a script of another, which the page's own policy keeps out.
    checked = Watched(browser, width, color_scheme=scheme, bypass_csp=True)
    checked.page.goto(output.as_uri())
    for sample in checked.page.locator("details.sample").all()[:3]:
        sample.locator("summary").first.click()
    found = Axe().run(checked.page).response["violations"]
    assert [own["id"] for own in found if own["impact"] in ("serious", "critical")] == []
    checked.close()


def test_hostile_text_in_the_report_stays_text(browser: Any, runs: Path, tmp_path: Path) -> None:
    output = tmp_path / "report.html"
    main(ReportConfig([str(runs / "math")], output=str(output), samples=40))
    watched = Watched(browser, 1280)
    page = watched.page
    page.goto(f"{output.as_uri()}#b-math-pages-m0")
    page.locator("details[open] .katex").first.wait_for()
    assert "<script>window.hacked=1" in page.locator("details[open]").inner_text()
    assert page.evaluate(_HACKED) is None
    assert page.locator("details[open] :is(img, script, b, a)").count() == 0
    page.emulate_media(media="print")
    assert page.locator(".filters").is_visible() is False
    assert watched.errors == []
    assert watched.outside == []
    watched.close()
