"""Rows in each upstream's own form become questions whose tests run: a right program passes them, a wrong one does not."""

from __future__ import annotations

import asyncio
import base64
import json
import pickle
import zlib
from collections.abc import Callable, Iterator

import pytest

from dataset_prepare import code
from dataset_prepare.sources import source
from judges.code import CodeJudge
from ns_eval.benchmarks import find
from ns_eval.records import Generation, Json, Question, Verdict, question_from_row
from ns_eval.resources import conf_file, conf_names, locate

Loader = Callable[..., Iterator[dict[str, Json]]]

HUMAN_EVAL = {
    "task_id": "HumanEval/999",
    "prompt": 'def twice(x):\n    """ Twice x. """\n',
    "entry_point": "twice",
    "canonical_solution": "    return 2 * x\n",
    "test": "METADATA = {}\n\ndef check(candidate):\n    assert candidate(2) == 4\n    assert candidate(-1) == -2\n",
}
MBPP_FULL = {
    "task_id": 11,
    "text": "Write a function to double a number.",
    "code": "def twice(x):\r\n  return 2 * x",
    "test_setup_code": "",
    "test_list": ["assert twice(2) == 4", "assert twice(-1) == -2"],
    "challenge_test_list": [],
}
MBPP_SANITIZED = {**MBPP_FULL, "prompt": MBPP_FULL["text"], "test_imports": ["import math"], "source_file": "x.ipynb"}
del MBPP_SANITIZED["text"], MBPP_SANITIZED["test_setup_code"]
MBPP_PLUS = {
    "task_id": 11,
    "prompt": "Write a function to double a number.",
    "code": "\ndef twice(x):\n  return 2 * x\n",
    "source_file": "x.ipynb",
    "test_imports": [],
    "test_list": ["assert twice(2) == 4"],
    "test": "import numpy as np\ninputs = [[2], [3.5]]\nresults = [4, 7.0]\n"
    "for inp, exp in zip(inputs, results):\n    assert np.allclose(twice(*inp), exp)\n",
}
EVALPLUS = {
    **{key: HUMAN_EVAL[key] for key in ("prompt", "entry_point", "canonical_solution")},
    "task_id": "HumanEval/999",
    "contract": "\n    assert x < 100\n",
    "base_input": [[2], [-1]],
    "plus_input": [[0.5], [10**9]],
    "atol": 0,
}
BIGCODEBENCH = {
    "task_id": "BigCodeBench/9",
    "instruct_prompt": "Write twice(x).",
    "complete_prompt": "def twice(x):\n",
    "code_prompt": "def twice(x):\n",
    "canonical_solution": "    return 2 * x\n",
    "entry_point": "twice",
    "libs": "['math']",
    "doc_struct": "{}",
    "test": "import unittest\n\nclass TestCases(unittest.TestCase):\n"
    "    def test_a(self):\n        self.assertEqual(twice(2), 4)\n"
    "    def test_b(self):\n        self.assertEqual(twice(-1), -2)\n",
}
APPS_STDIN = {
    "problem_id": 7,
    "question": "Double the number.",
    "solutions": json.dumps(["print(2 * int(input()))"]),
    "input_output": json.dumps({"inputs": ["2\n", "-1\n"], "outputs": ["4\n", "-2\n"]}),
    "difficulty": "introductory",
    "url": "https://example.org",
    "starter_code": "",
}
APPS_CALL = {
    **APPS_STDIN,
    "starter_code": "def twice(x):\n\t",
    "solutions": "",
    "input_output": json.dumps({"fn_name": "twice", "inputs": [[2], [-1]], "outputs": [[4], [-2]]}),
}
CODE_CONTESTS = {
    "name": "9_A. Twice",
    "description": "Double the number.",
    "public_tests": {"input": ["2\n"], "output": ["4\n"]},
    "private_tests": {"input": [], "output": []},
    "generated_tests": {"input": ["-1\n"], "output": ["-2\n"]},
    "time_limit": {"seconds": 2, "nanos": 500000000},
}


def livecodebench_row(*, functional: bool, packed: bool = True) -> dict[str, Json]:
    kind = "functional" if functional else "stdin"
    public = [{"input": "2", "output": "4", "testtype": kind}]
    private = json.dumps([{"input": "-1", "output": "-2", "testtype": kind}])
    if packed:
        private = base64.b64encode(zlib.compress(pickle.dumps(private))).decode()
    return {
        "question_title": "Twice",
        "question_content": "Double the number.",
        "platform": "leetcode" if functional else "atcoder",
        "question_id": "abc999_a",
        "contest_id": "abc999",
        "contest_date": "2024-10-05T00:00:00",
        "starter_code": "class Solution:\n    def twice(self, x: int) -> int:\n        " if functional else "",
        "difficulty": "easy",
        "public_test_cases": json.dumps(public),
        "private_test_cases": private,
        "metadata": json.dumps({"func_name": "twice"} if functional else {}),
    }


