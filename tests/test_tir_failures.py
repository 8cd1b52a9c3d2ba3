"""A sandbox that fails in the middle of a run: the sample says so, the others go on, and the same command mends it."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ns_eval.config import CodeExecutionConfig
from ns_eval.markup import CodeTags
from ns_eval.records import Generation
from ns_eval.sandbox import Sandbox, SandboxConfig, remote
from ns_eval.sandbox.processes import descendants
from ns_eval.sandbox.remote import RemoteSandbox
from ns_eval.tools import Message, Settings, rounds
from tests.commands import ns
from tests.peers.scripted import RESET, SILENT, Peer, Reply, reply

SETTINGS = Settings(CodeExecutionConfig(), CodeTags("<go>", "</go>", "<got>", "</got>", "qwen"))
HEALTHY = reply(200, {"status": "healthy"})


class Model:
    """Says these parts in turn; before the second one `meanwhile` happens."""

    def __init__(self, *parts: str, meanwhile: Any = None) -> None:
        self._parts, self._meanwhile = [*parts], meanwhile

    async def __call__(self, prompt: str | Sequence[Message], *, stop: Sequence[str], max_tokens: int | None) -> Generation:
        if self._meanwhile is not None and len(self._parts) == 2:
            self._meanwhile()
        return Generation(self._parts.pop(0), finish_reason="stop", completion_tokens=1)


def test_a_sandbox_that_never_answers_is_an_error_of_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote, "_MARGIN_S", 0.5)

    async def run() -> Generation:
        made = Peer("", [SILENT], HEALTHY)
        server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        try:
            async with RemoteSandbox(SandboxConfig(host="127.0.0.1", port=port)) as sandbox:
                return await rounds(Model("<go>1", "end"), sandbox.session("s"), "Q", SETTINGS)
        finally:
            server.close()

    generation = asyncio.run(run())
    assert generation.text == ""
    assert generation.error is not None and "did not answer within 10.5 s" in generation.error
    assert generation.error.startswith("sandbox: ")


def test_a_wall_lost_between_two_blocks_is_told_to_the_model_and_recorded() -> None:
    async def run() -> Generation:
        async with Sandbox(SandboxConfig(preload=[])) as sandbox:
            session = sandbox.session("s")

            def kill() -> None:
                zygote = sandbox.sessions_from.pid
                assert zygote is not None
                sessions = [child for child, _ in descendants(zygote)]
                os.kill(zygote, signal.SIGKILL)
                while any(map(lives, sessions)):
                    time.sleep(0.01)

            return await rounds(Model("<go>x = 1", "<go>print(7)", "end", meanwhile=kill), session, "Q", SETTINGS)

    generation = asyncio.run(run())
    assert generation.error is None
    first, second = generation.meta["code"]["executions"]
    assert (first["status"], first["state_lost"]) == ("ok", False)
    assert (second["stdout"], second["state_lost"]) == ("7\n", True)
    assert "all variables are lost" in generation.text


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


class Broken(Peer):
    """A sandbox that is there, and breaks off every execution."""

    def next_reply(self, method: str) -> Reply:
        return HEALTHY if method in ("GET", "DELETE") else RESET


def test_the_run_goes_on_and_the_same_command_asks_again_what_failed(tmp_path: Path) -> None:
    pytest.importorskip("xllamacpp", reason="the embedded engine is not installed")
    words = [
        "eval", "--model=tinymath", "--benchmarks=arithmetic:0", "--output_dir=out", "--max_samples=4",
        "++code_execution=true",
        "++prompt_template=openmath-instruct", "++prompt_config=openmath/tir", "++sandbox.preload=[]",
    ]  # fmt: skip

    async def broken() -> str:
        made = Broken("", [], HEALTHY)
        server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        async with server:
            told = await asyncio.to_thread(
                ns, *words, "++sandbox.host=127.0.0.1", f"++sandbox.port={port}", cwd=tmp_path, code=6
            )
        return told.stderr

    said = asyncio.run(broken())
    (line, *_) = (tmp_path / "out/eval-results/arithmetic/output.jsonl").read_text().splitlines()
    assert json.loads(line)["error"].startswith("sandbox: ") and "broke off" in line
    assert "arithmetic: none of its 4 samples is graded; 4 of them failed" in said
    ns(*words, cwd=tmp_path)
    rows = [json.loads(line) for line in (tmp_path / "out/eval-results/arithmetic/output.jsonl").read_text().splitlines()]
    assert [row["status"] for row in rows] == ["ok"] * 4
    assert all(row["generation_meta"]["code"]["rounds"] for row in rows)
    walls = [command["sandbox"]["generate"] for command in json.loads((tmp_path / "out/run.json").read_text())["commands"]]
    assert "whatever stands there" in walls[0] and "out of reach" in walls[1]
