"""The checker keeps its figures on the labelled pairs, and every gold of every benchmark at hand equals itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from judges.symbolic import compare_answers, equal
from tests.paths import SHARED, needs_shared

pytestmark = needs_shared
DATA = SHARED / "data"
LABELS = Path(__file__).parent / "checker_labels" / "wrong.jsonl"


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]


def known_wrong(name: str) -> set[tuple[str, str]]:
    return {(row["gold"], row["prediction"]) for row in rows(LABELS) if row["set"] == name}


def test_the_figures_on_the_public_sample_hold() -> None:
    wrong = known_wrong("public_sample")
    core = [row for row in rows(DATA / "checker/public_sample.jsonl") if not row.get("convention")]
    core = [row for row in core if (row["gold"], row["prediction"]) not in wrong]
    verdicts = [(row, equal(row["gold"], row["prediction"]) is True) for row in core]
    negatives = [taken for row, taken in verdicts if not row["expected"]]
    positives = [taken for row, taken in verdicts if row["expected"]]
    real = [taken == row["expected"] for row, taken in verdicts if row["file"] == "real_outputs.jsonl"]
    right = [taken == row["expected"] for row, taken in verdicts]
    assert sum(right) / len(right) >= 0.998
    assert sum(negatives) / len(negatives) <= 0.001
    assert 1 - sum(positives) / len(positives) <= 0.005
    assert sum(real) / len(real) >= 0.999


def golds() -> Iterator[tuple[str, Iterable[str]]]:
    for name in ("comp-math-24-25", "aime24", "aime25"):
        yield name, [row["expected_answer"] for row in rows(DATA / name / "test.txt")]
    yield "math-500", [row["answer"] for row in rows(DATA / "math-500/test.first200.jsonl")]
    yield "gsm8k", [row["answer"].rpartition("####")[2].strip() for row in rows(DATA / "gsm8k/test.first200.jsonl")]
    yield "olympiadbench", [gold for row in rows(DATA / "olympiadbench/test.first20.jsonl") for gold in row["final_answer"]]
    yield "public sample", [row["gold"] for row in rows(DATA / "checker/public_sample.jsonl")]


def test_every_gold_of_every_benchmark_equals_itself() -> None:
    counts = {}
    for name, answers in golds():
        lost = [gold for gold in answers if equal(gold, f"It is $\\boxed{{{gold}}}$.") is not True]
        assert lost == [], name
        counts[name] = len(list(answers))
    assert counts["comp-math-24-25"] == 256


def test_the_labels_of_qwen25_math_are_agreed_with() -> None:
    for row in rows(DATA / "model_outputs/qwen25_math_n8/math_cot.1-50.jsonl"):
        given = [equal(row["gt"], text) is True for text in row["code"]]
        assert given == row["score"], row["gt"]


def test_the_labels_of_gsm8k_models_are_agreed_with() -> None:
    models = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
    for row in rows(DATA / "model_outputs/gsm8k_openai_4models/example_model_solutions.1-200.jsonl"):
        gold = row["ground_truth"].rpartition("A:")[2]
        for model in models:
            answer = row[model]["solution"].rpartition("A:")[2]
            assert (equal(gold, answer) is True) == row[model]["is_correct"], (gold, answer)


def test_the_stored_verdicts_of_nemo_skills_are_agreed_with_but_for_wrong_labels() -> None:
    wrong = known_wrong("nemo_skills_math_rs")
    for seed in range(3):
        for row in rows(DATA / f"model_outputs/nemo_skills_math_rs/output-rs{seed}.test"):
            gold, answer = row["expected_answer"], row["predicted_answer"]
            if answer and (gold, answer) not in wrong:
                assert (equal(gold, answer) is True) == row["symbolic_correct"], (gold, answer)


def test_few_answers_of_a_weak_model_stay_unparsed() -> None:
    steps = [
        compare_answers(row["gold"], row["prediction"])
        for row in rows(DATA / "checker/public_sample.jsonl")
        if row["file"] == "real_outputs.jsonl" and row["form"] == "bare"
    ]
    assert sum(found.verdict is None for found in steps) / len(steps) < 0.04
