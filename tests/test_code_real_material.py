"""Real programs get the labels that others gave them: reference solutions, CodeGen's samples, two Reflexion runs."""

from __future__ import annotations

import asyncio
import builtins
import gzip
import json
import re
from collections.abc import Sequence
from functools import cache
from pathlib import Path

import pytest

from dataset_prepare.code import human_eval, mbpp
from judges.code import CodeJudge
from ns_eval.records import Generation, Json, Question, Verdict, question_from_row
from tests.paths import SHARED, needs_shared

DATA = SHARED / "data"
CODEGEN = DATA / "model_outputs" / "humaneval_codegen16b_n100"
# Four of CodeGen's 100 samples a task here; all 8,200: benchmarks/sandbox.py --codegen.
STRIDE = 25
pytestmark = needs_shared


def rows_of(path: Path) -> list[dict[str, Json]]:
    data = path.read_bytes()
    return [json.loads(line) for line in (gzip.decompress(data) if path.suffix == ".gz" else data).splitlines()]


@cache
def human_eval_questions() -> dict[str, Question]:
    rows = rows_of(DATA / "humaneval" / "HumanEval.jsonl.gz")
    return {row["task_id"]: question_from_row(next(human_eval(row))) for row in rows}


@cache
def mbpp_questions() -> list[Question]:
    rows = json.loads((DATA / "mbpp" / "sanitized-mbpp.json").read_text())
    return [question_from_row(next(mbpp(row))) for row in rows]


def graded(pairs: Sequence[tuple[Question, str]], timeout_s: float = 3.0) -> list[Verdict]:
    async def run() -> list[Verdict]:
        async with CodeJudge(timeout_s=timeout_s) as judge:
            return await asyncio.gather(*(judge.graded(question, Generation(text)) for question, text in pairs))

    return asyncio.run(run())


def test_every_reference_solution_of_human_eval_passes_and_no_empty_body_does() -> None:
    questions = list(human_eval_questions().values())
    assert len(questions) == 164
    reference = graded([(question, str(question.meta["canonical_solution"])) for question in questions])
    assert [verdict.comment for verdict in reference] == ["passed"] * 164
    assert not any(verdict.correct for verdict in graded([(question, "    pass\n") for question in questions[::4]]))


@pytest.mark.slow
def test_every_reference_solution_of_mbpp_passes_and_no_empty_body_does() -> None:
    questions = mbpp_questions()
    assert len(questions) == 427
    reference = graded([(question, str(question.meta["canonical_solution"])) for question in questions], timeout_s=20.0)
    failed = [
        (question.id, verdict.comment) for question, verdict in zip(questions, reference, strict=True) if not verdict.correct
    ]
    assert failed == []
    empty = [(question, f"```python\ndef {_name(question)}(*_): pass\n```") for question in questions[::4]]
    assert not any(verdict.correct for verdict in graded(empty))


@pytest.mark.parametrize(("model", "right"), [("gpt-4", 134), ("gpt-3.5-turbo", 42)])
def test_the_reflexion_runs_keep_their_labels(model: str, right: int) -> None:
    rows = rows_of(DATA / "model_outputs" / "humaneval_reflexion_simple" / f"simple_1_{model}_pass_at_k_1.jsonl")
    verdicts = graded([(human_eval_questions()[row["task_id"]], row["solution"]) for row in rows])
    assert [bool(verdict.correct) for verdict in verdicts] == [row["is_solved"] for row in rows]
    assert sum(bool(verdict.correct) for verdict in verdicts) == right
    expected = json.loads((DATA / "EXPECTED.json").read_text())
    key = f"model_outputs/humaneval_reflexion_simple/simple_1_{model}_pass_at_k_1.jsonl"
    assert right / len(rows) == pytest.approx(expected[key]["pass_at_1"])


@pytest.mark.slow
def test_codegen_samples_keep_their_labels() -> None:
    pairs, labels = [], []
    for label, row in zip(rows_of(CODEGEN / "labels.jsonl"), rows_of(CODEGEN / "code_solution.1-82.jsonl"), strict=True):
        known = human_eval_questions()[label["task_id"]]
        # The samples continue a start without the examples.
        question = Question(known.id, row["prompt"], meta={**known.meta, "starter_code": row["prompt"]})
        pairs += [(question, text) for text in row["samples"][::STRIDE]]
        labels += label["passed"][::STRIDE]
    verdicts = graded(pairs)
    differ = [
        (question.id, text, label)
        for (question, text), verdict, label in zip(pairs, verdicts, labels, strict=True)
        if verdict.correct is not label
    ]
    assert differ == []


def _name(question: Question) -> str:
    """The function that the first test calls."""
    called = re.findall(r"\b([A-Za-z_]\w*)\(", str(question.meta["test_list"][0]))
    return str(next(name for name in called if not hasattr(builtins, name) and name != "isclose"))
