#!/usr/bin/env python3
"""A simulated OpenAI-compatible inference engine, for benchmarks of schedulers and clients.

It stands for a continuous-batching engine with a fixed number of decoding slots: a request waits for a free slot,
holds it for `tokens * seconds_per_token`, then answers. Lengths are log-normal (a long tail, as reasoning models
have) with an effect of the question (hard ones are long for every seed) and one of the sample; both are drawn from
hashes of the messages (or prompt) and the seed, so a run can be repeated and two clients can be compared on the same
work. Standard library only; uvloop is used where it is installed.

    simserver.py --port 8123 --slots 32 --median-tokens 2000 --sigma-question 0.8 --sigma 0.6 --us-per-token 50
    GET /stats   -> counts, busy slot-seconds, first/last times, the lower bound for the work done so far
    POST /reset  -> forgets the counts

With `--fixed-latency-ms X` every request takes X and no slot: that measures the client's own overhead.
With `--faults P` a share P of requests fails, in turn by: 429 with Retry-After, 500, 503, a connection reset before
any answer, a body cut in the middle, a 200 with invalid JSON, and an answer that never comes (the socket stays open).
The same request, sent again, does not fail twice in a row unless --faults-repeat N is given.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import importlib.util
import json
import math
import random
import time
from collections import Counter, deque
from typing import Any

FAULTS = ("429", "500", "503", "reset", "cut", "badjson", "hang")


class Engine:
    def __init__(self, args: argparse.Namespace) -> None:
        self.args = args
        self.free: int = args.slots
        self.waiting: deque[asyncio.Future[None]] = deque()
        self.reset()

    def reset(self) -> None:
        self.stats: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()
        self.first: float | None = None
        self.last: float | None = None
        self.busy = 0.0
        self.longest = 0.0
        self.in_flight = self.peak = 0

    def draw(self, question: str, sample: str, limit: int | None) -> tuple[int, str]:
        a = self.args
        effect = random.Random(hashlib.sha1(question.encode()).digest()).gauss(0, a.sigma_question)
        noise = random.Random(hashlib.sha1(sample.encode()).digest()).gauss(0, a.sigma)
        tokens = max(1, int(math.exp(math.log(a.median_tokens) + effect + noise)))
        cap = min(limit or a.max_tokens, a.max_tokens)
        return (cap, "length") if tokens >= cap else (tokens, "stop")

    async def decode(self, tokens: int) -> None:
        a = self.args
        if a.fixed_latency_ms is not None:
            await asyncio.sleep(a.fixed_latency_ms / 1000)
            return
        if self.free:
            self.free -= 1
        else:
            turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.waiting.append(turn)
            await turn
        seconds = tokens * a.us_per_token / 1e6
        self.busy += seconds
        self.longest = max(self.longest, seconds)
        try:
            await asyncio.sleep(seconds)
        finally:
            while self.waiting:
                turn = self.waiting.popleft()
                if not turn.done():
                    turn.set_result(None)
                    break
            else:
                self.free += 1

    def summary(self) -> dict[str, Any]:
        wall = (self.last - self.first) if self.first is not None and self.last is not None else 0.0
        bound = max(self.busy / self.args.slots, self.longest)
        return {
            "answered": self.stats["answered"],
            "requests": self.stats["requests"],
            "generated_tokens": self.stats["tokens"],
            "peak_in_flight": self.peak,
            "wall_s": round(wall, 3),
            "lower_bound_s": round(bound, 3),
            "ratio": round(wall / bound, 3) if bound else None,
            "faults": dict(self.faults),
        }


class Protocol(asyncio.Protocol):
    transport: asyncio.Transport

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.buffer = b""
        self.queue: deque[tuple[bytes, bytes, bytes]] = deque()
        self.task: asyncio.Task[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        while True:
            head, sep, rest = self.buffer.partition(b"\r\n\r\n")
            if not sep:
                return
            length = 0
            for line in head.split(b"\r\n")[1:]:
                if line[:15].lower() == b"content-length:":
                    length = int(line[15:])
            if len(rest) < length:
                return
            self.buffer = rest[length:]
            method, path, _ = head.split(b" ", 2)
            self.queue.append((method, path.split(b"?")[0], rest[:length]))
            if self.task is None or self.task.done():
                self.task = asyncio.ensure_future(self.drain())

    async def drain(self) -> None:
        while self.queue:
            await self.handle(*self.queue.popleft())

    def send(self, status: str, body: dict[str, Any] | bytes, headers: str = "") -> None:
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        if not self.transport.is_closing():
            head = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{headers}content-length: {len(raw)}\r\n\r\n"
            self.transport.write(head.encode() + raw)

    async def handle(self, method: bytes, path: bytes, raw: bytes) -> None:
        e = self.engine
        if method == b"GET" and path.endswith(b"/models"):
            self.send("200 OK", {"object": "list", "data": [{"id": e.args.model, "object": "model"}]})
        elif method == b"GET" and path.endswith(b"/health"):
            self.send("200 OK", {"status": "ok"})
        elif method == b"GET" and path == b"/stats":
            self.send("200 OK", e.summary())
        elif method == b"POST" and path == b"/reset":
            e.reset()
            self.send("200 OK", {})
        elif method == b"POST" and path.endswith(b"/completions"):
            await self.complete(path.endswith(b"/chat/completions"), raw)
        else:
            self.send("404 Not Found", {"error": {"message": f"no such path: {path.decode()}"}})

    async def complete(self, chat: bool, raw: bytes) -> None:
        e = self.engine
        try:
            req = json.loads(raw)
        except ValueError:
            self.send("400 Bad Request", {"error": {"message": "invalid JSON"}})
            return
        now = time.monotonic()
        e.first = now if e.first is None else e.first
        e.stats["requests"] += 1
        e.in_flight += 1
        e.peak = max(e.peak, e.in_flight)
        try:
            what = req.get("messages") if chat else req.get("prompt")
            key = json.dumps([what, req.get("seed")], sort_keys=True)
            fault = self.pick_fault(key)
            if fault and await self.fail(fault):
                return
            n = int(req.get("n") or 1)
            limit = req.get("max_tokens") or req.get("max_completion_tokens")
            question = json.dumps(what, sort_keys=True)
            drawn = [e.draw(question, key if i == 0 else f"{key}#{i}", limit) for i in range(n)]
            await asyncio.gather(*(e.decode(t) for t, _ in drawn))
            body = self.answer(req, chat, key, drawn)
            if fault == "cut":
                whole = json.dumps(body).encode()
                head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(whole)}\r\n\r\n"
                self.transport.write(head.encode() + whole[: len(whole) // 2])
                self.transport.close()
                return
            if fault == "badjson":
                self.send("200 OK", b'{"id": "x", "choices": [{"index": 0, "mess')
                return
            e.stats["answered"] += 1
            e.stats["tokens"] += sum(t for t, _ in drawn)
            e.last = time.monotonic()
            self.send("200 OK", body)
        finally:
            e.in_flight -= 1

    def pick_fault(self, key: str) -> str | None:
        e = self.engine
        if not e.args.faults:
            return None
        nth = e.seen[key]
        e.seen[key] += 1
        if nth >= e.args.faults_repeat:
            return None
        rng = random.Random(hashlib.sha1(f"fault{key}{nth}".encode()).digest())
        return rng.choice(FAULTS) if rng.random() < e.args.faults else None

    async def fail(self, fault: str) -> bool:
        """Answers with the fault; False where the fault shows only in the final answer."""
        self.engine.faults[fault] += 1
        if fault == "429":
            self.send("429 Too Many Requests", {"error": {"message": "rate limit"}}, "retry-after: 1\r\n")
        elif fault in ("500", "503"):
            self.send(f"{fault} Server Error", {"error": {"message": "engine died"}})
        elif fault == "reset":
            self.transport.abort()
        elif fault == "hang":
            await asyncio.sleep(self.engine.args.hang_s)
            self.transport.abort()
        else:
            return False
        return True

    def answer(self, req: dict[str, Any], chat: bool, key: str, drawn: list[tuple[int, str]]) -> dict[str, Any]:
        text = self.engine.args.text or ("Let me think. " * 8)
        choices = []
        for i, (_, reason) in enumerate(drawn):
            rng = random.Random(f"answer{key}{i}")
            content = text + (
                f"So the answer is \\boxed{{{rng.randrange(self.engine.args.answers)}}}." if reason == "stop" else ""
            )
            choice: dict[str, Any] = {"index": i, "finish_reason": reason}
            choice |= {"message": {"role": "assistant", "content": content}} if chat else {"text": content}
            choices.append(choice)
        total = sum(t for t, _ in drawn)
        prompt_tokens = max(1, len(key) // 4)
        return {
            "id": "sim",
            "object": "chat.completion" if chat else "text_completion",
            "created": int(time.time()),
            "model": req.get("model") or self.engine.args.model,
            "choices": choices,
            "usage": {"prompt_tokens": prompt_tokens, "completion_tokens": total, "total_tokens": prompt_tokens + total},
        }


async def main(args: argparse.Namespace) -> None:
    engine = Engine(args)
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Protocol(engine), "127.0.0.1", args.port, backlog=4096)
    port = server.sockets[0].getsockname()[1]  # of --port 0: whichever was free
    print(f"simserver on http://127.0.0.1:{port}/v1 ({args.slots} slots)", flush=True)
    async with server:
        await server.serve_forever()


if __name__ == "__main__":
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--port", type=int, default=8123)
    p.add_argument("--model", default="sim")
    p.add_argument("--slots", type=int, default=64)
    p.add_argument("--median-tokens", type=int, default=2000)
    p.add_argument("--sigma-question", type=float, default=0.8, help="of log(tokens), between questions")
    p.add_argument("--sigma", type=float, default=0.6, help="of log(tokens), between samples of a question")
    p.add_argument("--max-tokens", type=int, default=32768)
    p.add_argument("--us-per-token", type=float, default=50.0, help="microseconds a slot is held per token")
    p.add_argument("--fixed-latency-ms", type=float, default=None)
    p.add_argument("--answers", type=int, default=4, help="how many different answers there are")
    p.add_argument("--text", default="", help="the reasoning text before the answer")
    p.add_argument("--faults", type=float, default=0.0)
    p.add_argument("--faults-repeat", type=int, default=1)
    p.add_argument("--hang-s", type=float, default=600.0)
    args = p.parse_args()
    if importlib.util.find_spec("uvloop") is not None:
        importlib.import_module("uvloop").run(main(args))
    else:
        asyncio.run(main(args))
