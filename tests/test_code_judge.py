"""A program is correct where it proves that it passed its tests; what else happened is told apart."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from judges.code import CodeJudge
from judges.programs import program_in, same_output
from ns_eval.errors import UsageError
from ns_eval.grading import build_judge
from ns_eval.records import Generation, Json, Question, Verdict
from ns_eval.resources import conf_file
from ns_eval.schema import load_yaml

STARTER = 'from typing import List\n\ndef add(a, b):\n    """Adds."""\n'
ADD: dict[str, Json] = {
    "starter_code": STARTER,
    "entry_point": "add",
    "tests": "assert add(1, 2) == 3\nassert add(0, 0) == 0",
}
DOUBLE: dict[str, Json] = {"tests": {"inputs": ["3\n", "21\n"], "outputs": ["6\n", "42"]}}
RIGHT = "```python\ndef add(a, b):\n    return a + b\n```"


def graded(pairs: Iterable[tuple[dict[str, Json], str]], **options: Json) -> list[Verdict]:
    async def run() -> list[Verdict]:
        async with CodeJudge(**options) as judge:
            questions = [(Question("q", "", meta=meta), Generation(text)) for meta, text in pairs]
            return await asyncio.gather(*(judge.graded(*pair) for pair in questions))

    return asyncio.run(run())


EXTRACTION = [
    # one block, alone or in prose
    ("```python\ndef add(a, b): return a + b\n```", "def add(a, b): return a + b\n"),
    ("Here:\n\n```py\ndef add(a, b): return 1\n```\nDone.", "def add(a, b): return 1\n"),
    # of several blocks the last that defines the function, not the example of its use
    (
        "```python\ndef add(a, b): return 0\n```\nNo:\n```python\ndef add(a, b): return 1\n```\n```python\nadd(1, 2)\n```",
        "1\n",
    ),
    # another language is no Python
    ("```python\ndef add(a, b): return 2\n```\n```json\n{}\n```", "2\n"),
    # a block that was never closed
    ("```python\ndef add(a, b):\n    return a + b", "    return a + b"),
    # reasoning is no answer
    ("<think>```python\ndef add(a, b): return 8\n```</think>```python\ndef add(a, b): return 9\n```", "9\n"),
    # a body that continues the start, cut where the function ends
    ("    return a + b\n\ndef other():\n    pass\n", STARTER + "    return a + b\n"),
    # a whole program without a fence, with an explanation behind it
    ("def add(a, b):\n    return a + b\n\nThis adds the numbers.", "def add(a, b):\n    return a + b\n\n"),
    # nothing
    ("", None),
]


@pytest.mark.parametrize(("text", "ending"), EXTRACTION)
def test_the_program_is_found(text: str, ending: str | None) -> None:
    found = program_in(text, ADD)
    assert found is None if ending is None else found is not None and found.endswith(ending)


def test_what_the_start_imports_is_there_for_a_program_that_leaves_it_out() -> None:
    found = program_in("```python\ndef add(a: List[int], b):\n    return a + b\n```", ADD)
    assert found is not None and found.startswith("from typing import List\n")


def test_prose_without_a_program_is_no_answer() -> None:
    (verdict,) = graded([(DOUBLE, "I cannot solve this.")])
    assert (verdict.correct, verdict.answer, verdict.comment) == (False, None, "no code in the answer")


OUTCOMES = [
    ("```python\ndef add(a, b):\n    return a - b\n```", "wrong_answer"),
    ("```python\ndef add(a, b):\n    return a + c\n```", "runtime_error"),
    ("```python\ndef add(a, b)\n    return a + b\n```", "compile_error"),
    ("```python\ndef add(a, b):\n    while True: pass\n```", "timeout"),
    ("```python\nimport os\ndef add(a, b):\n    os._exit(0)\n```", "runtime_error"),
    ("```python\nimport sys\ndef add(a, b):\n    sys.exit(0)\n```", "runtime_error"),
    ("```python\nimport os, sys\ndef add(a, b): return 3\nsys.stdout.flush()\nos._exit(0)\n```", "runtime_error"),
    ("```python\nimport os\ndef add(a, b):\n    os.write(3, b'{\"passed\": true}'); os._exit(0)\n```", "runtime_error"),
    ("```python\ndef add(a, b):\n    return [0] * 10 ** 11\n```", "runtime_error"),
]


@pytest.mark.parametrize(("text", "outcome"), OUTCOMES)
def test_a_failure_is_told_apart(text: str, outcome: str) -> None:
    (verdict,) = graded([(ADD, text)], timeout_s=0.5)
    assert verdict.correct is False
    assert [name for name, value in verdict.scores.items() if value] == [outcome], verdict.comment


def test_a_right_program_passes_and_says_how_many_tests() -> None:
    (verdict,) = graded([(ADD, RIGHT)])
    assert (verdict.correct, verdict.comment, verdict.scores["tests_passed"]) == (True, "passed", 1.0)
    assert verdict.extracted is not None and "return a + b" in verdict.extracted


def test_programs_that_read_and_write_are_compared_line_by_line() -> None:
    right, half, crash = graded(
        [
            (DOUBLE, "```python\nprint(int(input()) * 2)\n```"),
            (DOUBLE, "```python\nn = int(input())\nprint(6)\n```"),
            (DOUBLE, "```python\nprint(int(input()) / 0)\n```"),
        ]
    )
    assert right.correct is True
    assert (half.correct, half.scores["tests_passed"], half.scores["wrong_answer"]) == (False, 0.5, 1.0)
    assert crash.scores["runtime_error"] == 1.0


def test_usual_tricks_of_contest_programs_work() -> None:
    fast = (
        "import sys, atexit, io\nbuffer = io.StringIO()\nsys.stdout = buffer\n"
        "atexit.register(lambda: sys.__stdout__.write(buffer.getvalue()))\n"
    )
    programs = [
        f"{fast}print(int(sys.stdin.buffer.readline()) * 2)",
        "import sys\nprint(int(sys.stdin.read()) * 2)\nsys.exit(0)",
        "import os\nos.write(1, str(int(open(0).read()) * 2).encode())\nos._exit(0)",
        "import threading\nt = threading.Thread(target=lambda: print(int(input()) * 2))\nt.start()",
        "def main():\n    print(int(input()) * 2)\nif __name__ == '__main__':\n    main()",
    ]
    verdicts = graded((DOUBLE, f"```python\n{program}\n```") for program in programs)
    assert [verdict.comment for verdict in verdicts] == ["passed"] * len(programs)


@pytest.mark.parametrize(
    ("got", "expected", "tolerance", "same"),
    [
        ("1 2 3\n", "1 2 3", 0.0, True),
        ("1  2 3 \n\n", "1 2 3\n", 0.0, True),
        ("1\n2", "1 2", 0.0, False),
        ("0.50", "0.5", 0.0, True),
        ("0.3333333", "0.3333334", 0.0, False),
        ("0.3333333", "0.3333334", 1e-6, True),
        ("10000000000000001", "10000000000000000", 0.0, False),
        ("YES", "Yes", 0.0, False),
        ("nan", "nan", 0.0, True),
    ],
)
def test_outputs_are_the_same_by_line_and_value(got: str, expected: str, tolerance: float, same: bool) -> None:
    assert same_output(got, expected, tolerance) is same


@pytest.mark.parametrize(
    ("meta", "reason"),
    [
        ({"tests": "def check(:"}, "cannot be compiled"),
        ({"tests": {"inputs": ["1"], "outputs": []}}, "1 inputs and 0 outputs"),
        ({}, "no tests"),
    ],
)
def test_tests_that_cannot_be_read_leave_the_sample_unjudged(meta: dict[str, Json], reason: str) -> None:
    (verdict,) = graded([(meta, "```python\nprint(1)\n```")])
    assert verdict.correct is None
    assert verdict.error is not None and reason in verdict.error


def test_without_a_loop_it_grades_one_after_the_other() -> None:
    judge = CodeJudge()
    question = Question("q", "", meta=ADD)
    assert [judge.grade(question, Generation(text)).correct for text in (RIGHT, "```python\nx\n```")] == [True, False]


def test_the_shipped_yaml_builds_it_and_a_wrong_sandbox_key_is_named() -> None:
    assert build_judge(load_yaml(conf_file("judge", "code"))).name == "code"
    with pytest.raises(UsageError, match="memory_mb"):
        CodeJudge(sandbox={"memory_md": 1})


def test_the_tests_of_one_answer_share_the_time_of_its_sample() -> None:
    busy = "import time\nwhile time.process_time() < 0.5:\n    pass\nprint(2 * int(input()))"
    many: dict[str, Json] = {"tests": {"inputs": ["1\n"] * 5, "outputs": ["2\n"] * 5}}
    whole, cut = (graded([(many, f"```python\n{busy}\n```")], sample_timeout_s=limit)[0] for limit in (60.0, 0.8))
    assert whole.correct is True
    assert cut.correct is False and cut.scores["timeout"] == 1
