"""Asks a model to rate an answer by a rubric: some criteria, one scale, a comment.

    judge = RubricJudge(rubric="scientific", prompt="judge/rubric")
    judge.response_format          # the JSON schema of the reply, for servers that can enforce one
    judge.verdict(sample, reply)   # scores {"correctness": 4.0, ..., "overall_score": 4.4}, correct None

A rating outside the scale is missing, not moved to its end; `overall_score` is there only when every criterion is.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any, Self

from judges import asking
from judges.asking import Shown
from judges.replies import Scale, after_thinking, json_object, ratings
from judges.rubrics import COMMENTS, OVERALL, load_rubric, plain_rubric, rubric_values, schema_of
from judges.sharing import RepeatOptions, drawn_over
from ns_eval.records import Generation, Json, Sample, Verdict
from ns_eval.schema import build


class RubricJudge:
    """Rates by a rubric. `prompt` and `rubric` are names or resolved plain data.

    The prompt may use every column of the question, `generation`, `fence`, and of the rubric `criteria`, `levels`,
    `minimum`, `maximum` and `format`. `repeats` of a share of `repeat_share` (at least `repeat_minimum`) are asked several
    times; `name` tells the columns of several judges apart.
    """

    def __init__(
        self,
        rubric: str | Mapping[str, Any],
        prompt: str | Mapping[str, Any] = "judge/rubric",
        *,
        name: str = "rubric",
        **repeats: Any,
    ) -> None:
        self.name = name
        self.part_columns: tuple[str, ...] = (f"{name}_judgement",)
        self.rubric = load_rubric(rubric)
        self._prompt = asking.resolved(prompt)
        self._names = [criterion.name for criterion in self.rubric.criteria]
        self._scale = Scale(self.rubric.scale.minimum, self.rubric.scale.maximum)
        self.scale = (self._scale.minimum, self._scale.maximum)
        self._repeats = build(RepeatOptions, repeats, f"judge {name}")
        self.prompt_hash = asking.prompt_hash([self._prompt], plain_rubric(self.rubric))
        self.response_format: Mapping[str, Json] = schema_of(self.rubric)
        self.repeat = self._repeats.drawn()

    def spec(self) -> dict[str, Json]:
        """`_target_` and options as plain data, prompt and rubric included."""
        return {
            "_target_": "judges.rubric.RubricJudge",
            "rubric": plain_rubric(self.rubric),
            "prompt": asking.plain(self._prompt),
            "name": self.name,
            **dataclasses.asdict(self._repeats),
        }

    def settings(self) -> dict[str, Json]:
        return {"rubric": self.rubric.name, **dataclasses.asdict(self._repeats)}

    def surveyed(self, samples: Iterable[Sample]) -> Self:
        """The same judge, with the repeated share drawn from all samples of the run; needed for its minimum only."""
        self.repeat = drawn_over(self.repeat, self, samples)
        return self

    def shortcut(self, sample: Sample) -> Verdict | None:
        """An empty answer and a failed request have nothing to rate: missing, with the reason. Never a low rating."""
        return asking.nothing_to_rate(self.name, sample)

    def call_key(self, sample: Sample) -> str:
        """Equal answers to equal questions share a call."""
        return asking.key(self.prompt_hash, self.messages(sample))

    def asks_of(self, sample: Sample) -> int:
        """How many independent replies are wanted."""
        return self._repeats.repeats if self.repeat.has(self.call_key(sample)) else 1

    def messages(self, sample: Sample, ask: int = 1) -> list[dict[str, Any]]:
        """What is asked; later asks remind of the format.

        Raises:
            DataError: the prompt asks for a column that the question does not have.
        """
        shown = self.shown(sample)
        values = {**rubric_values(self.rubric), **shown.values}
        reminder = asking.reminder_at(ask, f"Reply with one JSON object and nothing else: {values['format']}")
        return asking.filled(self._prompt, sample.question, values, reminder)

    def shown(self, sample: Sample) -> Shown:
        """The judged answer as the judge sees it."""
        return Shown.of({"generation": after_thinking(sample.generation.text)}, self._names)

    def verdict(self, sample: Sample, reply: Generation) -> Verdict:
        """What could be read; `error` names the criteria that could not. `comment` is the judge's own."""
        error = asking.reply_error(reply)
        found = {} if error else ratings(reply.text, self._names, self._scale)
        missing = [name for name in self._names if name not in found]
        scores = dict(found) if missing else found | {OVERALL: sum(found.values()) / len(found)}
        if error is None and missing:
            error = asking.unparsed(reply) if not found else f"unparsed: no valid rating of {', '.join(missing)}"
        return Verdict(self.name, None, scores=scores, comment=_comments(reply.text, self._names), error=error)

    def retry(self, sample: Sample, reply: Generation, ask: int = 1) -> bool:
        """Whether to ask again: not every criterion could be read."""
        readable = reply.error is None and len(ratings(reply.text, self._names, self._scale)) == len(self._names)
        return asking.again(reply, ask, readable=readable)

    def judgement(self, verdict: Verdict, reply: Generation | None) -> str | None:
        """The raw text of the reply."""
        return None if reply is None else reply.text


def _comments(text: str, names: list[str]) -> str | None:
    found = json_object(after_thinking(text), names)
    comments = None if found is None else next((found[key] for key in found if key.lower() in (COMMENTS, "comment")), None)
    return comments if isinstance(comments, str) and comments.strip() else None
