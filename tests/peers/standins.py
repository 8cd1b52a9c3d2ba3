"""The stand-ins of tests/peers/engines.py on PATH, and how a test starts one of them as a server."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import pytest

from ns_eval.backoff import Backoff
from ns_eval.client import Client
from ns_eval.config import ServerConfig
from ns_eval.records import Generation, Request, Sampling
from ns_eval.resources import conf_file, folder
from ns_eval.schema import build, load_yaml
from ns_eval.servers import Running, serving
from tests.paths import REPO

T = TypeVar("T")
CHECKPOINT = folder("shipped") / "tinymath"
QUICK = Backoff(first_s=0.05, longest_s=0.5)


@pytest.fixture(autouse=True)
def engines_on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`vllm`, `trtllm-serve` and `python -m sglang.launch_server` are the stand-ins."""
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    for name, kind in [("vllm", "vllm"), ("trtllm-serve", "trtllm")]:
        script(bin_folder / name, f'exec "{sys.executable}" -m tests.peers.engines {kind} "$@"')
    script(bin_folder / "python", f'shift 2; exec "{sys.executable}" -m tests.peers.engines sglang "$@"')
    monkeypatch.setenv("PATH", f"{bin_folder}:{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(REPO))


def script(path: Path, text: str) -> None:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)


def configured(name: str, plan: dict[str, Any] | None = None, **changes: Any) -> ServerConfig:
    """conf/server/<name>.yaml with what a user would add, and the stand-in's orders."""
    path = conf_file("server", name)
    server = build(ServerConfig, load_yaml(path), str(path))
    changed = {"restart_pause_s": 0.01, "ready_timeout_s": 30.0, **changes}
    return replace(server, env={**server.env, "STANDIN": json.dumps(plan or {})}, **changed)


def served(server: ServerConfig, tmp_path: Path, use: Callable[[Running], Awaitable[T]], **options: Any) -> T:
    """What `use` makes of a running server."""

    async def run() -> T:
        async with serving(server, "m", tmp_path / "log" / "server.log", **{"path": str(CHECKPOINT), **options}) as running:
            return await use(running)

    return asyncio.run(run())


async def nothing(running: Running) -> Running:
    return running


async def ask(running: Running, seeds: range) -> list[Generation]:
    """One greedy chat request a seed, all at once."""
    async with Client(running.endpoint, alive=running.alive, backoff=QUICK) as client:
        return await asyncio.gather(*(client.complete(chat(seed), timeout_s=20) for seed in seeds))


def chat(seed: int, **sampling: Any) -> Request:
    return Request("q", seed, Sampling(**sampling), ({"role": "user", "content": "2 + 2?"},))
