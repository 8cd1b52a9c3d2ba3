"""What the pages cost on a large run: `python -m benchmarks.pages [ROWS]`; 20,000 may take 3 s at first, 1 s a filter.

CPU time of what the page computes; then, where a browser is installed, wall times as a reader sees them: until the first
page is drawn, and until a filter and a search have changed the table. A loaded machine shows in these, not in the former.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from summarize.pages.runs import load
from summarize.pages.samples import Choice, chosen, frame
from tests.browser import ABSENT, chromium, served
from tests.page_runs import SEEDS, math_run


def main(rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = math_run(Path(folder) / "run", "m", rows // SEEDS, 0)
        load([run])  # the small table is made once, by the run itself
        computed(run)
        if ABSENT:
            print(f"no wall times without {', '.join(ABSENT)}")
            return
        with served(run, Path(folder) / "log") as address, chromium() as browser:
            for when in ("at once", "later"):
                looked(browser, address, when)


def computed(run: Path) -> None:
    """Prints the CPU time of loading, of the table, of a filter."""
    start = time.process_time()
    book = load([run])
    loaded = time.process_time()
    found = frame(book)
    framed = time.process_time()
    kept = chosen(found, Choice(marks=("disagreement", "truncated"), search="x = 7"))
    filtered = time.process_time()
    spent = f"load {loaded - start:.2f} s, table {framed - loaded:.2f} s, filter {filtered - framed:.3f} s"
    print(f"{len(found):,} rows, CPU time: {spent}; {len(kept)} rows kept")


def looked(browser: Any, address: str, when: str) -> None:
    """Prints the wall times in a browser that asks the new server at once, or later."""
    page = browser.new_page(viewport={"width": 1280, "height": 1400})
    page.set_default_timeout(120_000)
    start = time.perf_counter()
    page.goto(address)
    page.get_by_test_id("stDataFrame").wait_for()
    page.get_by_text("Question m").first.wait_for()
    first = time.perf_counter() - start
    page.get_by_label("Only").first.click()
    option = page.get_by_role("option", name="truncated")
    option.wait_for()
    shown = page.get_by_test_id("stCaptionContainer").filter(has_text="samples")
    whole = shown.inner_text()
    start = time.perf_counter()
    option.click()
    shown.filter(has_not_text=whole).wait_for()
    filtered = time.perf_counter() - start
    page.keyboard.press("Escape")
    before = shown.inner_text()
    page.get_by_label("Search in ids").fill("x = 7")
    start = time.perf_counter()
    page.get_by_label("Search in ids").press("Enter")
    shown.filter(has_not_text=before).wait_for()
    searched = time.perf_counter() - start
    load_1 = os.getloadavg()[0]
    times = f"first page {first:.2f} s, filter {filtered:.2f} s, search {searched:.2f} s"
    print(f"in Chromium, asking {when}, wall time: {times}; load average {load_1:.1f} on {os.cpu_count()} cores")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
