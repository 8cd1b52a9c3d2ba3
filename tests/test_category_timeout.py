"""`timeout_per_sample` of a category bounds the grading of one sample, and its programs together."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tests.commands import ns
from tests.peers.scripted import answer, peer

# Busy for a time that the category does not allow, though the judge itself does.
SLOW_JUDGE = """
import time
from ns_eval.records import Verdict

class Slow:
    name = "slow"
    timeout_s = 600.0
    def grade(self, question, generation):
        until = time.process_time() + (600 if "hang" in question.problem else 0)
        while time.process_time() < until:
            pass
        return Verdict(self.name, True, answer="x")
    def same(self, a, b):
        return a == b
"""
# Called with 2 it is busy: each such test takes less than the category allows, all of them more.
PROGRAM = """```python
import time
def same(x):
    until = time.process_time() + 0.8 * (x == 2)
    while time.process_time() < until:
        pass
    return x
```"""
BENCHMARKS: dict[str, tuple[str, list[dict[str, Any]]]] = {
    "hanging": ("slow", [{"id": "quick", "problem": "quick"}, {"id": "hang", "problem": "hang"}]),
    "programs": (
        "code",
        [
            {
                "id": name,
                "problem": "Write it.",
                "entry_point": "same",
                "limit_s": 30,
                "tests": {"inputs": [[given]] * count, "outputs": [given] * count},
            }
            for name, given, count in (("quick", 1, 1), ("busy", 2, 9))
        ],
    ),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, dict[str, Any]], str]:
    """(benchmark -> question -> verdict, what was printed) of one run over a category of a user's own."""
    home = tmp_path_factory.mktemp("bounded")
    (home / "slow.py").write_text(SLOW_JUDGE)
    for group in ("benchmark", "category", "judge"):
        (home / "conf" / group).mkdir(parents=True)
    (home / "conf/judge/slow.yaml").write_text(f"_target_: {home / 'slow.py'}::Slow\n")
    (home / "conf/category/mine.yaml").write_text(
        "name: mine\ndatasets: {primary: [hanging, programs]}\nevaluation_config: {timeout_per_sample: 3}\n"
    )
    for name, (judge, rows) in BENCHMARKS.items():
        (home / f"conf/benchmark/{name}.yaml").write_text(
            f"name: {name}\nabout: one of my own\nprompt: generic/default\njudge: {judge}\n"
        )
        (home / "data" / name).mkdir(parents=True)
        (home / "data" / name / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    async def evaluate() -> str:
        async with peer(answer(PROGRAM)) as server:
            words = ["--model=m", "--server_type=openai", f"--server_address={server.base_url}", "--output_dir=out"]
            words += ["--category=mine", "--data_dir=data", "++sandbox.preload=[]", "--min_coverage=0"]
            search = f"hydra.searchpath=[file://{home / 'conf'}]"
            return (await asyncio.to_thread(ns, "eval", *words, search, cwd=home, timeout_s=400)).stdout

    printed = asyncio.run(evaluate())
    found: dict[str, dict[str, Any]] = {}
    for name, (judge, _) in BENCHMARKS.items():
        lines = (home / f"out/eval-results/{name}/output-rs0.jsonl").read_text().splitlines()
        found[name] = {row["id"]: row["verdicts"][judge] for row in map(json.loads, lines)}
    return found, printed


def test_a_judge_that_hangs_is_stopped_and_the_sample_is_not_judged(run: tuple[dict[str, dict[str, Any]], str]) -> None:
    verdicts, _ = run
    assert verdicts["hanging"]["quick"]["correct"] is True
    stopped = verdicts["hanging"]["hang"]
    assert stopped["correct"] is None
    assert "stopped after 3 s" in stopped["error"]


def test_the_programs_of_one_sample_are_bounded_together(run: tuple[dict[str, dict[str, Any]], str]) -> None:
    verdicts, _ = run
    assert verdicts["programs"]["quick"]["correct"] is True, verdicts["programs"]["quick"]
    assert verdicts["programs"]["busy"]["correct"] is False
    assert verdicts["programs"]["busy"]["scores"]["timeout"] == 1.0


def test_a_benchmark_without_a_metric_stands_by_its_verdicts(run: tuple[dict[str, dict[str, Any]], str]) -> None:
    _, printed = run
    assert "mine: " in printed and "mean of 2 benchmarks" in printed
    (line,) = [line for line in printed.splitlines() if line.startswith("  programs ")]
    assert "accuracy" in line and "50.0" in line
