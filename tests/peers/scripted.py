"""A server on loopback that answers as it is told, reply by reply: the ways in which real ones misbehave."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Reply:
    """Bytes to write, then whether to hang up (`close`), and whether to say nothing for ever (`hang`)."""

    raw: bytes = b""
    close: bool = False
    hang: bool = False


RESET = Reply(close=True)
SILENT = Reply(hang=True)


def reply(status: int, body: object, **headers: str) -> Reply:
    """A whole HTTP reply; a dict becomes JSON. `retry_after="1"` is the header Retry-After."""
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return Reply(f"HTTP/1.1 {status} Said\r\n{named}content-length: {len(raw)}\r\n\r\n".encode() + raw)


def answer(text: str = "4", finish: str = "stop", **message: Any) -> Reply:
    """A chat completion."""
    choice = {"index": 0, "finish_reason": finish, "message": {"role": "assistant", "content": text, **message}}
    usage = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
    return reply(200, {"model": "m", "choices": [choice], "usage": usage})


def cut(whole: Reply) -> Reply:
    """The first half of a reply, then the end of the connection."""
    return Reply(whole.raw[: len(whole.raw) * 2 // 3], close=True)


HTML = reply(200, b"<!DOCTYPE html><title>Welcome to nginx!</title>", content_type="text/html")


@dataclass
class Peer:
    """`asked` holds (method, path, body) of every request in order; GET /models is answered from `models`."""

    base_url: str
    replies: list[Reply]
    models: Reply
    asked: list[tuple[str, str, Any]] = field(default_factory=list)
    headers: list[dict[str, str]] = field(default_factory=list)

    @property
    def bodies(self) -> list[Any]:
        return [body for method, _, body in self.asked if method == "POST"]

    def next_reply(self, method: str) -> Reply:
        if method == "GET":
            return self.models
        return self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                method, path, _ = head.split(" ", 2)
                pairs = (line.split(": ", 1) for line in head.split("\r\n")[1:] if ": " in line)
                headers = {name.lower(): value for name, value in pairs}
                raw = await reader.readexactly(int(headers.get("content-length", 0)))
                self.asked.append((method, path, json.loads(raw) if raw else None))
                self.headers.append(headers)
                said = self.next_reply(method)
                writer.write(said.raw)
                await writer.drain()
                if said.hang:
                    await reader.read()
                if said.hang or said.close:
                    break
        writer.close()


@contextlib.asynccontextmanager
async def peer(*replies: Reply, models: Sequence[str] = ("m",), listing: Reply | None = None) -> AsyncIterator[Peer]:
    """A peer whose POSTs get `replies` in turn, the last one again and again."""
    listed = listing or reply(200, {"object": "list", "data": [{"id": name, "max_model_len": 2048} for name in models]})
    made = Peer("", list(replies), listed)
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.base_url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield made
    finally:
        server.close()


def closed_port() -> int:
    """A port on which nobody listens."""
    import socket

    with socket.socket() as probing:
        probing.bind(("127.0.0.1", 0))
        return int(probing.getsockname()[1])
