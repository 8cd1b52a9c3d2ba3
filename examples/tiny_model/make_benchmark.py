"""Writes the shipped benchmark `arithmetic`: 25 problems a level, none of which the model was trained on.

    python make_benchmark.py ../../ns_eval/shipped/arithmetic      (5 s)

Same seed, same bytes: `tests/test_data_arithmetic.py` holds the shipped file to that.
"""

from __future__ import annotations

import hashlib
import json
import random
import sys
from pathlib import Path

from conversations import training_problems
from problems import Problem, make

SEED = 2026
LEVELS = 4
PROBLEMS = 100


def unseen_problems(seed: int = SEED) -> list[Problem]:
    """Levels in turn, 0 to 3; a problem of the training stream, or one that is already there, is drawn again."""
    seen = {problem.text for problem in training_problems()}
    rng = random.Random(seed)
    chosen: list[Problem] = []
    while len(chosen) < PROBLEMS:
        problem = make(rng, len(chosen) % LEVELS)
        if problem.text not in seen:
            seen.add(problem.text)
            chosen.append(problem)
    return chosen


def row(number: int, problem: Problem) -> dict[str, str]:
    return {
        "id": f"arithmetic-{number}",
        "problem": problem.text,
        "expected_answer": str(problem.answer),
        "subset_for_metrics": f"level-{problem.level}",
        "reference_solution": "\n".join(problem.steps),
        "expression": problem.expression,
        "family": problem.family,
    }


def main(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    lines = [json.dumps(row(*item), separators=(",", ":")) + "\n" for item in enumerate(unseen_problems())]
    content = "".join(lines).encode()
    (folder / "test.jsonl").write_bytes(content)
    origin = {
        "benchmark": "arithmetic",
        "split": "test",
        "kind": "shipped",
        "id": "examples/tiny_model/make_benchmark.py",
        "config": "",
        "revision": f"seed {SEED}",
        "licence": "Apache-2.0",
        "rows": PROBLEMS,
        "upstream_rows": PROBLEMS,
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    (folder / "test.origin.json").write_text(json.dumps(origin, indent=2) + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
