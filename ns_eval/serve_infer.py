"""An older inference server behind the OpenAI routes: POST <upstream>/infer with two prompts, a text comes back.

`python -I serve_infer.py --upstream http://127.0.0.1:8000 --model NAME --port 8001`. Each request becomes one of the older
kind; what that protocol has no word for (seeds, stop strings, earlier turns) is refused or, where harmless, left out. An
answer of as many tokens as were allowed is one that was cut: the older server says nothing of it.
"""

from __future__ import annotations

import argparse
import json
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

# What such servers call their answer, and its tokens.
_TEXTS = ("output", "response", "text", "generated_text", "completion")
_COUNTS = {
    "prompt_tokens": ("tokens_in", "prompt_tokens", "input_tokens"),
    "completion_tokens": ("tokens_out", "completion_tokens", "output_tokens"),
}


class Refused(Exception):
    """What the older server cannot do, or said; with the HTTP status that the client is told."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


def infer_body(asked: Mapping[str, Any]) -> dict[str, Any]:
    """The request in the older words.

    Raises:
        Refused: several user turns, pictures, several answers at once.
    """
    turns = [(message["role"], message["content"]) for message in asked.get("messages", ())]
    roles = [role for role, _ in turns]
    if roles not in (["user"], ["system", "user"]) or not all(isinstance(text, str) for _, text in turns):
        raise Refused(400, f"this server takes a system and a user prompt of text, not {', '.join(roles) or 'no messages'}")
    if asked.get("n", 1) != 1 or asked.get("tools"):
        raise Refused(400, "this server gives one answer, without tools")
    texts = dict(turns)
    body = {"system_prompt": texts.get("system", ""), "user_prompt": texts["user"], "prompt": texts["user"]}
    sampling = {"max_tokens": asked.get("max_tokens"), "temperature": asked.get("temperature"), "top_p": asked.get("top_p")}
    return {**body, **{name: value for name, value in sampling.items() if value is not None}}


def completion(asked: Mapping[str, Any], said: Any) -> dict[str, Any]:
    """The older server's reply as a chat completion.

    Raises:
        Refused: it holds no text, or says that something failed.
    """
    if not isinstance(said, dict):
        raise Refused(502, f"/infer answered {type(said).__name__}, not an object")
    if said.get("error"):
        raise Refused(502, f"/infer: {said['error']}")
    text = next((said[name] for name in _TEXTS if isinstance(said.get(name), str)), None)
    if text is None:
        raise Refused(
            502, f"/infer answered without a text: it has {', '.join(said) or 'nothing'}, known are {', '.join(_TEXTS)}"
        )
    usage = {
        name: next((said[own] for own in names if isinstance(said.get(own), int)), None) for name, names in _COUNTS.items()
    }
    limit, spent = asked.get("max_tokens"), usage["completion_tokens"]
    cut = said.get("finish_reason") == "length" or (limit is not None and spent is not None and spent >= limit)
    return {
        "id": f"infer-{time.time_ns()}",
        "object": "chat.completion",
        "created": int(time.time()),
        "model": asked.get("model", ""),
        "choices": [
            {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "length" if cut else "stop"}
        ],
        "usage": {name: count for name, count in usage.items() if count is not None},
    }


def handler(upstream: str, model: str) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._reply(200, {"object": "list", "data": [{"id": model, "object": "model"}]})

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers.get("content-length", 0))) or b"{}")
            try:
                if not self.path.endswith("/chat/completions"):
                    raise Refused(404, f"{self.path}: this server speaks chat completions only")
                self._reply(200, completion(asked, _post(f"{upstream}/infer", infer_body(asked))))
            except Refused as error:
                self._reply(error.status, {"error": {"message": str(error), "code": error.status}})

        def _reply(self, status: int, found: Mapping[str, Any]) -> None:
            raw = json.dumps(found).encode()
            self.send_response(status)
            self.send_header("content-type", "application/json")
            self.send_header("content-length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        def log_message(self, format: str, *args: object) -> None:
            """Requests are counted where they are made."""

    return Handler


def _post(url: str, body: Mapping[str, Any]) -> Any:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"content-type": "application/json"})
    try:
        with urllib.request.build_opener(urllib.request.ProxyHandler({})).open(request, timeout=3600) as reply:
            return json.loads(reply.read())
    except urllib.error.HTTPError as error:
        raise Refused(error.code, error.read().decode("utf-8", "replace")[:500] or str(error)) from error
    except (OSError, ValueError) as error:
        raise Refused(503, f"{url}: {error}") from error


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--upstream", required=True)
    parser.add_argument("--model", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    given = parser.parse_args()
    ThreadingHTTPServer((given.host, given.port), handler(given.upstream.rstrip("/"), given.model)).serve_forever()


if __name__ == "__main__":
    main()
