"""The program in an answer, and the tests of a question as programs."""

from __future__ import annotations

import ast
import builtins
import json
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ns_eval.errors import DataError

_FENCE = re.compile(r"^[ \t]*```[ \t]*([\w+#.-]*)[^\n]*\n(.*?)(?:^[ \t]*```[ \t]*$|\Z)", re.DOTALL | re.MULTILINE)
_PYTHON = ("", "python", "python3", "py")
# Where a model that only continues a function has left it: CodeT's stop words, as in the labels of its samples.
# Source: microsoft/CodeT, CodeT/src/io_utils.py at 35f54d60.
_AFTER_FUNCTION = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
_MOST_PROSE = 200
_BUILTINS = set(dir(builtins))
_RUN_UNITTEST = """
import unittest as _unittest
_cases = [value for value in list(globals().values()) if isinstance(value, type) and issubclass(value, _unittest.TestCase)]
_suite = _unittest.TestSuite(_unittest.defaultTestLoader.loadTestsFromTestCase(case) for case in _cases)
_result = _unittest.TextTestRunner(verbosity=0).run(_suite)
assert _result.testsRun > 0, "no test ran"
if _result.errors:
    raise RuntimeError(f"{len(_result.errors)} of {_result.testsRun} tests raised")
assert not _result.failures, f"{len(_result.failures)} of {_result.testsRun} tests failed"
"""
_CALL = """
import json as _json
_want = _json.loads({want!r})
_function = getattr(Solution(), {name!r}) if "Solution" in globals() else globals()[{name!r}]
_got = _function(*_json.loads({arguments!r}))
_got = _json.loads(_json.dumps(_got, default=list))
assert _got == _want or (isinstance(_want, list) and len(_want) == 1 and _got == _want[0]), f"got {{_got!r}}"
"""


@dataclass(frozen=True, slots=True)
class Case:
    """One test: a program that fails by an exception, or an input with the output it must give."""

    program: str | None = None
    stdin: str = ""
    expected: str = ""


def program_in(text: str, meta: Mapping[str, Any], *, end_of_reasoning: str = "</think>") -> str | None:
    """The whole program of an answer, ready for its tests; None where it holds no code.

    Of several fenced blocks the last one counts that defines the entry point (or anything that the tests call), else the
    last that can be compiled, else the last. Without a fence a text is a program where it begins as one, or continues
    the starter code, and then is cut where the function ends.
    """
    text = text.rpartition(end_of_reasoning)[2] if end_of_reasoning else text
    entry_point = meta.get("entry_point")
    starter = meta.get("starter_code")
    blocks = [code for language, code in _FENCE.findall(text) if language.lower() in _PYTHON and code.strip()]
    if blocks:
        return _completed(_best(blocks, _wanted(meta)), starter, entry_point)
    if not text.strip():
        return None
    if (
        entry_point
        and re.match(r"\s*^(?:def|class|import|from|@|async def)\b", text, re.MULTILINE)
        and _defines(text, entry_point)
    ):
        return _completed(_without_prose(text), starter, entry_point)
    if starter is not None:
        return _completed(_cut(text), starter, entry_point)
    return text if _compiles(text) and re.search(r"\b(def|import|print|class)\b", text) else None


def cases_of(meta: Mapping[str, Any]) -> list[Case]:
    """The tests of a question, from `tests` and `entry_point` as dataset_prepare.code writes them.

    Raises:
        DataError: there are none, or not in a known form.
    """
    tests, name = meta.get("tests"), meta.get("entry_point")
    if isinstance(tests, str) and tests.strip():
        runner = _RUN_UNITTEST if "unittest.TestCase" in tests and "unittest.main" not in tests else ""
        return [Case(program=tests + runner)]
    if not isinstance(tests, Mapping) or not tests.get("inputs"):
        raise DataError("the question has no tests that can be run", hint="ns prepare_data <benchmark> writes them")
    inputs, outputs = tests["inputs"], tests.get("outputs") or []
    if len(inputs) != len(outputs):
        raise DataError(f"the question's tests have {len(inputs)} inputs and {len(outputs)} outputs")
    if name:
        return [_call(str(name), given, want) for given, want in zip(inputs, outputs, strict=True)]
    return [Case(stdin=_text(given), expected=_text(want)) for given, want in zip(inputs, outputs, strict=True)]


