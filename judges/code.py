"""Whether a program passes its tests: it is run in the sandbox, and a pass needs proof from inside.

The proof is a nonce that the process learns only after its last test: an exit code of 0 would also be that of a program
that left before the tests. A passing program can still be one that cheats its own asserts; nothing that shares a process
with the tests could tell.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Mapping
from types import TracebackType
from typing import Any, Self

from judges.programs import Case, cases_of, program_in, same_output
from ns_eval.errors import DataError
from ns_eval.records import Generation, Question, Verdict
from ns_eval.sandbox import Execution, Sandbox, SandboxConfig, SandboxError, open_sandbox
from ns_eval.sandbox.remote import RemoteSandbox
from ns_eval.sandbox.walls import check
from ns_eval.schema import build

OUTCOMES = ("compile_error", "runtime_error", "timeout", "wrong_answer")
_MARGIN_BYTES = 1 << 16


class CodeJudge:
    """Grades in the sandbox, one process a test; `async with judge:` then `await judge.graded(question, generation)`.

    `timeout_s` counts CPU seconds of one test; a question's own `limit_s` wins. `sample_timeout_s` is
    for all of them together. `tolerance` is for numbers that a
    program prints. `sandbox` holds the settings of `SandboxConfig`.
    """

    def __init__(
        self,
        name: str = "code",
        timeout_s: float = 3.0,
        sample_timeout_s: float = 0.0,
        tolerance: float = 0.0,
        end_reasoning_string: str = "</think>",
        sandbox: Mapping[str, Any] | None = None,
    ) -> None:
        self.name = name
        self._timeout_s = timeout_s
        self._sample_timeout_s = sample_timeout_s or math.inf
        self._tolerance = tolerance
        self._end_of_reasoning = end_reasoning_string
        self._config = build(SandboxConfig, sandbox or {}, "judge.sandbox")
        if not self._config.host:
            check(self._config)
        self._sandbox: Sandbox | RemoteSandbox | None = None
        self._runner: asyncio.Runner | None = None

    async def __aenter__(self) -> Self:
        self._sandbox = await open_sandbox(self._config).__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sandbox is not None:
            await self._sandbox.__aexit__(kind, error, trace)
            self._sandbox = None

    @property
    def walls(self) -> str:
        """What stands between the programs and this machine."""
        return "" if self._sandbox is None else self._sandbox.walls

    def grade(self, question: Question, generation: Generation) -> Verdict:
        """The same for a caller without an event loop; the sandbox then lives as long as this process."""
        if self._runner is None:
            self._runner = asyncio.Runner()
            self._runner.run(self.__aenter__())
        return self._runner.run(self.graded(question, generation))

    def same(self, a: str, b: str) -> bool:
        """Programs are the same where their text is."""
        return a == b

    async def graded(self, question: Question, generation: Generation) -> Verdict:
        """Every test in turn, up to the first that fails."""
        assert self._sandbox is not None, "use `async with judge:`"
        code = program_in(generation.text, question.meta, end_of_reasoning=self._end_of_reasoning)
        if code is None:
            none = dict.fromkeys((*OUTCOMES, "tests_passed"), 0.0)  # else the shares would be those of the others alone
            return Verdict(judge=self.name, correct=False, scores=none, comment="no code in the answer")
        try:
            cases = cases_of(question.meta)
            return await self._judged(code, cases, float(question.meta.get("limit_s") or self._timeout_s))
        except (DataError, SandboxError, ValueError) as error:
            return Verdict(judge=self.name, correct=None, extracted=code, error=f"{self.name}: {str(error).splitlines()[0]}")

    async def _judged(self, code: str, cases: list[Case], limit_s: float) -> Verdict:
        passed, outcome, comment, used_s = 0, None, "passed", 0.0
        for case in cases:
            if used_s >= self._sample_timeout_s:
                outcome, comment = "timeout", f"its tests together are past {self._sample_timeout_s:g} s"
                break
            execution = await self._run(code, case, min(limit_s, self._sample_timeout_s - used_s))
            used_s += execution.cpu_seconds
            if execution.phase == "tests do not compile":
                raise DataError(f"the tests cannot be compiled: {_last_line(execution)}")
            outcome, comment = self._outcome(case, execution)
            if outcome is not None:
                break
            passed += 1
        scores = {name: float(name == outcome) for name in OUTCOMES} | {"tests_passed": passed / len(cases)}
        digest = hashlib.sha256(code.encode(errors="replace")).hexdigest()[:16]
        return Verdict(self.name, outcome is None, answer=digest, extracted=code, scores=scores, comment=comment)

    async def _run(self, code: str, case: Case, limit_s: float) -> Execution:
        assert self._sandbox is not None
        if case.program is not None:
            return await self._sandbox.program(code, tests=case.program, timeout_s=limit_s)
        most = 2 * len(case.expected.encode()) + _MARGIN_BYTES
        return await self._sandbox.program(code, stdin=case.stdin, timeout_s=limit_s, output_bytes=most)

    def _outcome(self, case: Case, execution: Execution) -> tuple[str | None, str]:
        """(what is wrong or None, in words)"""
        if execution.status == "timeout":
            return "timeout", "past its time"
        if execution.status == "killed":
            return "runtime_error", execution.reason or "its process ended"
        if execution.status == "error":
            if execution.phase == "compile":
                return "compile_error", _last_line(execution)
            # A remote sandbox names no exception; the last line of the traceback does.
            is_wrong = execution.phase in ("tests", None) and _last_line(execution).startswith("AssertionError")
            return "wrong_answer" if is_wrong else "runtime_error", _last_line(execution)
        if case.program is not None:
            return (
                (None, "passed") if execution.proved else ("runtime_error", "it ended without running its tests to the end")
            )
        if execution.truncated or not same_output(execution.stdout, case.expected, self._tolerance):
            return "wrong_answer", "another output than expected"
        return None, "passed"


def _last_line(execution: Execution) -> str:
    lines = (execution.stderr or execution.stdout).strip().splitlines()
    return lines[-1][:300] if lines else execution.error or "it failed"
