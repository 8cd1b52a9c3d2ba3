"""What is done where prompt and answer do not fit the context: nothing, or one of NeMo-Skills' three strategies.

    reduce_generation           the answer gets the room that is left
    reduce_prompt_from_start    the front of the prompt is cut off, so that the answer has its room
    reduce_prompt_from_end      its end is

A prompt is cut by the server's own tokens (its /tokenize and /detokenize routes). Of chat messages the longest text is cut,
of a rendered prompt the whole. Where no number of tokens is asked for the answer, it gets a quarter of the context. What was
done stands in the sample.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from ns_eval.endpoint import Endpoint
from ns_eval.records import Json, Request, dumps, loads
from ns_eval.replies import context_told

STRATEGIES = ("", "reduce_generation", "reduce_prompt_from_start", "reduce_prompt_from_end")
CUTS = STRATEGIES[2:]
# Tokens that a chat template puts around the messages; NeMo-Skills' num_special_tokens_budget.
_TEMPLATE_TOKENS = 100
_TIMEOUT_S = 60.0
_OPEN_END = 4

# (route, content) -> (status, body), for routes beside /v1.
Fetch = Callable[[str, bytes], Awaitable[tuple[int, bytes]]]


async def cut(request: Request, endpoint: Endpoint, complaint: str, fetch: Fetch) -> tuple[Request, int] | None:
    """The request with a shorter prompt, and how many tokens it lost; None where it cannot be known or no room is left.

    `complaint` is the server's refusal: the context is read from it where the server did not tell it before.
    """
    context = endpoint.context or context_told(complaint)
    content, place = _longest(request)
    if context is None or not content:
        return None
    tokens = await _tokens(endpoint, content, fetch)
    others = await _others(request, endpoint, place, fetch)
    wanted = request.sampling.max_tokens or context // _OPEN_END
    kept = context - wanted - others - (_TEMPLATE_TOKENS if request.messages is not None else 2)
    if tokens is None or kept < 1 or kept >= len(tokens):
        return None
    from_start = endpoint.context_strategy == "reduce_prompt_from_start"
    text = await _text(endpoint, tokens[-kept:] if from_start else tokens[:kept], fetch)
    return None if text is None else (_with(request, place, text), len(tokens) - kept)


def _longest(request: Request) -> tuple[str, int]:
    """The text to be cut, and the place of its message."""
    if request.messages is None:
        return request.text or "", 0
    texts = [message["content"] if isinstance(message["content"], str) else "" for message in request.messages]
    place = max(range(len(texts)), key=lambda index: len(texts[index]))
    return texts[place], place


def _with(request: Request, place: int, text: str) -> Request:
    if request.messages is None:
        return replace(request, text=text)
    messages = [*request.messages]
    messages[place] = {**messages[place], "content": text}
    return replace(request, messages=tuple(messages))


async def _others(request: Request, endpoint: Endpoint, place: int, fetch: Fetch) -> int:
    """Tokens of the messages that stay whole."""
    texts = [str(message["content"]) for index, message in enumerate(request.messages or ()) if index != place]
    return len(await _tokens(endpoint, "\n".join(texts), fetch) or []) if texts else 0


async def _tokens(endpoint: Endpoint, text: str, fetch: Fetch) -> list[int] | None:
    """llama.cpp calls the text `content`, vLLM and SGLang `prompt`."""
    asked = {"model": endpoint.model, "prompt": text, "content": text, "add_special_tokens": False, "add_special": False}
    found = await _said(fetch, "/tokenize", asked)
    tokens = found.get("tokens")
    return [int(token) for token in tokens] if isinstance(tokens, list) else None


async def _text(endpoint: Endpoint, tokens: list[int], fetch: Fetch) -> str | None:
    """llama.cpp answers with `content`, vLLM with `prompt`, SGLang with `text`."""
    found = await _said(fetch, "/detokenize", {"model": endpoint.model, "tokens": tokens})
    text = found.get("content", found.get("prompt", found.get("text")))
    return text if isinstance(text, str) else None


async def _said(fetch: Fetch, route: str, asked: dict[str, Json]) -> dict[str, Json]:
    try:
        status, raw = await fetch(route, dumps(asked))
        found = loads(raw) if status == 200 else {}
    except (ConnectionError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
