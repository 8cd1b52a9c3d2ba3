"""Asks a model which of two answers is better, in both orders: a win counts only where both orders agree.

judge = PairwiseJudge()
samples = paired(samples, baseline)        # adds the column baseline_generation
judge.messages(sample, part=0)             # the sample's answer is A, the baseline's is B
judge.messages(sample, part=1)             # the other way round
judge.verdict(sample, first, second)       # scores win (1, 0.5, 0), margin (-2 to 2), consistent, prefers_first
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Self

from judges import asking
from judges.asking import Shown
from judges.replies import after_thinking, preference
from judges.sharing import RepeatOptions, drawn_over
from ns_eval.errors import DataError
from ns_eval.records import Generation, Json, Sample, Verdict
from ns_eval.schema import build

BASELINE = "baseline_generation"
FORMAT_REMINDER = "End your reply with one of [[A>>B]], [[A>B]], [[A=B]], [[B>A]], [[B>>A]] and nothing after it."


class PairwiseJudge:
    """Which of two answers is better. The prompt may use the question's columns, `answer_a`, `answer_b` and `fence`."""

    name = "pairwise"
    # NeMo-Skills' names of the two orders, as its arena-hard files have them.
    part_columns: tuple[str, ...] = ("judgement-gen-base", "judgement-base-gen")
    response_format: Mapping[str, Json] | None = None
    scale = (0.0, 1.0)
    needs_baseline = True

    def __init__(self, prompt: str | Mapping[str, Any] = "judge/pairwise", **repeats: Any) -> None:
        self._prompt = asking.resolved(prompt)
        self._repeats = build(RepeatOptions, repeats, "judge pairwise")
        self.repeat = self._repeats.drawn()
        self.prompt_hash = asking.prompt_hash([self._prompt])

    def spec(self) -> dict[str, Json]:
        """`_target_` and options as plain data."""
        return {"_target_": "judges.pairwise.PairwiseJudge", "prompt": asking.plain(self._prompt), **self.settings()}

    def settings(self) -> dict[str, Json]:
        return dataclasses.asdict(self._repeats)

    def surveyed(self, samples: Iterable[Sample]) -> Self:
        """The same judge, with the repeated share drawn from all samples of the run; needed for its minimum only."""
        self.repeat = drawn_over(self.repeat, self, samples)
        return self

    def shortcut(self, sample: Sample) -> Verdict | None:
        """Two equal answers tie without a call; an empty answer loses nothing by itself: it is not judged."""
        missing = asking.nothing_to_rate(self.name, sample)
        if missing is not None:
            return missing
        ours, theirs = _answers(sample)
        if not theirs.strip():
            return Verdict(self.name, None, comment="no_answer", error="not judged: the baseline's answer is empty")
        if ours.strip() == theirs.strip():
            return Verdict(self.name, None, scores={"win": 0.5, "margin": 0.0}, comment="identical")
        return None

    def call_key(self, sample: Sample) -> str:
        """Equal pairs under one question share their calls."""
        return asking.key(self.prompt_hash, self.messages(sample))

    def asks_of(self, sample: Sample) -> int:
        return self._repeats.repeats if self.repeat.has(self.call_key(sample)) else 1

    def messages(self, sample: Sample, ask: int = 1, part: int = 0) -> list[dict[str, Any]]:
        """What is asked; in part 1 the baseline's answer stands first.

        Raises:
            DataError: no baseline_generation, or a column that the prompt asks for is missing.
        """
        shown = self.shown(sample).values
        ours, theirs = shown["ours"], shown["theirs"]
        first, second = (ours, theirs) if part == 0 else (theirs, ours)
        values = {"answer_a": first, "answer_b": second, "fence": shown["fence"]}
        return asking.filled(self._prompt, sample.question, values, asking.reminder_at(ask, FORMAT_REMINDER))

    def shown(self, sample: Sample) -> Shown:
        """Both answers as the judge sees them."""
        ours, theirs = _answers(sample)
        return Shown.of({"ours": ours, "theirs": theirs})

    def verdict(self, sample: Sample, reply: Generation, *later: Generation) -> Verdict:
        """`reply` has our answer as A, the one of `later` as B.

        `win` is 1 where both orders prefer ours, 0 where both prefer the baseline's, else 0.5: what depends on the order is
        a tie (MT-Bench's conservative rule). `margin` is the mean of both on the scale from -2 to 2. One readable order is
        no verdict.
        """
        if len(later) != 1:
            raise ValueError(f"a pairwise verdict needs both orders, found {1 + len(later)}")
        both = (_read(reply), _read(later[0]))
        errors = [
            f"{asking.reply_error(part) or asking.unparsed(part)} ({order})"
            for part, worth, order in zip((reply, *later), both, ("our answer first", "the baseline's first"), strict=True)
            if worth is None
        ]
        if both[0] is None or both[1] is None:
            return Verdict(self.name, None, comment="model", error="; ".join(errors))
        return Verdict(self.name, None, scores=_scores(both[0], -both[1]), comment="model")

    def retry(self, sample: Sample, reply: Generation, ask: int = 1) -> bool:
        """Whether to ask again in this order."""
        return asking.again(reply, ask, readable=_read(reply) is not None)

    def judgement(self, verdict: Verdict, reply: Generation | None) -> str | None:
        return None if reply is None else reply.text


