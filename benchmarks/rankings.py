"""Speed of a ranking: python -m benchmarks.rankings [--models=50] [--tasks=12] [--samples=2000]

Run folders of random answers, each with its small tables, ranked by `ns scores`: without intervals, with 2,000 draws, and as
a picture. Limits: 5 CPU s without intervals, 60 with, 3 for the picture alone; 1 GB.

The reference is reading every table's verdicts and taking their mean, in the same run: less cannot be done.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from ns_eval.scores import Meta, Row, Scores, read, table, write
from ns_eval.scores.columns import floats
from summarize.questions import samples as flat
from summarize.rankings.scores import ScoresConfig, scores

TIERS = ("easy", "medium", "hard")
SEEDS = 4


def write_runs(place: Path, models: int, tasks: int, samples: int) -> None:
    """`samples` of each tier of each task of each model, four a question."""
    questions = samples // SEEDS
    for task in range(tasks):
        rng = np.random.default_rng(task)
        rows = []
        for tier in TIERS:
            for number in range(questions):
                name = f"{tier}-{number}"
                for seed in range(SEEDS):
                    cut = rng.random() < 0.05
                    verdicts = {"symbolic": None if cut else bool(rng.random() < 0.6)}
                    status = "truncated" if cut else "ok"
                    answer = None if cut else "7"
                    tokens = int(rng.integers(100, 9000))
                    rows.append(
                        Row(name, name, None, None, seed, status, answer, verdicts, completion_tokens=tokens, tier=tier)
                    )
        made = Scores(table(rows), Meta(f"t{task}", seeds=tuple(range(SEEDS))))
        for model in range(models):
            folder = place / f"model-{model:02}" / "eval-results" / f"t{task}"
            folder.mkdir(parents=True)
            write(folder / "scores.parquet", made)


def measured(work: Callable[[], object]) -> float:
    start = time.process_time()
    with contextlib.redirect_stdout(io.StringIO()):
        work()
    return time.process_time() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=int, default=50)
    parser.add_argument("--tasks", type=int, default=12)
    parser.add_argument("--samples", type=int, default=2000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        write_runs(place, options.models, options.tasks, options.samples)
        data, paths = [f"{folder}/*"], sorted(place.rglob("scores.parquet"))
        print(f"{options.models} models x {options.tasks} tasks x 3 tiers x {options.samples} samples: {len(paths)} tables")

        def said(what: str, work: Callable[[], object], less: float = 0.0) -> float:
            spent = measured(work)
            print(f"{what:<40} {spent - less:6.2f} CPU s", flush=True)
            return spent

        said("reading the verdicts", lambda: [floats(read(path).table["symbolic_correct"]).mean() for path in paths])
        said("reading all that a summary needs", lambda: [flat(read(path)) for path in paths])
        plain = said("scores without intervals", lambda: scores(ScoresConfig(data=data, draws=0)))
        said("the same as JSON", lambda: scores(ScoresConfig(data=data, draws=0, format="json")))
        picture = str(place / "scores.png")
        said(
            "the picture, beside that", lambda: scores(ScoresConfig(data=data, draws=0, format="png", output=picture)), plain
        )
        said("scores with 2,000 draws", lambda: scores(ScoresConfig(data=data, draws=2000)))
    print(f"peak memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB")


if __name__ == "__main__":
    main()
