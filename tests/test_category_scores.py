"""The score of a category: primary metrics over guessing, with intervals; counts make F1; a table stands for efficiency."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ns_eval.catalogue import entries
from ns_eval.cli import main
from ns_eval.records import Generation, Question, Sample, Verdict
from summarize.efficiency import Cost, front, pareto_lines
from summarize.primary import Value, corrected, macro
from tests.runs_on_disk import expected, output_file

Capture = pytest.CaptureFixture[str]


def graded(question: str, judge: str, correct: bool | None, **scores: float) -> Sample:
    verdict = Verdict(judge, correct, answer="x", scores=scores)
    return Sample(
        Question(question, f"{question}?"), 0, "ok", Generation("x", completion_tokens=10, seconds=2.0), (verdict,)
    )


def run(folder: Path, benchmarks: dict[str, Sequence[Sample]]) -> Path:
    for name, samples in benchmarks.items():
        output_file(folder / "eval-results" / name, 0, samples)
        expected(folder / "eval-results" / name, len(samples), [0])
    return folder


def report(folder: Path, category: str, capsys: Capture) -> dict[str, Any]:
    assert main(["category_report", str(folder), f"--category={category}", "--format=json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)[folder.name][category]
    return found


def test_three_of_three_are_no_certainty(tmp_path: Path, capsys: Capture) -> None:
    folder = run(tmp_path / "r", {"gsm8k": [graded(str(n), "symbolic", True) for n in range(3)]})
    found = report(folder, "mathematical_reasoning", capsys)["score"]
    assert found["value"] == 1.0
    assert found["low"] == pytest.approx(0.4385, abs=1e-3)
    assert found["high"] == 1.0


def test_guessing_scores_nothing_and_worse_is_below_it() -> None:
    metric = entries.metric("multiple_choice_accuracy")
    assert corrected(Value("m", 0.25), metric, 0.25).value == 0.0
    assert corrected(Value("m", 1.0), metric, 0.25).value == 1.0
    assert corrected(Value("m", 0.0, 0.0, 0.5), metric, 0.25) == Value("m", -1 / 3, -1 / 3, 1 / 3)
    rating = entries.metric("llm_judge_score")
    assert corrected(Value("m", 5.5), rating, None).value == 0.5


def test_each_benchmark_counts_the_same_and_each_side_of_the_interval_is_its_own() -> None:
    found = macro([Value("a", 1.0, 0.4, 1.0), Value("b", 0.5, 0.2, 0.8), Value("c", missing="no judge")])
    assert found.value == pytest.approx(0.75)
    assert found.low == pytest.approx(0.75 - (0.6**2 + 0.3**2) ** 0.5 / 2)
    assert found.high == pytest.approx(0.75 + 0.3 / 2)
    assert macro([Value("a", 1.0)]).low is None
    assert macro([]).missing


def test_f1_is_that_of_all_spans_and_not_the_mean_over_texts(tmp_path: Path, capsys: Capture) -> None:
    def counts(name: str, right: int, spurious: int, missed: int) -> Sample:
        values = {"true_positives": right, "false_positives": spurious, "false_negatives": missed}
        return graded(name, "spans", spurious + missed == 0, **{key: float(value) for key, value in values.items()})

    folder = run(tmp_path / "r", {"bc5cdr": [counts("1", 8, 2, 0), counts("2", 0, 0, 1), counts("3", 0, 0, 0)]})
    found = report(folder, "biomedical_specialists", capsys)
    value = found["benchmarks"]["bc5cdr"]["found"]
    assert value["value"] == pytest.approx(2 * 8 / (2 * 8 + 2 + 1))
    assert found["metrics"]["ner_f1"]["value"] == value["value"]
    assert value["low"] < value["value"] < value["high"]


def test_bias_is_of_the_answers_that_name_a_group(tmp_path: Path, capsys: Capture) -> None:
    rows = [(1.0, 1.0), (1.0, 1.0), (1.0, 1.0), (1.0, 0.0), (0.0, 0.0)]
    samples = [graded(str(n), "symbolic", False, names_group=named, biased=biased) for n, (named, biased) in enumerate(rows)]
    found = report(run(tmp_path / "r", {"bbq": samples}), "safety_alignment", capsys)
    assert found["metrics"]["bias_assessment"]["value"] == pytest.approx(2 * 3 / 4 - 1)


def test_safety_and_over_refusal_are_shares_of_their_own_prompts(tmp_path: Path, capsys: Capture) -> None:
    unsafe = [graded(f"u{n}", "refusal", n < 3, refused=float(n < 3), safe=float(n < 3)) for n in range(4)]
    safe = [graded(f"s{n}", "refusal", n > 0, refused=float(n == 0), over_refusal=float(n == 0)) for n in range(5)]
    found = report(run(tmp_path / "r", {"xstest": [*unsafe, *safe]}), "safety_alignment", capsys)["metrics"]
    assert found["safety_score"]["value"] == pytest.approx(0.75)
    assert found["over_refusal_rate"]["value"] == pytest.approx(0.2)


def test_a_metric_that_nothing_measures_says_why(tmp_path: Path, capsys: Capture) -> None:
    folder = run(tmp_path / "r", {"gsm8k": [graded("1", "symbolic", True)], "human-eval": [graded("1", "code", True)]})
    assert report(folder, "mathematical_reasoning", capsys)["metrics"]["proof_correctness"]["missing"]
    found = report(folder, "coding_specialists", capsys)["metrics"]
    assert found["pass_at_1"]["value"] == 1.0
    assert found["pass_at_10"]["missing"] == "needs 10 samples a question, human-eval has 1"


def test_no_efficiency_number_but_a_front() -> None:
    def cost(label: str, accuracy: float | None, tokens: float, seconds: float, size: float | None) -> Cost:
        made = Cost.of(label, np.array([seconds]), np.array([tokens]), size, None)
        return made.with_accuracy(accuracy)

    costs = [cost("small", 0.5, 100, 1.0, 3), cost("large", 0.8, 100, 2.0, 70), cost("worse", 0.4, 200, 3.0, 70)]
    assert front(costs) == [True, True, False]
    assert front([*costs, cost("unknown", None, 50, 9.0, None)])[-1] is True
    table = "\n".join(pareto_lines(costs))
    assert "16.67" in table  # 50 over guessing by 3 billion parameters
    assert costs[0].tokens_per_s == 100


def test_a_folder_without_a_benchmark_of_a_category_is_named(tmp_path: Path, capsys: Capture) -> None:
    folder = run(tmp_path / "r", {"arithmetic": [graded("1", "symbolic", True)]})
    assert main(["category_report", str(folder)]) == 3
    assert "no benchmark of a category has results here" in capsys.readouterr().err
