"""Asks a model whether an answer means the same as the expected one; calls nobody needs are not made.

    judge = EquivalenceJudge(prompt="judge/math").surveyed(samples)
    verdict = judge.shortcut(sample)                  # decided without a call, or None
    reply = ...                                       # whoever holds the client sends judge.messages(sample)
    while judge.retry(sample, reply, ask): ...        # unreadable: judge.messages(sample, ask + 1)
    verdict = judge.verdict(sample, reply)            # correct None and error "unparsed: ..." where it stays unreadable

Samples with one `call_key` share one reply. The loop that does this is the engine's; docs/judges.md says what it stores.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from judges import asking
from judges.asking import Shown, canonical_answer, predicted_answer
from judges.replies import yes_no
from judges.sharing import SeededShare
from ns_eval.errors import UsageError
from ns_eval.prompts import Prompt
from ns_eval.records import Generation, Json, Sample, Verdict
from ns_eval.schema import build

FORMAT_REMINDER = "End your reply with one line that reads exactly `Judgement: Yes` or `Judgement: No`."
# NeMo-Skills' sentences for verdicts without a call, so that its own readers understand the column `judgement`.
IDENTICAL = "Reasoning: The two answers are identical.\nJudgement: Yes"
NO_ANSWER = "Reasoning: No answer was provided.\nJudgement: No"
PROVED = "Reasoning: The symbolic checker proved the two answers equal.\nJudgement: Yes"
_TEXTS = {"identical": IDENTICAL, "no_answer": NO_ANSWER, "symbolic": PROVED}


@dataclass(frozen=True)
class EquivalenceOptions:
    """conf/judge/math.yaml; `++judge.<name>=<value>` on the command line."""

    name: str = "judge"
    """The verdict's name: its column is <name>_correct."""
    trust_symbolic: bool = True
    """What the symbolic checker proved equal needs no call (source: symbolic)."""
    audit: float = 0.1
    """Share of those answers that is judged all the same, so that agreement can be measured; 0 audits nothing."""
    audit_minimum: int = 50
    """Judge at least this many distinct answers of them, or all where there are fewer."""
    repeats: int = 1
    """Ask this often on a share of the calls, to measure how often the judge contradicts itself."""
    repeat_share: float = 0.1
    """The share of calls that is repeated, where `repeats` is above 1."""
    repeat_minimum: int = 50
    """Repeat at least this many calls, or all where there are fewer."""
    seed: int = 0
    """Draws both shares."""
    compat: str = ""
    """nemo-skills: no use is made of the symbolic verdict."""


