"""The columns that a judged row carries beside the verdict: enough to check the judge's work, or to read it again."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from judges.asking import Shown
from ns_eval.records import Generation, Json, Verdict


class Recorded(Protocol):
    """What a model judge says about itself."""

    name: str
    prompt_hash: str
    part_columns: tuple[str, ...]

    def settings(self) -> Mapping[str, Json]: ...

    def judgement(self, verdict: Verdict, reply: Generation | None) -> str | None: ...


@dataclass(frozen=True, slots=True)
class Call:
    """What was asked for one sample. `shared`: another sample of the same key paid for the call; `asks` counts from 1.

    `repeats` are the verdicts of independent replies to the same call, the counting one first; empty where it was not
    repeated.
    """

    model: str
    key: str
    replies: tuple[Generation, ...]
    shown: Shown
    asks: int = 1
    shared: bool = False
    repeats: tuple[Verdict, ...] = ()
    repeat_texts: tuple[str, ...] = ()


def row_columns(judge: Recorded, verdict: Verdict, call: Call | None) -> dict[str, Json]:
    """The columns of one judged row, beside those of `sample_row`; docs/judges.md lists them. `call` None: none was needed.

    The raw text of an equivalence judge is NeMo-Skills' `judgement`; what else is kept stands under `judging`.
    """
    said: Sequence[Generation | None] = call.replies if call else [None] * len(judge.part_columns)
    texts = [judge.judgement(verdict, reply) for reply in said]
    kept: dict[str, Json] = {
        "source": "model" if call else verdict.comment or "none",
        "status": status_of(verdict),
        "prompt_hash": judge.prompt_hash,
        "settings": dict(judge.settings()),
    }
    scale = getattr(judge, "scale", None)
    if scale is not None:
        kept["scale"] = list(scale)
    if call is not None:
        kept |= _call_columns(call)
    return {**dict(zip(judge.part_columns, texts, strict=True)), "judging": {judge.name: kept}}


def judged_row(row: Mapping[str, Json], columns: Mapping[str, Json]) -> dict[str, Json]:
    """A row with the columns of one more judge; what earlier judges left under `judging` stays."""
    judging = {**(row.get("judging") or {}), **columns["judging"]}
    return {**row, **columns, "judging": judging}


def status_of(verdict: Verdict) -> str:
    """ok, unparsed, context_overflow, not_judged or error (the request for the judgement failed)."""
    starts = {"unparsed": "unparsed", "context overflow": "context_overflow", "not judged": "not_judged"}
    if not verdict.error:
        return "ok"
    return next((status for start, status in starts.items() if verdict.error.startswith(start)), "error")


def _call_columns(call: Call) -> dict[str, Json]:
    kept: dict[str, Json] = {
        "model": call.model,
        "key": call.key,
        "shared": call.shared,
        "asks": call.asks,
        "defused": call.shown.defused,
        "shown_characters": sum(len(text) for name, text in call.shown.values.items() if name != "fence"),
    }
    if not call.shared:
        # Only where they were spent, so that a sum over the rows is what the judging cost.
        kept["num_input_tokens"] = total(reply.prompt_tokens for reply in call.replies)
        kept["num_generated_tokens"] = total(reply.completion_tokens for reply in call.replies)
        kept["seconds"] = sum(reply.seconds for reply in call.replies)
    if call.repeats:
        kept["repeats"] = [{"correct": verdict.correct, "scores": dict(verdict.scores)} for verdict in call.repeats]
        kept["repeat_texts"] = list(call.repeat_texts)
    return kept


def total(counts: Iterable[int | None]) -> int | None:
    """The sum; None where one of them is not known."""
    known = list(counts)
    return None if None in known else sum(count or 0 for count in known)
