"""What a server's reply means: an answer, a fault of one sample, or a refusal that concerns every request."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from ns_eval.endpoint import Endpoint
from ns_eval.errors import ServerError
from ns_eval.records import Generation, Json, dumps, loads

CONTEXT_EXCEEDED = "context_window_exceeded"

# The words in which servers say that prompt and answer do not fit: llama.cpp b7100, vLLM 0.32, SGLang 0.5.23,
# trtllm-serve 1.2, api.openai.com. All of them come as a 400, so the status alone says nothing.
_OVERFLOW = re.compile(
    r"exceed_context_size|context_length_exceeded|maximum context length|model's context length|context window|"
    r"exceeds the maximum allowed length|greater than max_model_len|max_completion_tokens is too large|"
    r"max_seq_len|max_num_tokens|exceeds? the available context size",
    re.IGNORECASE,
)
_FILTERED = ("content_filter", "content_policy_violation")


@dataclass(frozen=True, slots=True)
class Fault:
    """Why one attempt gave no answer. `final`: asking again would not help. `retry_after_s` is the server's own wish."""

    kind: str
    message: str
    final: bool = False
    retry_after_s: float | None = None


def read_answer(raw: bytes) -> Generation | Fault:
    """The record of a 200: its first choice, or why that is no answer."""
    try:
        answer = loads(raw)
    except ValueError as error:
        return Fault("bad_json", f"the answer is no JSON ({error}): {_shown(raw)}")
    try:
        choice = answer["choices"][0]
        if isinstance(choice.get("error"), dict):
            return _no_choice(choice, dumps(choice))
        message = choice.get("message")
        text = choice["text"] if message is None else _content(message)
    except (KeyError, IndexError, TypeError, AttributeError):
        return _no_choice(answer, raw)
    reason = choice.get("finish_reason")
    if reason in ("abort", "error"):
        return Fault("aborted", f"the server broke the answer off (finish_reason {reason})")
    usage = answer.get("usage") or {}
    thought = (message.get("reasoning_content") or message.get("reasoning")) if message else None
    return Generation(
        text=text,
        reasoning=thought,
        finish_reason=reason,
        prompt_tokens=usage.get("prompt_tokens"),
        completion_tokens=usage.get("completion_tokens"),
        meta=_kept(choice),
    )


def _content(message: Mapping[str, Json]) -> str:
    content = message.get("content")
    if isinstance(content, list):
        content = "".join(part.get("text", "") for part in content)
    return content or message.get("refusal") or ""


def _kept(choice: Mapping[str, Json]) -> dict[str, Json]:
    """What later stages may need of a choice: log-probabilities, the stop string that was hit, calls of tools."""
    kept: dict[str, Json] = {}
    if choice.get("logprobs"):
        kept["logprobs"] = choice["logprobs"]
    stop = choice.get("stop_reason") or choice.get("matched_stop")
    if isinstance(stop, str):
        kept["stop_reason"] = stop
    calls = (choice.get("message") or {}).get("tool_calls")
    if calls:
        kept["tool_calls"] = calls
    return kept


def _no_choice(answer: Mapping[str, Json], raw: bytes) -> Generation | Fault:
    # Some gateways answer 200 and put the upstream's status into the body.
    error = answer.get("error")
    if isinstance(error, dict) and str(error.get("code", "")).isdigit():
        return read_refusal(int(error["code"]), raw, None)
    return Fault("bad_json", f"the answer has no choices: {_shown(raw)}")


def read_refusal(status: int, raw: bytes, retry_after_s: float | None) -> Generation | Fault:
    """What a status other than 200 means for one sample; a filtered one is an answer without text."""
    message, code = _error_text(raw)
    if status == 429 or (status == 503 and retry_after_s is not None):
        return Fault("429", message, retry_after_s=retry_after_s)
    if status >= 500 or status in (408, 409, 425):
        return Fault(f"http_{status}", message, retry_after_s=retry_after_s)
    if code in _FILTERED:
        return Generation(text="", finish_reason="content_filter")
    if _OVERFLOW.search(message) or _OVERFLOW.search(code):
        return Fault(CONTEXT_EXCEEDED, message, final=True)
    return Fault(f"http_{status}", message, final=True)


