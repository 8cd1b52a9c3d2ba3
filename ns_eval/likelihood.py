"""How likely the model holds a text that it has not written: each option of a multiple choice, or a reference.

    POST /completions  {"prompt": "Question: …\nAnswer: Paris", "echo": true, "logprobs": 1, "max_tokens": 1}

One request an option. A token counts when it begins behind the question, as its offset says; so what a tokenizer joins
across the border belongs to the question. The likeliest option is the answer (acc); by byte of its text is acc_norm, which
does not favour short ones. Of a reference every token is kept: the prompt is also asked alone, to count its own tokens.
"""

from __future__ import annotations

import asyncio
import dataclasses
import math
import string
from collections.abc import Awaitable, Callable, Mapping, Sequence

from ns_eval.errors import ServerError
from ns_eval.records import Generation, Json, Question, Request

# What is compared: the text of each option, or its letter behind the listed options.
WAYS = ("text", "letter")
Ask = Callable[[Request], Awaitable[Generation]]


def continuations(question: Question, way: str) -> list[str]:
    """What stands behind the question for each option, with the blank before it."""
    choices = question.meta["choices"]
    if way == "letter":
        return [f" {letter}" for letter in string.ascii_uppercase[: len(choices)]]
    return [f" {choice}" for choice in choices]


async def answer(ask: Ask, asked: Request, question: Question, way: str) -> Generation:
    """The letter of the likeliest option as the text; `meta["likelihood"]` holds each option's log-probability and bytes.

    Raises:
        ServerError: the server gives no log-probabilities of a prompt.
    """
    options = continuations(question, way)
    prompt = (asked.text or "").rstrip()
    extra = {**asked.sampling.extra_body, "echo": True}
    sampling = dataclasses.replace(asked.sampling, max_tokens=1, temperature=0.0, top_logprobs=1, stop=(), extra_body=extra)
    replies = await asyncio.gather(
        *(ask(dataclasses.replace(asked, text=prompt + option, sampling=sampling)) for option in options)
    )
    failed = next((reply for reply in replies if reply.error is not None), None)
    if failed is not None:
        return failed
    found = [behind(reply.meta.get("logprobs"), prompt, option) for reply, option in zip(replies, options, strict=True)]
    best = max(range(len(options)), key=lambda index: found[index])
    kept = [[value, len(option.encode())] for value, option in zip(found, options, strict=True)]
    return dataclasses.replace(
        merged(replies),
        text=f"\\boxed{{{string.ascii_uppercase[best]}}}",
        finish_reason="stop",
        meta={"likelihood": kept},
    )


def behind(logprobs: Json, prompt: str, option: str) -> float:
    """The sum of the log-probabilities of an option's tokens.

    Raises:
        ServerError: there are none of the prompt: the server did not echo it.
    """
    given = logprobs if isinstance(logprobs, Mapping) else {}
    offsets, values = given.get("text_offset") or (), given.get("token_logprobs") or ()
    start, end = len(prompt), len(prompt) + len(option)
    # The first offset of an echoed prompt is 0; servers differ in whether a blank belongs to the token behind it.
    inside = [value for offset, value in zip(offsets, values, strict=False) if start <= offset < end]
    if not offsets or offsets[0] >= end or not inside or any(value is None for value in inside):
        raise ServerError(
            "the server gives no log-probabilities of the prompt",
            hint="leave ++scoring=likelihood out: the letter is generated",
        )
    return math.fsum(inside)


async def of_reference(ask: Ask, asked: Request, reference: str) -> Generation:
    """`meta["reference_logprobs"]` holds the log-probability of every token of the reference behind the text of `asked`.

    Raises:
        ServerError: the server gives no log-probabilities of a prompt.
    """
    plain = dataclasses.replace(asked.sampling, max_tokens=1, temperature=0.0, stop=())
    echoing = dataclasses.replace(plain, top_logprobs=1, extra_body={**plain.extra_body, "echo": True})
    whole = dataclasses.replace(asked, text=f"{asked.text}{reference}", sampling=echoing)
    replies = await asyncio.gather(ask(dataclasses.replace(asked, sampling=plain)), ask(whole))
    failed = next((reply for reply in replies if reply.error is not None), None)
    if failed is not None:
        return failed
    head, end = (reply.prompt_tokens or 0 for reply in replies)
    given = replies[1].meta.get("logprobs")
    values = (given.get("token_logprobs") or [])[head:end] if isinstance(given, Mapping) else []
    if not 0 < head < end or len(values) != end - head or None in values:
        raise ServerError(
            "the server gives no log-probabilities of the prompt",
            hint="leave ++reference_logprobs=true out: `ns compare --perplexity` computes them with transformers",
        )
    return dataclasses.replace(merged(replies), meta={"reference_logprobs": values})


def merged(replies: Sequence[Generation]) -> Generation:
    """What asking for all options took."""
    return dataclasses.replace(
        replies[0],
        prompt_tokens=sum(reply.prompt_tokens or 0 for reply in replies),
        completion_tokens=0,
        seconds=max(reply.seconds for reply in replies),
        started=min(reply.started for reply in replies),
        ended=max(reply.ended for reply in replies),
        attempts=max(reply.attempts for reply in replies),
    )