def same_output(got: str, expected: str, tolerance: float = 0.0) -> bool:
    """Line by line, blank ends apart; numbers by value, where `tolerance` is relative and absolute at once."""
    ours, theirs = _stripped(got), _stripped(expected)
    if ours == theirs:
        return True
    if len(ours) != len(theirs):
        return False
    return all(map(_same_line, ours, theirs, [tolerance] * len(ours)))


def _wanted(meta: Mapping[str, Any]) -> set[str]:
    """The names of which the program must define one."""
    if meta.get("entry_point"):
        return {meta["entry_point"], "Solution"}
    tests = meta.get("tests")
    return set(re.findall(r"\b([A-Za-z_]\w*)\s*\(", tests)) - _BUILTINS if isinstance(tests, str) else set()


def _best(blocks: list[str], wanted: set[str]) -> str:
    defining = [code for code in blocks if any(_defines(code, name) for name in wanted)]
    compiling = [code for code in blocks if _compiles(code)]
    return (defining or compiling or blocks)[-1]


def _completed(code: str, starter: str | None, entry_point: str | None) -> str:
    """Code that stands alone: behind what the starter defines before the function, or behind the starter itself."""
    if not starter:
        return code
    if entry_point and _defines(code, entry_point):
        head = re.split(rf"^(?:async )?def {re.escape(entry_point)}\b", starter, maxsplit=1, flags=re.MULTILINE)[0]
        return f"{head.rstrip()}\n\n{code}" if head.strip() and _compiles(head) else code
    if entry_point and not code[:1].isspace() and _compiles(code):
        # A body written against the margin, or something that is no body at all: then it fails as it should.
        code = "".join(f"    {line}" for line in code.splitlines(keepends=True))
    return starter + code


def _without_prose(text: str) -> str:
    """A program in front of an explanation, without the explanation: the most lines that can be compiled."""
    lines = text.splitlines(keepends=True)
    for end in range(len(lines), max(0, len(lines) - _MOST_PROSE), -1):
        if _compiles("".join(lines[:end])):
            return "".join(lines[:end])
    return text


def _cut(text: str) -> str:
    ends = [position for position in (text.find(word) for word in _AFTER_FUNCTION) if position >= 0]
    return text[: min(ends)] if ends else text


def _defines(code: str, name: str) -> bool:
    return (
        re.search(rf"^(?:(?:async )?def|class) {re.escape(name)}\b|^{re.escape(name)}\s*=", code, re.MULTILINE) is not None
    )


def _compiles(code: str) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a model's "\\w" is no matter of ours
            ast.parse(code)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    return True


def _call(name: str, given: Any, want: Any) -> Case:
    """Arguments as a list of values (APPS), or as a text with one JSON value a line (LiveCodeBench)."""
    if isinstance(given, str):
        given = [json.loads(line) for line in given.splitlines() if line.strip()]
        want = json.loads(want) if isinstance(want, str) else want
    return Case(program=_CALL.format(name=name, arguments=json.dumps(given), want=json.dumps(want)))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "\n".join(map(str, value)) + "\n" if isinstance(value, list) else str(value)


def _stripped(text: str) -> list[str]:
    return [line.strip() for line in text.strip().splitlines()]


def _same_line(ours: str, theirs: str, tolerance: float) -> bool:
    if ours == theirs:
        return True
    mine, wanted = ours.split(), theirs.split()
    return len(mine) == len(wanted) and all(map(_same_word, mine, wanted, [tolerance] * len(mine)))


def _same_word(ours: str, theirs: str, tolerance: float) -> bool:
    if ours == theirs:
        return True
    try:
        mine, wanted = float(ours), float(theirs)
    except ValueError:
        return False
    if mine == wanted:  # long integers lose digits as floats, so they must agree as text
        return not (ours.lstrip("-").isdigit() and theirs.lstrip("-").isdigit())
    return abs(mine - wanted) <= tolerance * max(1.0, abs(wanted))
