"""What a running server really does: seeds, temperature, names, room, adapters, log-probabilities."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from ns_eval.checks import fingerprint
from ns_eval.checks.lines import Line
from ns_eval.client import Client
from ns_eval.endpoint import Endpoint, body
from ns_eval.errors import NsError, ServerError
from ns_eval.records import Generation, Request, Sampling, loads
from ns_eval.replies import CONTEXT_EXCEEDED

_SEEDS = 16
_HOT = 0.7
_ANSWER_TOKENS = 48
_TIMEOUT_S = 600.0
_STRANGER = "ns-check-no-such-model"
_ASK = "Tell a very short story about a number that you like."


@dataclass(frozen=True, slots=True)
class Target:
    """A server under test. `chat` is the route that the run takes, `seeds_hold` whether its type promises that a seed gives
    its text again, `longest` the longest request of each benchmark, `model` what its fingerprints are kept under.
    """

    endpoint: Endpoint
    chat: bool
    seeds_hold: bool
    engine: str
    model: str
    run: str
    longest: Mapping[str, Request] = field(default_factory=dict)
    adapters: Mapping[str, Endpoint] = field(default_factory=dict)


async def probed(target: Target) -> list[Line]:
    """Every check of a server that answers."""
    async with Client(target.endpoint) as client:
        lines = [await _name(client, target)]
        try:
            lines += await _sampling(client, target)
            lines += [await _room(client, name, request) for name, request in target.longest.items()]
        except NsError as error:
            lines.append(Line("fail", "requests", error.message, error.hint or ""))
    lines += [await _adapter(target, name, endpoint) for name, endpoint in target.adapters.items()]
    return [*lines, *await _fingerprint(target)]


def _request(target: Target, seed: int, temperature: float, text: str = _ASK, tokens: int = _ANSWER_TOKENS) -> Request:
    sampling = Sampling(temperature=temperature, max_tokens=tokens)
    if target.chat:
        return Request("check", seed, sampling, messages=({"role": "user", "content": text},))
    return Request("check", seed, sampling, text=text)


async def _name(client: Client, target: Target) -> Line:
    """Whether another model's name is noticed: who answers to any name proves nothing by answering."""
    stranger = body(replace(target.endpoint, model=_STRANGER), _request(target, 0, 0.0, tokens=1))
    path = "/chat/completions" if target.chat else "/completions"
    try:
        status, _ = await client.fetch(path, stranger, timeout_s=_TIMEOUT_S)
        listed = await _listed(client)
    except ConnectionError as error:
        return Line("fail", "model name", f"the server does not answer: {error}", "see its log")
    own = target.endpoint.model
    if status != 200:
        return Line("ok", "model name", f"`{own}` answers, a wrong name is refused ({status})")
    if own in listed:
        return Line("ok", "model name", f"it answers to any name, but its list of models holds `{own}`")
    there = f"its list of models holds {', '.join(f'`{name}`' for name in listed)}" if listed else "it lists no models"
    return Line(
        "fail",
        "model name",
        f"it answers to any name, and {there}: nothing shows that `{own}` is what answers",
        "give the name that the server lists as --model, or ask who runs it which model that is",
    )


async def _listed(client: Client) -> list[str]:
    status, raw = await client.fetch("/models", timeout_s=_TIMEOUT_S)
    try:
        return [str(item["id"]) for item in loads(raw)["data"]] if status == 200 else []
    except (ValueError, KeyError, TypeError):
        return []


async def _sampling(client: Client, target: Target) -> list[Line]:
    """Seeds and temperature, told from each other by three small sets of answers."""
    hot = await _answers(client, [_request(target, seed, _HOT) for seed in range(_SEEDS)])
    again = await _answers(client, [_request(target, seed, _HOT) for seed in range(_SEEDS)][::-1])
    cold = await _answers(client, [_request(target, seed, 0.0) for seed in range(4)])
    failed = next((item.error for item in (*hot, *again, *cold) if item.error), None)
    if failed:
        return [Line("fail", "sampling", f"a small request fails: {failed}", "see the server's log")]
    texts = [item.text for item in hot]
    greedy = {item.text for item in cold}
    lines = [_seeds(texts, greedy), _temperature(texts, greedy)]
    same = sum(one.text == other.text for one, other in zip(hot, again[::-1], strict=True))
    if len(set(texts)) > 1:
        lines.append(_repeated(same, target.seeds_hold))
    return lines


def _seeds(texts: Sequence[str], greedy: set[str]) -> Line:
    different = len(set(texts))
    if different == 1 and set(texts) != greedy:
        return Line(
            "fail",
            "seeds",
            f"{_SEEDS} seeds at temperature {_HOT} give one and the same text: pass@k would be pass@1",
            "the server keeps a seed of its own, or a cache stands before it: see its options",
        )
    if different == 1:
        return Line("fail", "seeds", f"{_SEEDS} seeds at temperature {_HOT} give one and the same text", "see temperature")
    said = f"{_SEEDS} seeds give {different} different texts"
    if different < _SEEDS // 2:
        return Line("warn", "seeds", said, "a model this sure of itself gains little from seeds")
    return Line("ok", "seeds", said)