class EquivalenceJudge:
    """The Yes/No judge. `prompt` is a name or resolved plain data; the rest is `EquivalenceOptions`.

    The prompt may use every column of the question, `predicted_answer`, `generation` and `fence`.
    """

    part_columns: tuple[str, ...] = ("judgement",)
    response_format: Mapping[str, Json] | None = None

    def __init__(self, prompt: str | Mapping[str, Any] = "judge/math", **options: Any) -> None:
        self.options = _checked(options)
        self.name = self.options.name
        self._prompt: Prompt = asking.resolved(prompt)
        self._fields = asking.fields_of(self._prompt)
        self.prompt_hash = asking.prompt_hash([self._prompt])
        chosen = self.options
        self._audit = SeededShare("audit", chosen.audit, chosen.audit_minimum, chosen.seed)
        share = chosen.repeat_share if chosen.repeats > 1 else 0.0
        self._repeat = SeededShare("repeat", share, chosen.repeat_minimum, chosen.seed)

    def spec(self) -> dict[str, Json]:
        """`_target_` and options as plain data: builds the same judge where conf/ is another one."""
        return {
            "_target_": "judges.equivalence.EquivalenceJudge",
            "prompt": asking.plain(self._prompt),
            **self.settings(),
        }

    def settings(self) -> dict[str, Json]:
        """What is kept with every verdict beside model and prompt hash."""
        return dataclasses.asdict(self.options)

    def surveyed(self, samples: Iterable[Sample]) -> Self:
        """The same judge, with its shares drawn from all samples of the run; needed for their minimum numbers only."""
        proved: set[str] = set()
        called: set[str] = set()
        for sample in samples:
            free = self._free(sample)
            if free is None or free == "symbolic":
                (called if free is None else proved).add(self.call_key(sample))
        self._audit = self._audit.drawn_from(proved)
        self._repeat = self._repeat.drawn_from(called | {key for key in proved if self._audit.has(key)})
        return self

    def shortcut(self, sample: Sample) -> Verdict | None:
        """The verdict where no call is needed; `comment` says why: identical, no_answer, symbolic.

        A sample whose request failed has no answer to judge: no verdict, and no call either.
        """
        if sample.status == "error":
            return Verdict(self.name, None, error="not judged: the request for the answer failed")
        if sample.question.expected_answer is None:
            return Verdict(self.name, None, error="not judged: the question has no expected_answer")
        source = self._free(sample)
        if source is None or (source == "symbolic" and self._audit.has(self.call_key(sample))):
            return None
        extracted = predicted_answer(sample)
        return Verdict(self.name, source != "no_answer", canonical_answer(sample), extracted, comment=source)

    def call_key(self, sample: Sample) -> str:
        """Samples with one key are one question to the judge: same problem, expected and canonical answer, and prompt."""
        columns = {"problem": sample.question.problem, "expected_answer": sample.question.expected_answer}
        columns |= {name: sample.question.meta.get(name) for name in self._fields if name in sample.question.meta}
        columns["predicted_answer"] = canonical_answer(sample)
        if "generation" in self._fields:
            columns["generation"] = sample.generation.text
        text = "\0".join(f"{name}={columns[name]}" for name in sorted(columns))
        return hashlib.sha256(f"{self.prompt_hash}\0{text}".encode("utf-8", "surrogatepass")).hexdigest()[:24]

    def asks_of(self, sample: Sample) -> int:
        """How many independent replies are wanted: `repeats` where the call is in the repeated share."""
        return self.options.repeats if self._repeat.has(self.call_key(sample)) else 1

    def messages(self, sample: Sample, ask: int = 1) -> list[dict[str, Any]]:
        """What is asked; `ask` counts from 1, later asks remind of the format.

        Raises:
            DataError: the prompt asks for a column that the question does not have.
        """
        shown = self.shown(sample)
        return asking.filled(self._prompt, sample.question, shown.values, asking.reminder_at(ask, FORMAT_REMINDER))

    def shown(self, sample: Sample) -> Shown:
        """The texts of the judged model as the judge sees them."""
        texts = {"predicted_answer": predicted_answer(sample) or ""}
        if "generation" in self._fields:
            texts["generation"] = sample.generation.text
        return Shown.of(texts)

    def verdict(self, sample: Sample, reply: Generation) -> Verdict:
        """Yes, no, or missing with the reason in `error`; the raw text is the reply's."""
        extracted, answer = predicted_answer(sample), canonical_answer(sample)
        error = asking.reply_error(reply)
        correct = None if error else _read(reply)
        if error is None and correct is None:
            error = asking.unparsed(reply)
        return Verdict(self.name, correct, answer, extracted, comment="model", error=error)

    def retry(self, sample: Sample, reply: Generation, ask: int = 1) -> bool:
        """Whether to ask again: the reply came but cannot be read, and this was not the last of four asks."""
        return asking.again(reply, ask, readable=reply.error is None and _read(reply) is not None)

    def judgement(self, verdict: Verdict, reply: Generation | None) -> str | None:
        """The text of the column `judgement`: the reply, or NeMo-Skills' sentence where none was needed."""
        return reply.text if reply is not None else _TEXTS.get(verdict.comment or "")

    def _free(self, sample: Sample) -> str | None:
        """Why no call would be needed, the audit aside."""
        if sample.status == "error" or sample.question.expected_answer is None:
            return "unjudged"
        predicted = predicted_answer(sample)
        if predicted is None:
            return "no_answer"
        if predicted.strip() == sample.question.expected_answer.strip():
            return "identical"
        trusted = self.options.trust_symbolic and self.options.compat != "nemo-skills"
        proved = any(verdict.judge == "symbolic" and verdict.correct is True for verdict in sample.verdicts)
        return "symbolic" if trusted and proved else None


def _read(reply: Generation) -> bool | None:
    return yes_no(reply.text, cut=reply.finish_reason == "length")


def _checked(options: Mapping[str, Any]) -> EquivalenceOptions:
    built = build(EquivalenceOptions, options, "judge")
    for name in ("audit", "repeat_share"):
        if not 0 <= getattr(built, name) <= 1:
            raise UsageError(f"judge: `{name}` is a share from 0 to 1, found {getattr(built, name)}")
    if built.repeats < 1:
        raise UsageError(f"judge: `repeats` counts from 1, found {built.repeats}")
    if built.compat not in ("", "nemo-skills"):
        raise UsageError(f"judge: `compat` must be '' or 'nemo-skills', found {built.compat!r}")
    return built
