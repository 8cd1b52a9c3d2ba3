"""Several questions in one conversation: each turn is asked with all replies before it, as MT-Bench does."""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Sequence

from ns_eval.records import Generation, Question, Request


def turns_of(question: Question) -> tuple[str, ...]:
    """The user's turns of a question in its column `turns`; empty where there is one alone, its problem."""
    turns = question.meta.get("turns")
    if not isinstance(turns, list) or len(turns) < 2 or not all(isinstance(turn, str) for turn in turns):
        return ()
    return tuple(turns)


async def converse(ask: Callable[[Request], Awaitable[Generation]], first: Request, later: Sequence[str]) -> Generation:
    """The reply to the last turn; `meta["earlier_replies"]` holds those before it. Tokens and seconds are of all turns.

    A turn that fails ends the conversation: what comes back is that failure.
    """
    messages = list(first.messages or ())
    replies: list[Generation] = []
    for turn in (None, *later):
        if turn is not None:
            messages += [{"role": "assistant", "content": replies[-1].text}, {"role": "user", "content": turn}]
        replies.append(await ask(dataclasses.replace(first, messages=tuple(messages))))
        if replies[-1].error is not None:
            break
    last = replies[-1]
    return dataclasses.replace(
        last,
        prompt_tokens=_sum([reply.prompt_tokens for reply in replies]),
        completion_tokens=_sum([reply.completion_tokens for reply in replies]),
        seconds=sum(reply.seconds for reply in replies),
        started=replies[0].started,
        meta={**last.meta, "earlier_replies": [reply.text for reply in replies[:-1]]},
    )


def _sum(counts: Sequence[int | None]) -> int | None:
    return None if None in counts else sum(count or 0 for count in counts)
