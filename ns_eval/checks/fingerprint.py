"""The log-probabilities of a fixed text: two engines can load one folder and not compute one model.

At some places of the text the likeliest next tokens are asked for. They are kept for each model, whatever engine, precision
or conversion served it, so that the next run can say how far it is from the earlier ones.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

import msgspec

from ns_eval.client import Client
from ns_eval.endpoint import Endpoint, body
from ns_eval.errors import ServerError
from ns_eval.files import replacing
from ns_eval.records import Json, Request, Sampling, loads

_TEXT = (
    "Solve the following math problem. Anna has 12 apples and buys 3 bags of 15 apples each. How many apples does she have? "
    "Bought: 3 * 15 = 45. Total: 12 + 45 = 57. The final answer is 57."
)
# The places: behind these words. Where a word ends a tokenizer's piece ends as well, in every family.
_PLACES = range(4, len(_TEXT.split()), 3)
_TOP = 5
# What an adapter is asked beside each place of its base: enough that the two are computed together.
_COMPANY_TOKENS = 64
_TIMEOUT_S = 120.0
# Mean difference in nats a token. Measured on tinymath's F16 file: 0.006 to F32, 0.06 to Q8_0, 1.2 with its adapter.
SAME, NEAR = 0.02, 0.2


class Fingerprint(msgspec.Struct, frozen=True):
    """Of each place the likeliest next tokens with their log-probabilities, natural."""

    places: list[dict[str, float]]


class Seen(msgspec.Struct, frozen=True):
    """A fingerprint as it was once taken."""

    engine: str
    run: str
    when: float
    fingerprint: Fingerprint


@dataclass(frozen=True, slots=True)
class Distance:
    """How far two fingerprints are apart: nats a token, over the tokens that both know, and at how many places the likeliest
    token is the same."""

    nats: float
    same_first: int
    places: int


async def take(endpoint: Endpoint) -> Fingerprint | None:
    """The fingerprint of what answers there; None where the server gives no log-probabilities on its text route."""
    found = []
    async with Client(endpoint) as client:
        for text in _starts():
            first = await next_tokens(client, text)
            if first is None:
                return None
            found.append(first)
    return Fingerprint(found)


def _starts() -> list[str]:
    """The text up to each of the places."""
    words = _TEXT.split()
    return [" ".join(words[:place]) for place in _PLACES]


async def next_tokens(client: Client, text: str) -> dict[str, float] | None:
    """The likeliest tokens behind a text; None where the server does not tell them."""
    # Temperature 1: some engines divide the log-probabilities by it.
    request = Request("fingerprint", 0, Sampling(temperature=1.0, max_tokens=1, top_logprobs=_TOP), text=text)
    try:
        status, raw = await client.fetch("/completions", body(client.endpoint, request), timeout_s=_TIMEOUT_S)
        return _tokens(loads(raw)["choices"][0]["logprobs"]) if status == 200 else None
    except (ConnectionError, ValueError, KeyError, IndexError, TypeError, AttributeError):
        return None


def _tokens(logprobs: Mapping[str, Json]) -> dict[str, float] | None:
    """llama.cpp answers the text route in the chat route's form."""
    if logprobs.get("content"):
        listed = logprobs["content"][0].get("top_logprobs") or []
        return {str(item["token"]): float(item["logprob"]) for item in listed} or None
    top = (logprobs.get("top_logprobs") or [None])[0]
    return {str(token): float(value) for token, value in top.items()} if top else None


def distance(one: Fingerprint, other: Fingerprint) -> Distance:
    """Mean absolute difference over the tokens that both name; a place without a common token counts as 10 nats."""
    differences: list[float] = []
    first = 0
    for here, there in zip(one.places, other.places, strict=False):
        differences += _differences(here, there)
        first += max(here, key=lambda token: here[token]) == max(there, key=lambda token: there[token])
    return Distance(sum(differences) / max(1, len(differences)), first, len(one.places))


def _differences(here: Mapping[str, float], there: Mapping[str, float]) -> list[float]:
    return [abs(here[token] - there[token]) for token in here.keys() & there.keys()] or [10.0]


def book(model: str) -> Path:
    """Where the fingerprints of a model are kept."""
    return Path.home() / ".cache" / "ns-eval" / "fingerprints" / f"{hashlib.sha256(model.encode()).hexdigest()[:32]}.json"


def earlier(model: str) -> list[Seen]:
    """What was seen of a model, oldest first."""
    try:
        return msgspec.json.decode(book(model).read_bytes(), type=list[Seen])
    except (OSError, msgspec.DecodeError):
        return []


def keep(model: str, engine: str, run: str, fingerprint: Fingerprint) -> None:
    """Adds a fingerprint; of each engine the first and the last are kept. A home that cannot be written keeps nothing."""
    known = earlier(model)
    here = [seen for seen in known if seen.engine == engine]
    others = [seen for seen in known if seen.engine != engine]
    path = book(model)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing(path, durable=False) as file:
            file.write(msgspec.json.encode([*others, *here[:1], Seen(engine, run, time.time(), fingerprint)]))
    except OSError:
        return


def compared(fingerprint: Fingerprint, known: Sequence[Seen]) -> list[tuple[Seen, Distance]]:
    """How far it is from each that was seen, the farthest first."""
    found = [(seen, distance(fingerprint, seen.fingerprint)) for seen in known]
    return sorted(found, key=lambda item: -item[1].nats)


async def require_effect(base: Endpoint, adapters: Mapping[str, Endpoint]) -> list[str]:
    """Refuses adapters that change nothing, and a base that they change; names those of which the server does not tell.

    Raises:
        ServerError: an adapter's log-probabilities are the base's, or the base has the adapter's while both are asked.
    """
    plain = await take(base)
    unknown = []
    for name, endpoint in adapters.items():
        adapted = await take(endpoint) if plain is not None else None
        if plain is None or adapted is None:
            unknown.append(name)
        elif plain.places == adapted.places or distance(plain, adapted).nats < 1e-5:
            raise ServerError(
                f"adapter {name} changes nothing: {base.base_url} gives the base's log-probabilities under its name",
                hint="its weights may be zero, or the server may answer with the base: ns check shows more",
            )
        elif _leaks(plain, adapted, await _beside(base, endpoint)):
            raise ServerError(
                f"adapter {name} leaks into the base: asked at the same time, {base.base_url} answers for the base with it",
                hint="serve it merged: ns convert --convert_to=hf --adapter=…, and ask that as a model of its own",
            )
    return unknown


async def _beside(base: Endpoint, adapter: Endpoint) -> Fingerprint:
    """The base's fingerprint while the adapter answers: an engine computes both in one batch then."""
    company = Sampling(temperature=1.0, max_tokens=_COMPANY_TOKENS)
    async with Client(adapter) as beside, Client(base) as client:
        busy = [
            asyncio.ensure_future(beside.complete(Request("company", row, company, text=text), timeout_s=_TIMEOUT_S))
            for row, text in enumerate(_starts())
        ]
        found = await asyncio.gather(*(next_tokens(client, text) for text in _starts()))
        await asyncio.gather(*busy)
    return Fingerprint([place or {} for place in found])


def _leaks(plain: Fingerprint, adapted: Fingerprint, beside: Fingerprint) -> bool:
    """Whether the base, asked beside the adapter, is nearer to it than to itself, at a place where they clearly differ."""
    places = zip(plain.places, adapted.places, beside.places, strict=True)
    return any(
        mean(_differences(own, other)) > NEAR and mean(_differences(now, other)) < mean(_differences(now, own))
        for own, other, now in places
        if now
    )
