"""The embedded engine on a GGUF file, in a process of its own, for tests that compare what two files answer."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tests.paths import REPO

ASK = "Solve the following math problem. Make sure to put the answer (and only answer) inside \\boxed{}.\n\n"  # generic/math


@contextlib.contextmanager
def embedded(model: Path, *, slots: int = 16, context: int = 512) -> Iterator[str]:
    """The address of a running server, without /v1."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    sizes = ["--slots", str(slots), "--context", str(context), "--threads", "1"]
    command = [sys.executable, "-P", str(REPO / "ns_eval/serve_llamacpp.py"), str(model), "--alias", "model"]
    process = subprocess.Popen([*command, "--port", str(port), *sizes], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        said = process.stdout.readline()
        assert said.startswith("listening on"), f"{model} is not served"
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def post(url: str, body: dict[str, Any]) -> dict[str, Any]:
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=120) as reply:
        found: dict[str, Any] = json.load(reply)
        return found


def greedy_answers(address: str, problems: Sequence[str], model: str = "model") -> list[str]:
    """The whole reply to each problem, at temperature 0."""

    def one(problem: str) -> str:
        messages = [{"role": "user", "content": ASK + problem}]
        body = {"model": model, "messages": messages, "temperature": 0, "max_tokens": 256}
        return str(post(f"{address}/v1/chat/completions", body)["choices"][0]["message"]["content"])

    with ThreadPoolExecutor(16) as pool:
        return list(pool.map(one, problems))


def right(answers: Sequence[str], expected: Sequence[str]) -> int:
    return sum(f"\\boxed{{{gold}}}" in answer for answer, gold in zip(answers, expected, strict=True))
