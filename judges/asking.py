"""What every model judge shares: resolved prompts, what of a sample is shown, asking again, one key for equal calls."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import string
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from judges.answers import Extraction, extract
from judges.replies import after_thinking
from judges.shown import capped, defused, fence
from ns_eval import prompts
from ns_eval.errors import UsageError
from ns_eval.prompts import Prompt
from ns_eval.records import Generation, Json, Question, Sample, Sampling, Verdict
from ns_eval.replies import CONTEXT_EXCEEDED

# The first two asks are the same message (a server is not quite deterministic at temperature 0), the others add a reminder.
MOST_ASKS = 4
_PLAIN_ASKS = 2


def resolved(prompt: str | Mapping[str, Any] | Prompt) -> Prompt:
    """A prompt by name or path, or as the plain data that `plain` makes of it.

    Raises:
        UsageError: an unknown prompt, or plain data that is none.
    """
    if isinstance(prompt, Prompt):
        return prompt
    if isinstance(prompt, str):
        return prompts.load(prompt)
    try:
        return Prompt(**{key: value for key, value in prompt.items() if key != "template"})
    except TypeError as error:
        raise UsageError(f"a judge's prompt: {error}", hint="give its name, such as judge/math") from error


def plain(prompt: Prompt) -> dict[str, Json]:
    """The prompt as JSON values; a judge speaks chat, so it has no template."""
    return {key: value for key, value in dataclasses.asdict(prompt).items() if key != "template"}


def prompt_hash(used: Sequence[Prompt], *more: Json) -> str:
    """Sixteen hex digits of everything that words the question: prompts, and a rubric where there is one."""
    text = json.dumps([[plain(prompt) | {"name": ""} for prompt in used], *more], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def fields_of(prompt: Prompt) -> set[str]:
    """The columns that a prompt asks for."""
    texts = (prompt.user, prompt.system or "")
    return {name for text in texts for _, name, _, _ in string.Formatter().parse(text) if name is not None}


@dataclass(frozen=True, slots=True)
class Shown:
    """Texts of the judged model, made harmless: what fills a prompt's fields, and how much was taken out."""

    values: Mapping[str, str]
    defused: int

    @classmethod
    def of(cls, texts: Mapping[str, str], criteria: Sequence[str] = (), characters: int = 40_000) -> Shown:
        """Each text capped and defused, and the `fence` that none of them contains."""
        made = {name: defused(capped(text, characters), criteria) for name, text in texts.items()}
        values = {name: text for name, (text, _) in made.items()}
        return cls({**values, "fence": fence(*values.values())}, sum(count for _, count in made.values()))


def filled(prompt: Prompt, question: Question, values: Mapping[str, Json], reminder: str | None) -> list[dict[str, Any]]:
    """The messages: the question's columns, then `values`, which win; `reminder` ends the last message.

    Raises:
        DataError: the prompt asks for a field that is in neither.
    """
    # In `meta`, where a value wins over a column of the same name: no question replaces a fence.
    asked = dataclasses.replace(question, meta={**question.meta, **values})
    made = [dict(message) for message in prompts.request(prompt, asked, None, Sampling()).messages or ()]
    if reminder is not None:
        made[-1]["content"] = f"{made[-1]['content']}\n\n{reminder}"
    return made


def reminder_at(ask: int, text: str) -> str | None:
    """The reminder of the format, from the third ask on."""
    return text if ask > _PLAIN_ASKS else None


def again(reply: Generation, ask: int, *, readable: bool) -> bool:
    """Whether an unreadable reply is worth another ask. A failed request is not: the client has tried it again already."""
    return not readable and reply.error is None and ask < MOST_ASKS


def reply_error(reply: Generation) -> str | None:
    """Why a reply cannot hold a verdict; None where it came."""
    if reply.error is None:
        return None
    if reply.error.startswith(CONTEXT_EXCEEDED):
        return f"context overflow: {reply.error}"
    return f"the judge did not answer: {reply.error}"


def unparsed(reply: Generation) -> str:
    """Why there is no verdict in a reply that came."""
    if not after_thinking(reply.text).strip():
        return "unparsed: the reply is empty"
    tail = " ".join(reply.text.split())[-80:]
    cut = "it was cut at its token limit" if reply.finish_reason == "length" else "it ends"
    return f"unparsed: no verdict in the reply; {cut} `{tail}`"


def predicted_answer(sample: Sample) -> str | None:
    """The answer to judge: what a judge extracted, else the column of a NeMo-Skills file, else what the text boxes."""
    for verdict in sample.verdicts:
        if verdict.extracted is not None and verdict.extracted.strip():
            return verdict.extracted
    if sample.verdicts and any(verdict.comment == "no answer" for verdict in sample.verdicts):
        return None
    if "predicted_answer" in sample.question.meta:
        given = sample.question.meta["predicted_answer"]
        return None if given is None or not str(given).strip() else str(given)
    return extract(sample.generation.text, Extraction())


def canonical_answer(sample: Sample) -> str | None:
    """The form under which equal answers share a call: the symbolic judge's, else the text without blanks at its ends."""
    for verdict in sample.verdicts:
        if verdict.answer:
            return verdict.answer
    predicted = predicted_answer(sample)
    return None if predicted is None else unicodedata.normalize("NFC", predicted.strip())


def chance(seed: int, *what: str) -> float:
    """A number in [0, 1) that depends on the seed and the texts alone: the same on every machine and after every resume."""
    digest = hashlib.sha256("\0".join((str(seed), *what)).encode("utf-8", "surrogatepass")).digest()
    return int.from_bytes(digest[:7], "big") / 2**56


def key(hashed: str, messages: Sequence[Mapping[str, Json]]) -> str:
    """The call key of exactly these messages."""
    text = json.dumps([hashed, list(messages)], sort_keys=True)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:24]


def nothing_to_rate(name: str, sample: Sample) -> Verdict | None:
    """Why an answer cannot be rated; None where it can."""
    if sample.status == "error":
        return Verdict(name, None, comment="no_answer", error="not judged: the request for the answer failed")
    if not after_thinking(sample.generation.text).strip():
        return Verdict(name, None, comment="no_answer", error="not judged: the answer is empty")
    return None