def _error_text(raw: bytes) -> tuple[str, str]:
    """(message, code or type) of an error body: nested as vLLM and OpenAI write it, flat as SGLang and TensorRT-LLM do."""
    try:
        answer = loads(raw)
    except ValueError:
        return _shown(raw), ""
    nested = answer.get("error")
    error = nested if isinstance(nested, dict) else answer
    message = error.get("message") or error.get("detail") or nested or _shown(raw)
    codes = [str(error[key]) for key in ("code", "type") if error.get(key)]
    named = [code for code in codes if not code.isdigit()]
    return str(message)[:2000], named[0] if named else ""


def error_text(raw: bytes) -> str:
    """The message of an error body, whatever its form."""
    return _error_text(raw)[0]


def is_html(raw: bytes) -> bool:
    """A page for people: the address is not that of an API."""
    return raw.lstrip()[:1] == b"<"


_COUNTS = (
    # SGLang: "... maximum context length of 2048 tokens. You requested a total of 2099 tokens: 51 tokens from the input"
    re.compile(r"context length of (?P<context>\d+) tokens.*?(?P<prompt>\d+) tokens from the input"),
    # OpenAI: "... maximum context length is 8192 tokens. However, you requested 9000 tokens (8000 in the messages, ..."
    re.compile(r"context length is (?P<context>\d+) tokens.*?\((?P<prompt>\d+) in (?:the messages|your prompt)"),
)


def room_left(message: str) -> int | None:
    """Tokens left for the answer, read from a server's own complaint; None where it names no numbers, or none is left.

    Two less than the difference: SGLang ends that much before its context is full.
    """
    for pattern in _COUNTS:
        found = pattern.search(message)
        if found:
            room = int(found["context"]) - int(found["prompt"]) - 2
            return room if room > 0 else None
    return None


_CONTEXT = re.compile(
    # vLLM and SGLang; vLLM's "maximum context length is 2048 tokens"; llama.cpp tells it in a field beside the message.
    r"context length (?:is |of |\()?(?P<words>\d+)|n_ctx\W+(?P<field>\d+)|context size \((?P<size>\d+)"
)


def context_told(message: str) -> int | None:
    """The context in tokens, read from a server's complaint that something does not fit."""
    found = _CONTEXT.search(message)
    return int(next(number for number in found.groups() if number)) if found else None


def _shown(raw: bytes) -> str:
    text = " ".join(raw[:400].decode(errors="replace").split())
    return text[:200] or "(empty)"


def unreachable(endpoint: Endpoint, error: Exception) -> ServerError:
    """Nobody listens there."""
    return ServerError(
        f"no server answers at {endpoint.base_url} ({error})",
        hint=f"start it, or correct --server_address; `curl {endpoint.base_url}/models` should list the model",
    )


def refusal(endpoint: Endpoint, status: int, raw: bytes, location: str | None = None) -> ServerError:
    """A refusal that concerns every request, with what to do about it."""
    where, said = endpoint.base_url, error_text(raw)
    if status in (401, 403):
        name = endpoint.api_key_env
        if endpoint.api_key:
            hint = f"the key in ${name} was refused: is it the one for this address and model?"
        else:
            hint = f"export {name}=…" if name else "name the variable that holds the key: ++server.api_key_env=MY_KEY"
        return ServerError(f"{where} answers {status}: {said}", hint=hint)
    if 300 <= status < 400:
        target = location or "another address"
        return ServerError(f"{where} redirects to {target} ({status})", hint="give that address as --server_address")
    if is_html(raw):
        return ServerError(
            f"{where} answers with a web page instead of JSON (status {status})",
            hint="--server_address is the API's root and usually ends in /v1",
        )
    if "model" not in said.lower():
        return ServerError(
            f"{where} is no OpenAI-compatible API ({status}: {said})",
            hint="--server_address is the API's root and usually ends in /v1",
        )
    return ServerError(
        f"{where} does not serve the model `{endpoint.model}` ({status}: {said})",
        hint=f"`curl {where}/models` lists the names it serves; give one as --model",
    )
