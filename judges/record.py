"""The columns that a judged row carries beside the verdict: enough to check the judge's work, or to read it again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from ns_eval.records import Generation, Json, Verdict


class Recorded(Protocol):
    """What a model judge says about itself."""

    name: str
    prompt_hash: str
    part_columns: tuple[str, ...]

    def settings(self) -> Mapping[str, Json]: ...

    def judgement(self, verdict: Verdict, reply: Generation | None) -> str | None: ...


def row_columns(
    judge: Recorded,
    verdict: Verdict,
    replies: Sequence[Generation],
    *,
    model: str,
    call: Mapping[str, Json],
) -> dict[str, Json]:
    """The flat columns of one judged row; docs/judges.md lists them. The verdict itself is written by `sample_row`.

    `replies` are what the judge said, one for each part (both orders, two turns), empty where no call was needed; `call`
    holds what the loop knows: key, shared, asks, defused, repeats (verdicts and raw texts). The raw text of an equivalence
    judge is NeMo-Skills' `judgement`.
    """
    name = judge.name
    said: Sequence[Generation | None] = replies or [None] * len(judge.part_columns)
    texts = [judge.judgement(verdict, reply) for reply in said]
    columns: dict[str, Json] = {
        **dict(zip(judge.part_columns, texts, strict=True)),
        f"{name}_source": "model" if replies else verdict.comment or "none",
        f"{name}_status": _status(verdict),
        f"{name}_model": model,
        f"{name}_prompt_hash": judge.prompt_hash,
        f"{name}_settings": dict(judge.settings()),
    }
    if replies:
        columns[f"{name}_num_input_tokens"] = _total(replies, "prompt_tokens")
        columns[f"{name}_num_generated_tokens"] = _total(replies, "completion_tokens")
        columns[f"{name}_seconds"] = sum(reply.seconds for reply in replies)
    return columns | {f"{name}_{key}": value for key, value in call.items()}


def _status(verdict: Verdict) -> str:
    """ok, unparsed, context_overflow, error or not_judged."""
    error = verdict.error or ""
    starts = {"unparsed": "unparsed", "context overflow": "context_overflow", "not judged": "not_judged"}
    if not error:
        return "ok"
    return next((status for start, status in starts.items() if error.startswith(start)), "error")


def _total(replies: Sequence[Generation], name: str) -> int | None:
    counts = [getattr(reply, name) for reply in replies]
    return None if None in counts else sum(counts)