FUNCTION = "def twice(x):\n    return {} * x\n"
SCRIPT = "print({} * int(input()))\n"
METHOD = "class Solution:\n    def twice(self, x: int) -> int:\n        return {} * x\n"
FORMS: list[tuple[str, Loader, dict[str, Json], str]] = [
    ("human-eval", code.human_eval, HUMAN_EVAL, FUNCTION),
    ("mbpp", code.mbpp, MBPP_FULL, FUNCTION),
    ("mbpp sanitized", code.mbpp, MBPP_SANITIZED, FUNCTION),
    ("mbpp-plus", code.mbpp_plus, MBPP_PLUS, FUNCTION),
    ("evalplus' own file", code.evalplus, EVALPLUS, FUNCTION),
    ("bigcodebench", code.bigcodebench, BIGCODEBENCH, FUNCTION),
    ("apps, read and write", code.apps, APPS_STDIN, SCRIPT),
    ("apps, a call", code.apps, APPS_CALL, FUNCTION),
    ("codecontests", code.code_contests, CODE_CONTESTS, SCRIPT),
    ("livecodebench, a call", code.livecodebench, livecodebench_row(functional=True, packed=False), METHOD),
    ("livecodebench, read and write", code.livecodebench, livecodebench_row(functional=False), SCRIPT),
]


def graded(question: Question, *programs: str) -> list[Verdict]:
    async def run() -> list[Verdict]:
        async with CodeJudge(timeout_s=10.0, sandbox={"preload": ["numpy"]}) as judge:
            answers = [Generation(f"```python\n{program}```") for program in programs]
            return await asyncio.gather(*(judge.graded(question, answer) for answer in answers))

    return asyncio.run(run())


@pytest.mark.parametrize(("loader", "row", "program"), [form[1:] for form in FORMS], ids=[form[0] for form in FORMS])
def test_a_right_program_passes_and_a_wrong_one_does_not(loader: Loader, row: dict[str, Json], program: str) -> None:
    (made,) = loader(row)
    assert made["problem"]
    right, wrong = graded(question_from_row({"id": "q", **made}), program.format(2), program.format(3))
    assert (right.correct, right.comment) == (True, "passed"), right.error
    assert (wrong.correct, wrong.scores["wrong_answer"]) == (False, 1.0), wrong.comment


def test_any_root_of_a_polynomial_is_a_root() -> None:
    poly = "def poly(xs, x):\n    return sum(c * x**i for i, c in enumerate(xs))\n\n\n"
    row = {
        **EVALPLUS,
        "prompt": f"{poly}def find_zero(xs):\n",
        "entry_point": "find_zero",
        "canonical_solution": "    return 1.0\n",
        "base_input": [[[-6, 11, -6, 1]]],  # (x - 1)(x - 2)(x - 3)
        "plus_input": [],
        "atol": 1e-4,
    }
    (made,) = code.evalplus(row)
    verdicts = graded(
        question_from_row({"id": "q", **made}),
        *(f"def find_zero(xs):\n    return {root}\n" for root in ("1.0", "3", "2.5", "None")),
    )
    assert [verdict.correct for verdict in verdicts] == [True, True, False, False]


def test_the_time_limit_of_a_contest_counts() -> None:
    (made,) = code.code_contests(CODE_CONTESTS)
    assert made["limit_s"] == 2.5


def test_only_contests_between_the_days_are_taken() -> None:
    row = livecodebench_row(functional=True)
    assert len(list(code.livecodebench(row, first="2024-10-05", last="2024-10-05"))) == 1
    assert list(code.livecodebench(row, first="2024-10-06")) == []
    assert list(code.livecodebench(row, last="2024-10-04")) == []


def test_a_pickle_that_is_more_than_a_text_is_refused() -> None:
    class Harm:
        def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
            import os

            return os.system, ("true",)

    row = livecodebench_row(functional=False)
    row["private_test_cases"] = base64.b64encode(zlib.compress(pickle.dumps(Harm()))).decode()
    with pytest.raises(ValueError, match="expected a text"):
        list(code.livecodebench(row))


@pytest.mark.parametrize("name", sorted(name for name in conf_names("benchmark") if find(name).judge == "code"))
def test_every_code_benchmark_names_a_loader_and_options_that_the_judge_takes(name: str) -> None:
    benchmark = find(name)
    assert callable(locate(source(benchmark).rows))
    assert "tests" in benchmark.needs
    assert conf_file("judge", benchmark.judge).is_file()
    assert CodeJudge(**benchmark.judge_options).name == "code"
