"""A hosted model on loopback that answers what a function says, and counts: a judge, or a provider whose upstream fails."""

from __future__ import annotations

import contextlib
import json
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Provider:
    """`asked` counts the requests by the text of their last message, `answered` those that got an answer, `tokens` what it
    would bill for.

    `says` is given that text and how often it came before; an exception's text is an upstream error inside a 200.
    """

    url: str
    says: Callable[[str, int], str]
    asked: Counter[str] = field(default_factory=Counter)
    answered: Counter[str] = field(default_factory=Counter)
    tokens: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    def reply(self, body: dict[str, Any]) -> dict[str, Any]:
        text = body["messages"][-1]["content"]
        with self.lock:
            before = self.asked[text]
            self.asked[text] += 1
        try:
            said = self.says(text, before)
        except ConnectionError as error:
            return {"error": {"code": 502, "message": str(error)}}
        usage = {"prompt_tokens": len(text) // 4, "completion_tokens": len(said) // 4}
        with self.lock:
            self.answered[text] += 1
            self.tokens += sum(usage.values())
        choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": said}}
        return {"model": body.get("model", "m"), "choices": [choice], "usage": usage}


@contextlib.contextmanager
def provider(says: Callable[[str, int], str]) -> Iterator[Provider]:
    """Listens on a free port until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.send({"object": "list", "data": [{"id": "sim"}]})

        def do_POST(self) -> None:
            self.send(made.reply(json.loads(self.rfile.read(int(self.headers["content-length"])))))

        def send(self, body: dict[str, Any]) -> None:
            raw = json.dumps(body).encode()
            # A client that was killed does not listen any more.
            with contextlib.suppress(ConnectionError):
                self.send_response(200)
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(raw)))
                self.end_headers()
                self.wfile.write(raw)

        def log_message(self, format: str, *args: object) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        made = Provider(f"http://127.0.0.1:{server.server_address[1]}", says)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield made
        finally:
            server.shutdown()