def paired(samples: Iterable[Sample], baseline: Iterable[Sample]) -> list[Sample]:
    """The samples, each with the baseline's answer to the same question in the column `baseline_generation`.

    The answer of the same seed, or the only one that the baseline has.

    Raises:
        DataError: the baseline lacks a question or a seed, or has another question under the same id.
    """
    answers: dict[str, dict[int | None, Sample]] = {}
    for other in baseline:
        answers.setdefault(other.question.id, {})[other.seed] = other
    return [with_baseline(sample, answers.get(sample.question.id, {})) for sample in samples]


def with_baseline(sample: Sample, answers: Mapping[int | None, Sample]) -> Sample:
    """One sample with what of the baseline's answers to its question, by seed, it is compared to.

    Raises:
        DataError: see `paired`.
    """
    identity, seed = sample.question.id, sample.seed
    other = answers.get(seed) or (next(iter(answers.values())) if len(answers) == 1 else None)
    if other is None:
        found = f"it has seeds {sorted(answers, key=str)}" if answers else "it does not answer this question"
        raise DataError(
            f"question `{identity}`: the baseline has no answer of seed {seed}: {found}",
            hint="generate the baseline with the same benchmark and seeds, or with one answer a question",
        )
    if other.question.problem != sample.question.problem:
        raise DataError(f"question `{identity}` reads otherwise in the baseline", hint="compare runs of one question file")
    text = "" if other.status == "error" else other.generation.text
    question = dataclasses.replace(sample.question, meta={**sample.question.meta, BASELINE: text})
    return dataclasses.replace(sample, question=question)


def _answers(sample: Sample) -> tuple[str, str]:
    if BASELINE not in sample.question.meta:
        raise DataError(f"question `{sample.question.id}` has no {BASELINE}", hint="--baseline_dir=<run folder>")
    return after_thinking(sample.generation.text), after_thinking(str(sample.question.meta[BASELINE]))


def _read(reply: Generation) -> int | None:
    return None if reply.error is not None else preference(reply.text)


def _scores(first: int, second: int) -> dict[str, float]:
    """Both arguments are what our answer is worth: shown first, shown second."""
    signs = ((first > 0) - (first < 0), (second > 0) - (second < 0))
    win = {(1, 1): 1.0, (-1, -1): 0.0}.get(signs, 0.5)
    # How far the place decides: 1 where the first answer shown is preferred in both orders, -1 the second, 0 neither.
    prefers_first = (signs[0] - signs[1]) / 2
    return {
        "win": win,
        "margin": (first + second) / 2,
        "consistent": float(signs[0] == signs[1]),
        "prefers_first": prefers_first,
    }
