"""Every code benchmark from its upstream's file to pass@k: prepared, asked, its programs taken out and run behind walls."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest

from ns_eval.records import Json
from tests.commands import ns
from tests.peers.scripted import Peer, Reply, answer, reply
from tests.test_code_datasets import (
    APPS_CALL,
    APPS_STDIN,
    BIGCODEBENCH,
    CODE_CONTESTS,
    EVALPLUS,
    FUNCTION,
    HUMAN_EVAL,
    MBPP_FULL,
    MBPP_PLUS,
    METHOD,
    SCRIPT,
    livecodebench_row,
)

# The file as the upstream has it, and its rows; of MBPP's a task's number says which split it belongs to.
UPSTREAM: Mapping[str, tuple[str, list[dict[str, Json]]]] = {
    "human-eval": ("HumanEval.jsonl", [HUMAN_EVAL]),
    "human-eval-plus": ("HumanEvalPlus.jsonl", [EVALPLUS]),
    "mbpp": ("mbpp.jsonl", [MBPP_FULL | {"task_id": number} for number in (2, 11, 520, 700)]),
    "mbpp-plus": ("test-00000-of-00001.parquet", [MBPP_PLUS]),
    "bigcodebench": ("v0.1.4-00000-of-00001.parquet", [BIGCODEBENCH]),
    "livecodebench": (
        "test6.jsonl",
        [livecodebench_row(functional=True), livecodebench_row(functional=False) | {"question_id": "b"}],
    ),
    "apps": ("test.jsonl", [APPS_STDIN, APPS_CALL | {"problem_id": 8}]),
    "codecontests": ("test-00000-of-00001.parquet", [CODE_CONTESTS]),
}


class Programmer(Peer):
    """Right at every second seed."""

    def next_reply(self, method: str) -> Reply:
        if method == "GET":
            return self.models
        body = self.asked[-1][2]
        task = body["messages"][-1]["content"]
        form = METHOD if "class Solution" in task else FUNCTION if "twice" in task else SCRIPT
        return answer(f"So:\n```python\n{form.format(2 + body['seed'] % 2)}```\nThat is all.")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run folder."""
    cwd = tmp_path_factory.mktemp("whole_way")
    for name, (file, rows) in UPSTREAM.items():
        (cwd / "downloads" / name).mkdir(parents=True)
        path = cwd / "downloads" / name / file
        if path.suffix == ".parquet":
            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), path)
        else:
            path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    env = {"NS_DATA_DIR": str(cwd / "data")}
    ns("prepare_data", *UPSTREAM, "--source=downloads", cwd=cwd, env=env)

    async def evaluate() -> None:
        made = Programmer("", [], reply(200, {"object": "list", "data": [{"id": "m"}]}))
        server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
        address = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
        async with server:
            await asyncio.to_thread(
                ns, "eval", "--model=m", "--server_type=openai", f"--server_address={address}", "--output_dir=out",
                f"--benchmarks={','.join(f'{name}:2' for name in UPSTREAM)}", cwd=cwd, env=env,
            )  # fmt: skip

    asyncio.run(evaluate())
    return cwd / "out" / "eval-results"


@pytest.mark.parametrize("name", UPSTREAM)
def test_one_of_two_programs_is_right_and_the_table_says_so(name: str, run: Path) -> None:
    files = sorted(run.glob(f"{name}/output-rs?.jsonl"))
    lines = [[json.loads(line)["verdicts"]["code"] for line in file.read_text().splitlines()] for file in files]
    asked = 1 if name == "mbpp" else len(UPSTREAM[name][1])
    assert [[verdict["correct"] for verdict in verdicts] for verdicts in lines] == [[True] * asked, [False] * asked], lines
    assert all(verdict["scores"]["wrong_answer"] == 1.0 for verdict in lines[1])
    table = json.loads((run / "metrics.json").read_text())[name]
    assert (table["pass@1"]["code_correct"], table["pass@2"]["code_correct"]) == (0.5, 1.0)
    assert table["pass@1"]["score_wrong_answer"] == 0.5


def test_mbpps_own_file_of_evalplus_is_refused_in_one_sentence(tmp_path: Path) -> None:
    file = tmp_path / "MbppPlus.jsonl"
    file.write_text(json.dumps(EVALPLUS) + "\n")
    told = ns("prepare_data", "mbpp-plus", f"--source={file}", f"--data_dir={tmp_path / 'data'}", cwd=tmp_path, code=3)
    assert "take the Parquet file of evalplus/mbppplus" in told.stderr
