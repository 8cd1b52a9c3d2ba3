"""What the pages cost on a large run: `python -m benchmarks.pages [ROWS]`; 20,000 may take 3 s at first, 1 s a filter."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from summarize.pages.runs import load
from summarize.pages.samples import Choice, chosen, frame
from tests.page_runs import SEEDS, math_run


def main(rows: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        run = math_run(Path(folder) / "run", "m", rows // SEEDS, 0)
        load([run])  # the small table is made once, by the run itself
        start = time.process_time()
        book = load([run])
        loaded = time.process_time()
        found = frame(book)
        framed = time.process_time()
        kept = chosen(found, Choice(marks=("disagreement", "truncated"), search="x = 7"))
        filtered = time.process_time()
    spent = f"load {loaded - start:.2f} s, table {framed - loaded:.2f} s, filter {filtered - framed:.3f} s"
    print(f"{len(found):,} rows, CPU time: {spent}; {len(kept)} rows kept")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 20_000)
