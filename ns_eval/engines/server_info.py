"""What a server says of itself: which models it serves, how much fits, and whether it really answers a request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

from ns_eval.client import Client
from ns_eval.endpoint import Endpoint, body
from ns_eval.errors import ServerError
from ns_eval.pace import Pace
from ns_eval.records import Json, Request, Sampling, loads
from ns_eval.replies import Fault, is_html, read_answer, read_refusal, refusal

_MODELS_S = 30.0
_REFUSES = "'++server.refuses=[temperature,top_p]'"


class NotReady(ServerError):
    """Nobody listens yet, or a server says that it is still loading: asking again later may help."""


@dataclass(frozen=True, slots=True)
class ServerInfo:
    """`models`: the ids under /v1/models, empty where that route is missing. `answered_as`: the name in the answer.

    `context` is in tokens for prompt and answer together, where the server tells it; `pace` what it still takes this minute.
    """

    models: tuple[str, ...]
    answered_as: str
    context: int | None
    pace: Pace = field(default_factory=Pace, compare=False, repr=False)


async def probe(endpoint: Endpoint, *, chat: bool = True, timeout_s: float = 120.0) -> ServerInfo:
    """Asks for the list of models and for one real token, since a server without tokenizer or template is "healthy" too.

    Raises:
        NotReady: nobody answers, or it answers 429, 5xx or half an answer.
        ServerError: key refused, model unknown, a web page, no chat template: what waiting does not mend.
    """
    async with Client(endpoint) as client:
        try:
            models = await _models(client)
            request = Request("probe", 0, Sampling(max_tokens=1), *_hello(chat))
            path = "/chat/completions" if chat else "/completions"
            status, raw = await client.fetch(path, body(endpoint, request), timeout_s=timeout_s)
        except ConnectionError as error:
            raise NotReady(
                f"no server answers at {endpoint.base_url} ({error})",
                hint=f"start it, or correct --server_address; `curl {endpoint.base_url}/models` should list the model",
            ) from error
    answered_as = _answered_as(endpoint, status, raw)
    listed = models.get(endpoint.model)
    return ServerInfo(tuple(models), answered_as, _context(listed) if listed else None, client.pace)


def _hello(chat: bool) -> tuple[tuple[Mapping[str, Json], ...] | None, str | None]:
    return (({"role": "user", "content": "Say hello."},), None) if chat else (None, "Hello")


async def _models(client: Client) -> dict[str, dict[str, Json]]:
    """Id -> what /v1/models says of it, under each of its names; empty where the route is missing.

    A list that does not hold our model ends it here: llama.cpp and SGLang answer any name with what they have loaded.
    """
    endpoint = client.endpoint
    status, raw = await client.fetch("/models", timeout_s=_MODELS_S)
    if status in (401, 403) or 300 <= status < 400 or (is_html(raw) and status == 200):
        raise refusal(endpoint, status, raw)
    if status == 503:
        raise NotReady(f"{endpoint.base_url} answers 503: {raw[:200].decode(errors='replace')}")
    try:
        listed = loads(raw)["data"] if status == 200 else []
        models = {name: item for item in listed for name in (item["id"], *(item.get("aliases") or ()))}
    except (ValueError, KeyError, TypeError):
        models = {}
    # An adapter is asked for as base:name, and some gateways list a selection only: more than a screenful proves nothing.
    if models and len(models) <= 20 and endpoint.model not in models and endpoint.model.partition(":")[0] not in models:
        names = ", ".join(f"`{name}`" for name in models)
        raise ServerError(
            f"{endpoint.base_url} serves {names}, not `{endpoint.model}`", hint=f"--model={next(iter(models))}"
        )
    return models


def _answered_as(endpoint: Endpoint, status: int, raw: bytes) -> str:
    if status == 200 and not is_html(raw):
        found = read_answer(raw)
        if isinstance(found, Fault):
            # Half an answer is a bad moment; a whole one of another shape is another kind of server.
            kind = ServerError if _is_json(raw) else NotReady
            raise kind(f"{endpoint.base_url} does not answer like an OpenAI-compatible API: {found.message}")
        return str(loads(raw).get("model", ""))
    if status in (200, 401, 403, 404, 405) or 300 <= status < 400:
        raise refusal(endpoint, status, raw)
    fault = read_refusal(status, raw, None)
    said = fault.message if isinstance(fault, Fault) else "the request was filtered"
    if "output limit was reached" in said:
        # A reasoning model of OpenAI that had one token to think with: it is there.
        return endpoint.model
    if status >= 500 or status == 429:
        raise NotReady(f"{endpoint.base_url} answers {status}: {said}")
    raise ServerError(f"{endpoint.base_url} refuses a one-token request ({status}): {said}", hint=_hint(said))


def _is_json(raw: bytes) -> bool:
    try:
        loads(raw)
    except ValueError:
        return False
    return True


def _hint(said: str) -> str | None:
    if "chat template" in said or "chat_template" in said:
        return "the checkpoint has no chat template: use ++inference.endpoint_type=text with --prompt_template=…"
    if "max_completion_tokens" in said:
        return f"a reasoning model: add ++server.renames.max_tokens=max_completion_tokens and {_REFUSES}"
    if re.search(r"unsupported.*\b(temperature|top_p)\b", said, re.IGNORECASE):
        return f"a reasoning model: add {_REFUSES}, and its own defaults apply"
    if "cannot be empty" in said:
        return "the checkpoint's folder lacks its tokenizer files (tokenizer.json, tokenizer_config.json)"
    return None


def _context(model: Mapping[str, Json]) -> int | None:
    """vLLM and SGLang say `max_model_len`, llama.cpp `meta.n_ctx` (a slot's share)."""
    found = model.get("max_model_len") or (model.get("meta") or {}).get("n_ctx")
    return found if isinstance(found, int) else None
