"""Code between thoughts, end to end: the evaluation guide's commands as printed, and a chat endpoint that calls tools."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ns_eval.cli import main
from tests.commands import ns
from tests.models import TINYMATH, tinymath
from tests.paths import REPO, SHARED, needs_shared
from tests.peers.scripted import Peer, Reply, answer, reply

# The tiny model under the names of the guide's, behind the command line of the guide's server.
SERVER = f"""#!{sys.executable}
import os, sys
words = sys.argv[1:]
port, model = words[words.index("--port") + 1], words[1]
script = "{REPO}/ns_eval/serve_llamacpp.py"
sizes = ["--slots", "16", "--context", "512", "--threads", "1"]
served = ["{TINYMATH}/tinymath-f16.gguf", "--alias", os.path.basename(model), "--port", port]
os.execv(sys.executable, [sys.executable, "-P", script, *served, *sizes])
"""


def printed(part: str) -> list[str]:
    """The words of the guide's command whose output folder ends in `part`."""
    (guide,) = (SHARED / "sources").glob("003_*.txt")
    commands = re.findall(r"^ns eval (.*?)^```", guide.read_text(), re.DOTALL | re.MULTILINE)
    (found,) = [text for text in commands if part in text and "eval-tir" in text]
    return shlex.split(found.replace("\\\n", " "))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the guide has in /workspace, two problems instead of 256, and the server it calls on PATH."""
    folder = tmp_path_factory.mktemp("workspace")
    for name in ("openmath-nemotron-1.5b-trtllm", "openmath-nemotron-14b-kaggle-trtllm"):
        tinymath(folder / name)
    (folder / "bin").mkdir()
    for name, text in {"trtllm-serve": SERVER, "nvidia-smi": "#!/bin/sh\necho '0, GPU-0, 81920, 0'\n"}.items():
        (folder / "bin" / name).write_text(text)
        (folder / "bin" / name).chmod(0o755)
    data = folder / "data" / "comp-math-24-25"
    data.mkdir(parents=True)
    rows = (REPO / "ns_eval/shipped/arithmetic/test.jsonl").read_text().splitlines()
    (data / "test.jsonl").write_text("\n".join(rows[40:42]) + "\n")
    (folder / "local.yaml").write_text(f"executor: local\ngpus: 1\nmounts: ['{folder}:/workspace']\n")
    return folder


def run_as_printed(workspace: Path, part: str) -> tuple[list[dict[str, Any]], subprocess.CompletedProcess[str]]:
    pytest.importorskip("xllamacpp", reason="the embedded engine is not installed")
    paths = f"{workspace / 'bin'}:{Path(sys.executable).parent}:/usr/bin:/bin"
    env = {"NEMO_SKILLS_CONFIG_DIR": str(workspace), "NS_DATA_DIR": str(workspace / "data"), "PATH": paths}
    told = ns("eval", *printed(part), cwd=workspace, env=env, timeout_s=400)
    (outputs,) = (workspace / f"{part}-eval-tir").glob("eval-results/comp-math-24-25")
    rows = [json.loads(line) for path in outputs.glob("output-rs*.jsonl") for line in path.read_text().splitlines()]
    assert Counter(row["id"] for row in rows) == {row["id"]: 64 for row in rows} and len(rows) == 128
    assert not [row["error"] for row in rows if row["status"] == "error"]
    return rows, told


@needs_shared
def test_the_tir_command_of_the_guide_runs_as_printed(workspace: Path) -> None:
    rows, told = run_as_printed(workspace, "openmath-nemotron-1.5b")
    codes = [row["generation_meta"]["code"] for row in rows]
    assert sum(code["rounds"] for code in codes) >= 100
    first = next(code for code in codes if code["rounds"])
    assert set(first) >= {"rounds", "seconds", "timeouts", "errors", "not_run", "executions"}
    assert {"code", "status", "stdout", "stderr", "seconds"} <= set(first["executions"][0])
    text = next(row["generation"] for row in rows if row["generation_meta"]["code"]["rounds"])
    assert "</tool_call>\n```output\n" in text
    assert "```system\nYou can run code 7 more time(s)." in text
    assert "majority@64" in told.stdout
    assert "in the words of ns-eval" in told.stderr


@needs_shared
def test_the_command_for_the_kaggle_model_promises_no_number_and_runs(workspace: Path) -> None:
    rows, told = run_as_printed(workspace, "openmath-nemotron-14b-kaggle")
    assert all("code" in row["generation_meta"] for row in rows)
    assert not any("```system" in row["generation"] for row in rows)
    assert "not told how many executions are left" in told.stderr


class ToolCaller(Peer):
    """A chat server whose model computes with its tool: a right call, one whose JSON is broken, then the answer."""

    def next_reply(self, method: str) -> Reply:
        if method == "GET":
            return self.models
        body = self.asked[-1][2]
        if "tools" not in body:
            return answer("ready")
        results = [message["content"] for message in body["messages"] if message["role"] == "tool"]
        if not results:
            return answer("", "tool_calls", tool_calls=[call('{"code": "a = 6 * 7\\na"}'), call('{"code": "a + 1"}')])
        if len(results) == 2:
            return answer("", "tool_calls", tool_calls=[call('{"code": ')])
        return answer(f"So \\boxed{{{results[0].strip()}}}.")


def call(arguments: str) -> dict[str, Any]:
    return {"id": "c", "type": "function", "function": {"name": "python", "arguments": arguments}}


def test_a_chat_endpoint_calls_python_as_a_tool(tmp_path: Path) -> None:
    listing = reply(200, {"object": "list", "data": [{"id": "m"}]})

    async def run() -> ToolCaller:
        made = ToolCaller("", [], listing)
        server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        async with server:
            await asyncio.to_thread(
                ns, "eval", "--model=m", "--server_type=openai", f"--server_address={address}", "--output_dir=out",
                "--benchmarks=arithmetic:0", "--max_samples=2", "++tools=python", "++sandbox.preload=[]", cwd=tmp_path,
            )  # fmt: skip
        return made

    made = asyncio.run(run())
    asked = [body for body in made.bodies if "tools" in body]
    assert asked[0]["tools"][0]["function"]["name"] == "python"
    last = max(asked, key=lambda body: len(body["messages"]))["messages"]
    assert [message["role"] for message in last] == ["user", "assistant", "tool", "tool", "assistant", "tool"]
    assert [message["content"] for message in last if message["role"] == "tool"][:2] == ["42\n", "43\n"]
    assert "could not be read" in last[-1]["content"]
    lines = (tmp_path / "out/eval-results/arithmetic/output.jsonl").read_text().splitlines()
    for row in map(json.loads, lines):
        assert row["generation"] == "So \\boxed{42}."
        code = row["generation_meta"]["code"]
        assert [execution["status"] for execution in code["executions"]] == ["ok", "ok", "error"]
        assert (code["rounds"], code["errors"], code["not_run"]) == (3, 1, False)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["++tools=pyhton"], "the only tool is python"),
        (["++tools=python", "++code_execution=true", "++code_tags=openmath-instruct"], "choose one"),
        (["++tools=python", "++prompt_template=qwen-instruct"], "needs the server's own chat template"),
        (["++code_execution=true"], "needs to know how the model marks its code"),
        (["++code_execution=true", "++prompt_template={plain}"], "has no code_begin and code_end"),
        (["++code_execution=true", "++code_tags=nosuch"], "unknown template `nosuch`"),
        (["++prompt_config=openmath/tir"], r"asks for `{total_code_executions}`"),
    ],
)
def test_what_cannot_work_is_refused_before_anything_starts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    (tmp_path / "plain.yaml").write_text("user_begin: 'U:'\n")
    named = [word.replace("{plain}", str(tmp_path / "plain.yaml")) for word in words]
    out = tmp_path / "out"
    code = main(["eval", "--model=tinymath", "--benchmarks=arithmetic:1", f"--output_dir={out}", *named])
    assert code == (3 if "openmath/tir" in words[0] else 2)
    assert message in capsys.readouterr().err
    assert not out.exists()


def test_code_tags_alone_serve_a_chat_endpoint(tmp_path: Path) -> None:
    ns(
        "eval", "--model=tinymath", "--benchmarks=arithmetic:0", "--output_dir=out", "--max_samples=3",
        "++code_execution=true", "++code_tags=openmath-instruct", "++prompt_config=openmath/tir", "++sandbox.preload=[]",
        cwd=tmp_path,
    )  # fmt: skip
    lines = (tmp_path / "out/eval-results/arithmetic/output.jsonl").read_text().splitlines()
    rounds = [json.loads(line)["generation_meta"]["code"]["rounds"] for line in lines]
    assert sum(rounds) >= 2
