"""A server of the OpenAI routes that is wrong in one way: what `ns check` is to recognise.

    with odd_model("same") as url: …

The ways: "good"; "same": one text whatever is asked for; "fixed_seed": temperature counts and the seed does not;
"restless": every text is another one, temperature 0 included; "forgetful": hot texts differ from call to call under one
seed; "any_name": answers to any name and lists none; "strict": 404 for another name; "dead_adapter": its adapter `mine`
answers as the base does; "leaky": its base answers as the adapter does while that is asked; "shifted": its log-probabilities
are another model's; "small": its context is full with 40 words.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
from collections.abc import Iterator
from typing import Any

from tests.peers.replying import Replying, listening

CONTEXT = 2048
_CALLS = itertools.count()


def text(way: str, body: dict[str, Any]) -> str:
    """The answer of one request."""
    hot, seed = body.get("temperature", 1.0) > 0, body.get("seed")
    if way == "restless" or (way == "forgetful" and hot):
        return f"text {next(_CALLS)}"
    if not hot or way == "same":
        return "the likeliest text"
    return "the only hot text" if way == "fixed_seed" else f"text of seed {seed}"


class Batch:
    """Who is asked at the same time. A base that is not alone waits for an adapter beside it, and that for such a base."""

    def __init__(self) -> None:
        self.count, self.lock = 0, threading.Lock()
        self.adapter, self.base = threading.Event(), threading.Event()

    @contextlib.contextmanager
    def holding(self, body: dict[str, Any]) -> Iterator[bool]:
        """Whether this request is one of the base that is computed together with one of an adapter."""
        with self.lock:
            self.count += 1
            shared = self.count > 1 and body["model"] == "m" and body["max_tokens"] == 1
        if body["model"] == "mine" and body["max_tokens"] > 1:
            self.adapter.set()
            self.base.wait(20)
        yield shared and self.adapter.wait(20)
        if shared:
            self.base.set()
        with self.lock:
            self.count -= 1


def logprobs(way: str, body: dict[str, Any]) -> dict[str, Any]:
    """Two next tokens behind the prompt, of one model; another model's where the way says so."""
    start = -0.1 - (len(body["prompt"]) % 7) / 10
    if way == "shifted":
        start -= 1.0
    if body["model"] == "mine" and way != "dead_adapter":
        start -= 0.5
    return {
        "tokens": [" a"],
        "token_logprobs": [start],
        "top_logprobs": [{" a": start, " b": start - 2}],
        "text_offset": [0],
    }


def answer(way: str, path: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    known = ("m", "mine")
    if way == "strict" and body["model"] not in known:
        return 404, {"error": {"message": f"The model `{body['model']}` does not exist.", "code": 404}}
    prompt = body.get("prompt") or " ".join(str(message["content"]) for message in body["messages"])
    length = len(prompt.split())
    if way == "small" and length > 40:
        said = (
            f"This model's maximum context length is 40 tokens. However, your prompt contains at least {length} input tokens"
        )
        return 400, {"error": {"message": said, "code": 400}}
    said = text(way, body)
    choice: dict[str, Any] = {"index": 0, "finish_reason": "stop"}
    if path.endswith("/chat/completions"):
        choice["message"] = {"role": "assistant", "content": said}
    else:
        choice |= {"text": said, "logprobs": logprobs(way, body) if body.get("logprobs") else None}
    usage = {"prompt_tokens": length, "completion_tokens": 3}
    return 200, {"object": "chat.completion", "model": body["model"], "choices": [choice], "usage": usage}


@contextlib.contextmanager
def odd_model(way: str) -> Iterator[str]:
    """The address of such a server, with /v1."""
    batch = Batch()

    class Handler(Replying):
        def do_GET(self) -> None:
            if way == "any_name":
                self.say(404, {"detail": "Not Found"})
                return
            names = ["m", "mine"]
            self.say(200, {"object": "list", "data": [{"id": name, "max_model_len": CONTEXT} for name in names]})

        def do_POST(self) -> None:
            body = self.asked()
            with batch.holding(body) if way == "leaky" else contextlib.nullcontext(False) as leaked:
                self.say(*answer(way, self.path, body | {"model": "mine"} if leaked else body))

    with listening(Handler) as address:
        yield f"{address}/v1"
