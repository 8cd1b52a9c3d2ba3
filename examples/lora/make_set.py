"""Forty new problems of the two hard levels in the columns of explodinggradients/fiqa: `make_set.py worked/test.jsonl`

A reference is the worked solution, as the adapter was trained to write it. None of the problems is in the shipped benchmark.
"""

from __future__ import annotations

import json
import random
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tiny_model"))

from problems import Problem, make  # lies in the folder beside this one

SEED, COUNT = 4243, 40


def row(problem: Problem) -> dict[str, object]:
    solution = "\n".join(problem.steps) + f"\nThe final answer is \\boxed{{{problem.answer}}}."
    return {"question": problem.text, "ground_truths": [solution]}


def main(path: Path) -> None:
    rng = random.Random(SEED)
    rows = [row(make(rng, level=2 + number % 2)) for number in range(COUNT)]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(one) + "\n" for one in rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
