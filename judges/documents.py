"""Short answers about pages and charts: ANLS (DocVQA) and relaxed accuracy (ChartQA), the nearest of several references."""

from __future__ import annotations

import re

from judges.answers import Extraction, after_reasoning, boxed
from ns_eval.records import Generation, Question, Verdict

# Mathew et al.: what is further from the answer than this is another answer.
ANLS_THRESHOLD = 0.5
# Masry et al.: a number may be off by this share of the reference.
TOLERANCE = 0.05
_LONGEST = 2000


class _ShortAnswer:
    """Takes the box, else the whole answer behind the thinking."""

    name = ""
    version = ""

    def __init__(self, references: str = "correct_answers", end_reasoning_string: str = "</think>") -> None:
        self._references = references
        self._rules = Extraction(end_reasoning_string)

    def grade(self, question: Question, generation: Generation) -> Verdict:
        """Scores the answer against each reference; the best counts."""
        kept = question.meta.get(self._references) or question.expected_answer
        references = [kept] if isinstance(kept, str) else [str(item) for item in kept or []]
        if not references:
            return Verdict(self.name, None, error=f"the question has no answer in `{self._references}`")
        text = after_reasoning(generation.text, self._rules)
        answer = (boxed(text) or text).strip()[:_LONGEST]
        if not answer:
            return Verdict(self.name, False, scores={self.name: 0.0}, comment="no answer")
        best = max(self.score(answer, reference) for reference in references)
        return Verdict(self.name, best == 1.0, answer=_plain(answer), extracted=answer, scores={self.name: best})

    def same(self, a: str, b: str) -> bool:
        return a == b

    def score(self, answer: str, reference: str) -> float:
        raise NotImplementedError


class AnlsJudge(_ShortAnswer):
    """1 - NL where the normalised Levenshtein distance NL is below one half, else 0; lower case, one blank between words."""

    name = "anls"
    version = "anls-1"

    def score(self, answer: str, reference: str) -> float:
        return anls(answer, reference)


class RelaxedJudge(_ShortAnswer):
    """A number within 5 % of the reference, or else the same text."""

    name = "relaxed"
    version = "relaxed-1"

    def score(self, answer: str, reference: str) -> float:
        return float(relaxed(answer, reference))


def anls(answer: str, reference: str) -> float:
    """Average normalised Levenshtein similarity of one answer and one reference, from 0 to 1."""
    a, b = _plain(answer), _plain(reference)
    longest = max(len(a), len(b))
    if not longest:
        return 1.0
    distance = _levenshtein(a, b) / longest
    return 1.0 - distance if distance < ANLS_THRESHOLD else 0.0


def relaxed(answer: str, reference: str) -> bool:
    """ChartQA's rule: a reference of 0 must be met exactly, and `%` divides by a hundred on both sides."""
    theirs, ours = _number(answer), _number(reference)
    if theirs is None or ours is None:
        return _plain(answer) == _plain(reference)
    return theirs == ours if ours == 0 else abs(theirs - ours) <= TOLERANCE * abs(ours)


def _plain(text: str) -> str:
    return " ".join(text.lower().split())


def _number(text: str) -> float | None:
    text = text.strip().replace("\\%", "%").strip("$ ").replace(",", "")
    if not re.fullmatch(r"[-+]?(?:\d+\.?\d*|\.\d+)\s*%?", text):
        return None
    return float(text[:-1]) / 100 if text.endswith("%") else float(text)


def _levenshtein(a: str, b: str) -> int:
    row = list(range(len(b) + 1))
    for at, one in enumerate(a, 1):
        before, row[0] = row[0], at
        for place, other in enumerate(b, 1):
            before, row[place] = row[place], min(row[place] + 1, row[place - 1] + 1, before + (one != other))
    return row[-1]
