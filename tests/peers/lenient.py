"""A judge that calls everything right, as a broken one would."""

from __future__ import annotations

from ns_eval.records import Generation, Question, Verdict


class LenientJudge:
    """See above."""

    name = "lenient"

    def grade(self, question: Question, generation: Generation) -> Verdict:
        return Verdict(self.name, True)

    def same(self, a: str, b: str) -> bool:
        return a == b
