"""Rates both turns of an MT-Bench conversation from 1 to 10, as FastChat does: one call a turn, the second sees both.

The question has `turns` (two user messages), `category` and, for math, reasoning and coding, `reference` (two answers); the
generation has the first reply in `meta["earlier_replies"]` and the last one as its text.
Method and wording: lm-sys/FastChat, fastchat/llm_judge at 0e6d3e4b; the fences are ours.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from judges import asking
from judges.asking import Shown
from judges.replies import Scale, after_thinking, rating
from judges.sharing import RepeatOptions, drawn_over
from ns_eval.errors import DataError
from ns_eval.records import Generation, Json, Sample, Verdict
from ns_eval.schema import build

FORMAT_REMINDER = 'End your reply with the rating in this exact form: "Rating: [[5]]", a number from 1 to 10.'
PROMPTS = {
    "turn_1": "judge/mt_bench/turn_1",
    "turn_1_reference": "judge/mt_bench/turn_1_reference",
    "turn_2": "judge/mt_bench/turn_2",
    "turn_2_reference": "judge/mt_bench/turn_2_reference",
}
_SCALE = Scale(1, 10, integers=False)  # FastChat takes half points
_TURNS = 2


class MTBenchJudge:
    """Two ratings of one conversation. `prompts` maps turn_1, turn_2 and both with _reference to names or plain data."""

    name = "mt_bench"
    part_columns: tuple[str, ...] = ("mt_bench_judgement_1", "mt_bench_judgement_2")
    response_format: Mapping[str, Json] | None = None
    scale = (_SCALE.minimum, _SCALE.maximum)

    def __init__(
        self,
        prompts: Mapping[str, Any] = PROMPTS,
        reference_categories: Sequence[str] = ("math", "reasoning", "coding"),
        **repeats: Any,
    ) -> None:
        self._prompts = {key: asking.resolved(prompts[key]) for key in PROMPTS}
        self._categories = tuple(reference_categories)
        self._repeats = build(RepeatOptions, repeats, "judge mt_bench")
        self.repeat = self._repeats.drawn()
        self.prompt_hash = asking.prompt_hash(list(self._prompts.values()), list(self._categories))

    def spec(self) -> dict[str, Json]:
        """`_target_` and options as plain data."""
        plain = {key: asking.plain(prompt) for key, prompt in self._prompts.items()}
        return {"_target_": "judges.mt_bench.MTBenchJudge", "prompts": plain, **self.settings()}

    def settings(self) -> dict[str, Json]:
        return {"reference_categories": list(self._categories), **dataclasses.asdict(self._repeats)}

    def surveyed(self, samples: Iterable[Sample]) -> Self:
        """The same judge, with the repeated share drawn from all samples of the run; needed for its minimum only."""
        self.repeat = drawn_over(self.repeat, self, samples)
        return self

    def shortcut(self, sample: Sample) -> Verdict | None:
        """Nothing to rate is no rating; see `asking.nothing_to_rate`."""
        return asking.nothing_to_rate(self.name, sample)

    def call_key(self, sample: Sample) -> str:
        """Equal conversations share their calls."""
        return asking.key(self.prompt_hash, [message for part in (0, 1) for message in self.messages(sample, part=part)])

    def asks_of(self, sample: Sample) -> int:
        return self._repeats.repeats if self.repeat.has(self.call_key(sample)) else 1

    def messages(self, sample: Sample, ask: int = 1, part: int = 0) -> list[dict[str, Any]]:
        """What is asked about turn `part` + 1.

        Raises:
            DataError: not two turns, no first reply, or no reference where the category needs one.
        """
        values: dict[str, Json] = dict(self.shown(sample).values)
        for number, text in enumerate(_two(sample, "turns", sample.question.meta.get("turns")), 1):
            values[f"question_{number}"] = text
        kind = f"turn_{part + 1}"
        if sample.question.meta.get("category") in self._categories:
            kind += "_reference"
            for number, text in enumerate(_two(sample, "reference", sample.question.meta.get("reference")), 1):
                values[f"reference_{number}"] = text
        return asking.filled(self._prompts[kind], sample.question, values, asking.reminder_at(ask, FORMAT_REMINDER))

    def shown(self, sample: Sample) -> Shown:
        """Both replies as the judge sees them."""
        earlier = sample.generation.meta.get("earlier_replies") or sample.meta.get("earlier_replies") or []
        replies = _two(sample, "earlier_replies and the last reply", [*earlier, sample.generation.text])
        return Shown.of({f"answer_{number}": after_thinking(text) for number, text in enumerate(replies, 1)})

    def verdict(self, sample: Sample, reply: Generation, *later: Generation) -> Verdict:
        """scores turn_1, turn_2 as far as they were given, and `score`, their mean, where both were."""
        scores: dict[str, float] = {}
        errors = []
        for number, part in enumerate((reply, *later), 1):
            value = None if part.error else rating(part.text, _SCALE)
            if value is not None:
                scores[f"turn_{number}"] = value
            else:
                errors.append(f"{asking.reply_error(part) or asking.unparsed(part)} (turn {number})")
        if len(scores) == _TURNS:
            scores["score"] = sum(scores.values()) / _TURNS
        return Verdict(self.name, None, scores=scores, comment="model", error="; ".join(errors) or None)

    def retry(self, sample: Sample, reply: Generation, ask: int = 1) -> bool:
        """Whether to ask again for this turn."""
        return asking.again(reply, ask, readable=reply.error is None and rating(reply.text, _SCALE) is not None)

    def judgement(self, verdict: Verdict, reply: Generation | None) -> str | None:
        return None if reply is None else reply.text


def _two(sample: Sample, column: str, given: Json) -> list[str]:
    if not isinstance(given, list) or len(given) != _TURNS:
        count = len(given) if isinstance(given, list) else "none"
        raise DataError(
            f"question `{sample.question.id}`: the MT-Bench judge needs two `{column}`, found {count}",
            hint="ns prepare_data mt-bench",
        )
    return [str(text) for text in given]
