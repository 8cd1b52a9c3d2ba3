"""The simulated engine as a process of its own, on a free port, and what it says it did."""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ns_eval.engines.sockets import free_port

_SCRIPT = Path(__file__).with_name("simserver.py")


@dataclass(frozen=True, slots=True)
class Simulated:
    """A running engine: `url` without /v1."""

    url: str

    def stats(self) -> dict[str, Any]:
        return self._ask("/stats", "GET")

    def reset(self) -> None:
        self._ask("/reset", "POST")

    def _ask(self, path: str, method: str) -> dict[str, Any]:
        with urllib.request.urlopen(urllib.request.Request(self.url + path, method=method)) as reply:
            found: dict[str, Any] = json.load(reply)
            return found


@contextlib.contextmanager
def simulated(*arguments: str) -> Iterator[Simulated]:
    """Starts it, waits until it listens, ends it."""
    port = free_port("127.0.0.1")
    command = [sys.executable, str(_SCRIPT), "--port", str(port), *arguments]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("simserver on")
            yield Simulated(f"http://127.0.0.1:{port}")
        finally:
            process.terminate()
