"""Scores of a free text against its references, without a verdict: whether a text is right is not for words to say.

    judge: text
    judge_options: {references: correct_answers, metrics: [f1, rouge]}     # in conf/benchmark/<name>.yaml

What each score is: docs/text.md. What needs a model (BERTScore, sentence similarity, perplexity) is computed behind a run,
by `summarize.text.Evaluator`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property

from judges.answers import Extraction, after_reasoning
from judges.overlap import METRICS, Measured, Overlap, OverlapOptions
from ns_eval.records import Generation, Question, Verdict


class TextJudge:
    """Grades in worker processes like every judge. `correct` stays None: the scores are the result.

    `references` names the column that holds them, a text or a list of texts; the default is the expected answer alone. A
    question without one is not judged; an answer that is empty is an attempt, and scores 0.
    """

    name = "text"
    # CPU seconds of one answer in a worker: 100,000 words take some five.
    timeout_s = 60.0

    def __init__(
        self,
        metrics: Sequence[str] = METRICS,
        rouge_types: Sequence[str] = OverlapOptions().rouge_types,
        use_stemmer: bool = True,
        references: str = "expected_answer",
        end_reasoning_string: str = "</think>",
    ) -> None:
        self._overlap = Overlap(OverlapOptions(tuple(metrics), tuple(rouge_types), use_stemmer))
        self._column = references
        self._thinking = Extraction(end_reasoning_string)

    @cached_property
    def version(self) -> str:
        """With those of the libraries: another one may give other numbers."""
        return "; ".join(["text-1", *(f"{name}: {how}" for name, how in self.sources().items())])

    def warm(self) -> None:
        """Called once before workers are forked: the libraries take seconds to import."""
        self._overlap.load()

    def grade(self, question: Question, generation: Generation) -> Verdict:
        """`answer` is a hash, since a text is nothing to vote with."""
        text, references = self.text(generation), self.references(question)
        if not references:
            return Verdict(self.name, None, error=f"the question has no reference in `{self._column}`")
        scores = self.measure(text, references).scores
        if not text:
            return Verdict(self.name, None, scores=scores, comment="no answer")
        digest = hashlib.sha256(text.encode(errors="replace")).hexdigest()[:16]
        return Verdict(self.name, None, answer=digest, extracted=text, scores=scores)

    def same(self, a: str, b: str) -> bool:
        return a == b

    def measure(self, text: str, references: Sequence[str]) -> Measured:
        """The scores of a bare text, for whoever has no question."""
        return self._overlap.measure(text, references)

    def sources(self, references: int = 1) -> dict[str, str]:
        """What computes each metric, with its settings."""
        return self._overlap.sources(references)

    def text(self, generation: Generation) -> str:
        """What is scored: the answer behind the thinking."""
        return after_reasoning(generation.text, self._thinking).strip()

    def references(self, question: Question) -> list[str]:
        """The question's references without empty ones."""
        found = question.expected_answer if self._column == "expected_answer" else question.meta.get(self._column)
        listed = [found] if isinstance(found, str) else list(found or ())
        return [text for text in listed if isinstance(text, str) and text.strip()]
