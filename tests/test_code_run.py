"""A code benchmark through `ns eval`: programs are run behind walls, and the table says how the wrong ones failed."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from tests.commands import ns
from tests.peers.scripted import Peer, Reply, answer, reply

BODIES = {
    "right": "return a + b",
    "wrong": "return a - b",
    "crash": "return a + c",
    "broken": "return a +",
    "endless": "while True: pass",
    "greedy": "x = bytearray(200 << 20); return a + b",
}


class Programmer(Peer):
    """Writes the program whose name stands in the task."""

    def next_reply(self, method: str) -> Reply:
        if method == "GET":
            return self.models
        asked = self.asked[-1][2]["messages"][-1]["content"]
        body = next((text for name, text in BODIES.items() if f"task {name}" in asked), "pass")
        return answer(f"```python\ndef add(a, b):\n    {body}\n```")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """(folder, what was printed) of six tasks, in a sandbox of 150 MB a session."""
    cwd = tmp_path_factory.mktemp("code")
    folder = cwd / "data" / "human-eval"
    folder.mkdir(parents=True)
    tests = "assert add(1, 2) == 3\nassert add(0, 0) == 0"
    rows = [{"id": name, "problem": f"task {name}", "entry_point": "add", "tests": tests} for name in BODIES]
    (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

    async def evaluate() -> str:
        made = Programmer("", [], reply(200, {"object": "list", "data": [{"id": "m"}]}))
        server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        async with server:
            told = await asyncio.to_thread(
                ns, "eval", "--model=m", "--server_type=openai", f"--server_address={address}", "--output_dir=out",
                "--benchmarks=human-eval:2", "++sandbox.memory_mb=150", "++sandbox.preload=[]",
                "++judge_options.timeout_s=0.5", cwd=cwd, env={"NS_DATA_DIR": str(cwd / "data")},
            )  # fmt: skip
        return told.stdout

    return cwd / "out", asyncio.run(evaluate())


def verdicts(folder: Path) -> dict[str, dict[str, Any]]:
    lines = (folder / "eval-results" / "human-eval" / "output-rs0.jsonl").read_text().splitlines()
    return {row["id"]: row["verdicts"]["code"] for row in map(json.loads, lines)}


def test_each_failure_is_recorded_for_what_it_was(run: tuple[Path, str]) -> None:
    found = verdicts(run[0])
    failed = {name: [kind for kind, share in verdict["scores"].items() if share == 1.0] for name, verdict in found.items()}
    assert failed == {
        "right": ["tests_passed"], "wrong": ["wrong_answer"], "crash": ["runtime_error"], "broken": ["compile_error"],
        "endless": ["timeout"], "greedy": ["runtime_error"],
    }  # fmt: skip


def test_the_judge_works_where_the_command_line_says(run: tuple[Path, str]) -> None:
    verdict = verdicts(run[0])["greedy"]
    assert verdict["correct"] is False
    assert "MemoryError" in verdict["comment"] or "150 MB" in verdict["comment"]


def test_the_manifest_says_what_stood_between(run: tuple[Path, str]) -> None:
    (command,) = json.loads((run[0] / "run.json").read_text())["commands"]
    assert "out of reach" in command["sandbox"]["generate"]
    assert "150 MB" in command["sandbox"]["generate"]


def test_the_table_says_how_the_wrong_ones_failed(run: tuple[Path, str]) -> None:
    shares = "compile error 16.67%, runtime error 33.33%, timeout 16.67%, wrong answer 16.67%"
    assert f"of all samples, failed by {shares}" in run[1]
    assert "pass@1[2]" in run[1]
    assert "best@" not in run[1], "the tests that decide choose no best sample"
