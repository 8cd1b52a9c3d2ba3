"""The address of a model and its dialect: the bytes of a request as that server wants them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ns_eval.config import ServerConfig
from ns_eval.errors import UsageError
from ns_eval.records import Json, Request, dumps


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a model answers and what its server's request fields are called. `base_url` ends in /v1, without a slash.

    `renames` maps our name of a field to the server's. `neutral` is what is sent where a sampling value is off: left
    unsaid, llama.cpp samples with top_k 40 and min_p 0.05, vLLM and SGLang with the checkpoint's generation_config.json.
    `refuses` names, as we call them, the fields that the model answers with an error; they are left out. `extra` goes with
    every request. `text_limit` says that the text route answers 16 tokens unless it is told a number, `context_strategy`
    what is done where prompt and answer do not fit, instead of recording an error: see `context_limits`.
    """

    base_url: str
    model: str
    api_key: str = field(default="", repr=False)
    api_key_env: str = ""
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    renames: Mapping[str, str] = field(default_factory=dict)
    neutral: Mapping[str, Json] = field(default_factory=dict)
    extra: Mapping[str, Json] = field(default_factory=dict)
    context: int | None = None
    text_limit: bool = False
    context_strategy: str = ""
    refuses: tuple[str, ...] = ()
    key_headers: tuple[str, ...] = ("Authorization",)


def endpoint_of(server: ServerConfig, base_url: str, model: str) -> Endpoint:
    """The dialect of a server type at an address."""
    return Endpoint(
        base_url=base_url,
        model=model,
        renames=server.renames,
        neutral=server.neutral,
        context=server.context,
        text_limit=server.text_limit,
        context_strategy=server.context_limit_retry_strategy,
        refuses=tuple(server.refuses),
        headers=server.headers,
        key_headers=tuple(server.key_headers),
    )


def body(endpoint: Endpoint, request: Request, limit: int | None = None) -> bytes:
    """The JSON of one request; `limit` replaces its max_tokens.

    Raises:
        UsageError: the room that is left was asked for on a route that needs a number, and the context is not known.
    """
    sampling = request.sampling
    fields: dict[str, Json] = {"model": endpoint.model, "temperature": sampling.temperature}
    if request.messages is not None:
        fields["messages"] = request.messages
    else:
        fields["prompt"] = request.text
    _add_switchable(fields, endpoint, request)
    max_tokens = limit or sampling.max_tokens or _room(endpoint, request)
    if max_tokens is not None:
        fields["max_tokens"] = max_tokens
    if request.seed is not None:
        fields["seed"] = request.seed
    if sampling.stop:
        fields["stop"] = sampling.stop
    if sampling.top_logprobs is not None:
        _add_logprobs(fields, request.messages is not None, sampling.top_logprobs)
    for name in endpoint.refuses:
        fields.pop(name, None)
    for ours, theirs in endpoint.renames.items():
        if ours in fields:
            fields[theirs] = fields.pop(ours)
    return dumps({**fields, **endpoint.extra, **sampling.extra_body})


# Our field and the value at which it changes nothing.
NEUTRAL = {"top_p": 1.0, "top_k": -1, "min_p": 0.0, "repetition_penalty": 1.0}


def _add_switchable(fields: dict[str, Json], endpoint: Endpoint, request: Request) -> None:
    sampling = request.sampling
    for name, off in NEUTRAL.items():
        value = getattr(sampling, name)
        if value != off and not (name == "top_k" and value == 0):
            fields[name] = value
        elif name in endpoint.neutral:
            fields[name] = endpoint.neutral[name]


def _add_logprobs(fields: dict[str, Json], chat: bool, top: int) -> None:
    if chat:
        fields["logprobs"] = True
        fields["top_logprobs"] = top
    else:
        fields["logprobs"] = top


def _room(endpoint: Endpoint, request: Request) -> int | None:
    """max_tokens where the user set none: nothing, or the whole context on routes that otherwise stop at 16 tokens."""
    if request.messages is not None or not endpoint.text_limit:
        return None
    if endpoint.context is None:
        raise UsageError(
            f"the text route of {endpoint.base_url} stops at 16 tokens unless it is given a limit, "
            "and the server does not tell its context",
            hint="add ++inference.tokens_to_generate=N (or ++server.context=N)",
        )
    return endpoint.context