def _temperature(texts: Sequence[str], greedy: set[str]) -> Line:
    if set(texts) == greedy and len(greedy) == 1:
        return Line(
            "fail",
            "temperature",
            f"temperature {_HOT} gives the text of temperature 0 with every seed: it has no effect",
            "transformers serve ignores it unless generation_config.json says do_sample: true",
        )
    if len(greedy) > 1:
        return Line(
            "fail",
            "temperature",
            f"temperature 0 gives {len(greedy)} different texts of 4: it has no effect, or the engine is not deterministic",
            "a greedy run (benchmark:0) would be one random sample",
        )
    return Line("ok", "temperature", f"0 gives one text, {_HOT} others")


def _repeated(same: int, promised: bool) -> Line:
    said = f"the same seed gives the same text {same} times of {_SEEDS}"
    if same >= _SEEDS - 1:
        return Line("ok", "same seed", said)
    todo = "samples cannot be asked for again; a run's figures are not reproducible to the digit"
    return Line("warn", "same seed", said if promised else f"{said}; this server type promises none", todo)


async def _answers(client: Client, requests: Sequence[Request]) -> list[Generation]:
    return await asyncio.gather(*(client.complete(request, timeout_s=_TIMEOUT_S) for request in requests))


async def _room(client: Client, name: str, request: Request) -> Line:
    """Whether the longest question of a benchmark fits, and what it leaves for the answer."""
    title = f"longest {name}"
    asked = request.sampling.max_tokens
    one = replace(request, sampling=replace(request.sampling, max_tokens=1))
    found = await client.complete(one, timeout_s=_TIMEOUT_S)
    if found.error is not None:
        todo = "a larger context (--server_args), or another model"
        if found.error.startswith(CONTEXT_EXCEEDED):
            return Line("fail", title, f"question {request.question_id} does not fit: {found.error}", todo)
        return Line("fail", title, f"question {request.question_id} fails: {found.error}", "see the server's log")
    length, context = found.prompt_tokens, client.endpoint.context
    if length is None or context is None:
        return Line("ok", title, f"question {request.question_id} is answered; the server does not tell its context")
    room = context - length
    said = f"question {request.question_id} has {length} tokens of a context of {context}"
    if asked is not None and room < asked:
        shorter = f"++inference.tokens_to_generate={room}"
        todo = f"{shorter}, a larger context, or ++server.context_limit_retry_strategy=reduce_generation"
        return Line("warn", title, f"{said}, {asked} are wanted for the answer and {room} are left", todo)
    return Line("ok", title, f"{said}, {room} are left for the answer")


async def _adapter(target: Target, name: str, endpoint: Endpoint) -> Line:
    title = f"adapter {name}"
    try:
        if not await fingerprint.require_effect(target.endpoint, {name: endpoint}):
            return Line("ok", title, "it changes the log-probabilities of a fixed text")
        texts = [await _greedy(target, asked) for asked in (target.endpoint, endpoint)]
    except ServerError as error:
        return Line("fail", title, error.message, error.hint or "")
    if texts[0] != texts[1]:
        return Line("ok", title, "its greedy text is another than the base's")
    return Line(
        "warn",
        title,
        "the server tells no log-probabilities, and the greedy text is the base's",
        "it may change nothing: compare a few answers by hand",
    )


async def _greedy(target: Target, endpoint: Endpoint) -> list[str]:
    asks = (_ASK, "What is 17 * 23?", "Name three colours.", "Why is the sky blue?")
    async with Client(endpoint) as client:
        found = await _answers(client, [_request(target, 0, 0.0, text=text) for text in asks])
    failed = next((item.error for item in found if item.error), None)
    if failed:
        raise ServerError(f"{endpoint.base_url} does not answer as `{endpoint.model}`: {failed}")
    return [item.text for item in found]


async def _fingerprint(target: Target) -> list[Line]:
    taken = await fingerprint.take(target.endpoint)
    if taken is None:
        return [Line("ok", "log-probabilities", "the server tells none on its text route: earlier runs cannot be compared")]
    lines = [distance_line(seen, far) for seen, far in fingerprint.compared(taken, fingerprint.earlier(target.model))]
    fingerprint.keep(target.model, target.engine, target.run, taken)
    return lines or [Line("ok", "log-probabilities", "kept, for later runs of this model to be compared with")]


def distance_line(seen: fingerprint.Seen, far: fingerprint.Distance) -> Line:
    """How far the model is from what an earlier run saw of it."""
    said = (
        f"{far.nats:.3g} nats a token from {seen.engine} ({seen.run}), "
        f"the likeliest token is the same at {far.same_first} of {far.places} places"
    )
    if far.nats <= fingerprint.SAME:
        return Line("ok", "log-probabilities", said)
    if far.nats <= fingerprint.NEAR:
        return Line(
            "warn", "log-probabilities", said, "another precision or quantisation: do not mix the two in one comparison"
        )
    todo = "these are two models: compare config.json (rope_theta, dtype), the conversion and the engine's version"
    return Line("fail", "log-probabilities", said, todo)
