"""Judges that misbehave on demand, for the tests of the grading pool. They run in its processes."""

from __future__ import annotations

import os
import time
from typing import Any

from ns_eval.records import Generation, Question, Verdict


class Moody:
    """Does what the answer's text says."""

    name = "moody"

    def __init__(self, **options: Any) -> None:
        self.options = options

    def grade(self, question: Question, generation: Generation) -> Verdict:
        text = generation.text
        if text == "hang":
            _hang()
        if text == "sleep":
            time.sleep(60)
        if text == "die":
            os._exit(3)
        if text == "eat":
            bytearray(4 << 30)
        if text == "raise":
            raise ValueError("of no use")
        if text == "print":
            os.write(1, b"noise\n")
        return Verdict(self.name, text == question.expected_answer, answer=text, comment=str(os.getpid()))

    def same(self, a: str, b: str) -> bool:
        return a == b


def _hang() -> None:
    # One long C call: neither a signal handler nor a thread could end it.
    pow(3, 10**9)


class Broken:
    """Cannot be built."""

    def __init__(self, needed: int) -> None:
        self.needed = needed


class Cold:
    """Cannot be warmed: the pool must say so rather than wait."""

    name = "cold"

    def warm(self) -> None:
        raise RuntimeError("no library here")

    def grade(self, question: Question, generation: Generation) -> Verdict:
        raise NotImplementedError
