"""`ns eval --judge=…` judges behind the generation by itself, and the judging commands of the evaluation guide run."""

from __future__ import annotations

import json
import os
import re
import shlex
import sys
from pathlib import Path
from typing import Any

import pytest

from ns_eval.seed_file import output_name
from tests.commands import ns
from tests.models import made_up
from tests.paths import SHARED, needs_shared
from tests.peers.proxied import openai_behind_a_proxy
from tests.peers.simulated import simulated
from tests.peers.standins import script
from tests.runs_on_disk import expected

VERDICT = "The same value.\nJudgement: Yes\n"
MODEL = "--server_type=openai"


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def chained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder: sixteen questions, two seeds, a judge on a server of its own, all by one command, given twice."""
    folder = tmp_path_factory.mktemp("chained")
    quick = ("--fixed-latency-ms", "1", "--model")
    with simulated(*quick, "my-qwen3") as solver, simulated(*quick, "my-qwen2.5", "--text", VERDICT) as judge:
        argv = [MODEL, f"--server_address={solver.url}/v1", "--benchmarks=arithmetic:2", "--max_samples=16"]
        argv += [
            "--model=my-qwen3",
            "--judge=math",
            "++judge.model=my-qwen2.5",
            f"++judge.server_address={judge.url}/v1",
            "--output_dir=out",
        ]
        first = ns("eval", *argv, "++judge.audit=0", cwd=folder)
        asked = judge.stats()["answered"]
        again = ns("eval", *argv, "++judge.audit=0", cwd=folder)
        assert judge.stats()["answered"] == asked
        (folder / "printed.txt").write_text(first.stdout)
        assert again.stdout == first.stdout
        more = ns("eval", *argv, "++judge.audit=1", cwd=folder, code=2)
        assert "`judge` was" in more.stderr
    return folder


def test_the_answers_of_an_evaluation_are_judged_without_a_second_command(chained: Path) -> None:
    judged = chained / "out" / "eval-results-judged" / "arithmetic"
    for seed in (0, 1):
        found = rows(judged / f"output-rs{seed}.jsonl")
        assert [row["id"] for row in found] == [
            row["id"] for row in rows(chained / "out" / "eval-results" / "arithmetic" / f"output-rs{seed}.jsonl")
        ]
        assert all(row["judge_correct"] is True and row["judging"]["judge"]["model"] == "my-qwen2.5" for row in found)
    states = json.loads((chained / "out" / "jobs.json").read_text())["jobs"]
    assert {job["name"]: job["after"] for job in states} == {"generate": [], "judge": ["generate"]}


def test_the_table_of_a_judged_run_has_the_guides_seven_columns(chained: Path) -> None:
    printed = (chained / "printed.txt").read_text().splitlines()
    scores = ["symbolic_correct", "judge_correct", "both_correct", "any_correct", "no_answer"]
    assert [cell.strip() for cell in printed[1].split(" | ")] == ["evaluation_mode", "num_entries", *scores]
    assert printed[0] == " arithmetic-all ".center(len(printed[1]), "-")
    assert [line.split(" |")[0].strip() for line in printed[2:5]] == ["majority@2", "pass@2", "pass@1[2]"]


def test_how_far_the_judge_can_be_trusted_stands_below_the_table(chained: Path) -> None:
    """Every verdict is Yes, and the judge is the model itself: both are flagged; what was spared is one sentence."""
    out = chained / "out"
    printed = (chained / "printed.txt").read_text()
    found = [row for seed in (0, 1) for row in rows(out / "eval-results-judged" / "arithmetic" / f"output-rs{seed}.jsonl")]
    asked = [row for row in found if row["judging"]["judge"]["source"] == "model"]
    agreed = sum(row["symbolic_correct"] is True for row in asked)
    assert f"judged by the model: {len(asked)} of {len(found)} samples" in printed
    assert f"against the symbolic verdict: agreement {100 * agreed / len(asked):.2f}% ({agreed} of {len(asked)})" in printed
    assert f"! the judge always gave the same verdict (1) on {len(asked)} samples" in printed
    assert "! judge my-qwen2.5 and model my-qwen3 are of one family (qwen): it may prefer its own" in printed
    said = json.loads((out / "eval-results-judged" / "arithmetic" / "judging.json").read_text())["said"]
    assert said.startswith(f"{len(found)} samples took ")

    labels = chained / "labels.jsonl"
    labels.write_text("".join(json.dumps({"id": row["id"], "seed": row["seed"], "label": "no"}) + "\n" for row in found))
    told = ns("summarize_results", "out", f"--labels={labels}", cwd=chained)
    assert f"against human labels: agreement 0.00% (0 of {len(asked)})" in told.stdout
    shown = ns("show", "disagreements", "out", f"--labels={labels}", "--most=1", cwd=chained)
    first = re.search(r"seeds? ([\d, ]+): judge 1, label 0", shown.stdout)
    assert first is not None
    assert f"... and {len(asked) - len(first[1].split(', '))} more samples" in shown.stdout


def test_labels_of_other_samples_and_labels_of_nothing_are_refused(chained: Path) -> None:
    (chained / "other.jsonl").write_text('{"id": "nobody", "label": "yes"}\n')
    told = ns("summarize_results", "out", "--labels=other.jsonl", cwd=chained, code=3)
    assert "none of the 1 labels belongs to a judged sample: the first is of question `nobody`" in told.stderr
    told = ns("summarize_results", "out/eval-results/arithmetic", "--labels=other.jsonl", cwd=chained, code=2)
    assert "no benchmark here was judged by a model" in told.stderr


def test_judge_and_generation_share_a_job_where_they_are_told_to(tmp_path: Path) -> None:
    with simulated("--fixed-latency-ms", "1", "--text", VERDICT) as engine:
        argv = [MODEL, f"--server_address={engine.url}/v1", "--model=sim", "--benchmarks=arithmetic:1", "--max_samples=2"]
        argv += ["--judge=math", "--judge_model=sim", f"--judge_server_address={engine.url}/v1", "++judge.own_job=false"]
        ns("eval", *argv, "--output_dir=out", cwd=tmp_path)
    assert [job["name"] for job in json.loads((tmp_path / "out" / "jobs.json").read_text())["jobs"]] == ["generate"]
    assert len(rows(tmp_path / "out" / "eval-results-judged" / "arithmetic" / "output-rs0.jsonl")) == 2


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["++judge.model=sim"], 2, "which judge? --judge is missing"),
        (["--judge=math"], 2, "which model judges? ++judge.model is missing"),
        (["--judge=maths", "++judge.model=tinymath"], 2, "did you mean `math_judge`"),
        (["--judge=symbolic", "++judge.model=tinymath"], 2, "the judge `symbolic` asks no model"),
        (["--judge=math", "++judge.model=tinymath", "++judge.audti=1"], 2, "did you mean `audit`"),
        (["--judge=math", "++judge.model=nowhere"], 2, "which server runs `nowhere`?"),
        (["--judge=pairwise", "++judge.model=tinymath"], 2, "compares two runs"),
        (["--judge=rubric", "++judge.model=tinymath", "++judge.rubric=nothing"], 2, "unknown rubric `nothing`"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_what_is_wrong_with_the_judge_is_said_before_anything_is_generated(
    tmp_path: Path, argv: list[str], code: int, words: str
) -> None:
    told = ns("eval", "--model=tinymath", "--benchmarks=arithmetic:1", "--output_dir=out", *argv, cwd=tmp_path, code=code)
    assert words in told.stderr
    assert not (tmp_path / "out").exists()


def test_a_failed_generation_is_what_is_reported_not_the_judge_that_waited_for_it(tmp_path: Path) -> None:
    argv = [MODEL, "--server_address=http://127.0.0.1:9/v1", "--model=sim", "--benchmarks=arithmetic:1", "--output_dir=out"]
    argv += ["--judge=math", "++judge.model=sim", "++judge.server_address=http://127.0.0.1:9/v1"]
    told = ns("eval", *argv, cwd=tmp_path, code=4)
    assert "no server answers" in told.stderr and "judge" not in told.stderr.replace(str(tmp_path), "")


def guide_commands(workspace: Path) -> list[list[str]]:
    """The words of the guide's two judging commands, /workspace and /trt_models moved to where the test may write."""
    (guide,) = (SHARED / "sources").glob("003_*.txt")
    text = re.sub(r"\\\n\s*", " ", guide.read_text(encoding="utf-8"))
    lines = [line.strip() for line in text.splitlines() if line.strip().startswith("ns generate")]
    moved = [line.replace("/workspace", str(workspace)).replace("/trt_models", str(workspace)) for line in lines]
    return [shlex.split(line)[1:] for line in moved]


def hle_run(workspace: Path) -> Path:
    """What an evaluation with NeMo-Skills left: the greedy answer and two seeds; one sample has no answer."""
    folder = workspace / "openmath-nemotron-1.5b-eval-cot" / "eval-results" / "hle"
    for seed in (None, 0, 1):
        answers = [("a", "1", True), ("b", "2", False), ("c", None, False), ("d", "3", False)]
        lines: list[dict[str, Any]] = [
            {"id": name, "problem": f"What is {name}?", "expected_answer": "1", "generation": "so it is"}
            | {"predicted_answer": answer, "symbolic_correct": right}
            for name, answer, right in answers
        ]
        folder.mkdir(parents=True, exist_ok=True)
        (folder / output_name(seed)).write_text("".join(json.dumps(line) + "\n" for line in lines))
    expected(folder, 4, [None, 0, 1])
    return folder


@needs_shared
def test_the_guides_command_for_a_hosted_judge_runs_as_it_is_printed(tmp_path: Path) -> None:
    """Not one word is changed: api.openai.com is a TLS server on loopback, reached through the proxy of the environment."""
    _, words = guide_commands(tmp_path)
    source = hle_run(tmp_path)
    with openai_behind_a_proxy(tmp_path, VERDICT) as api:
        told = ns(*words, cwd=tmp_path, env=api.environment, code=4)
        assert "$OPENAI_API_KEY is not set" in told.stderr and not api.requests
        ns(*words, cwd=tmp_path, env={**api.environment, "OPENAI_API_KEY": "sk-canary-0123456789"})
    assert {request.headers["authorization"] for request in api.requests} == {"Bearer sk-canary-0123456789"}
    assert {request.host for request in api.requests} == {"api.openai.com:443"}
    asked = [json.loads(request.body) for request in api.requests if request.body]
    assert {body["model"] for body in asked} == {"gpt-4o"}
    folder = source.parent.parent / "eval-results-judged" / "hle"
    assert sorted(path.name for path in folder.glob("output*.jsonl")) == [
        "output-rs0.jsonl",
        "output-rs1.jsonl",
        "output.jsonl",
    ]
    for path in folder.glob("output*.jsonl"):
        assert [row["judge_correct"] for row in rows(path)] == [True, True, False, True]
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not [path for path in written if b"sk-canary" in path.read_bytes()]


@needs_shared
def test_the_guides_command_for_a_judge_of_ones_own_runs_as_it_is_printed(tmp_path: Path) -> None:
    words, _ = guide_commands(tmp_path)
    hle_run(tmp_path)
    made_up(tmp_path / "qwen2.5-32b-instruct", num_key_value_heads=4)
    (tmp_path / "qwen2.5-32b-instruct" / "tokenizer_config.json").write_text('{"chat_template": "{{ messages }}"}')
    (tmp_path / "bin").mkdir()
    script(tmp_path / "bin" / "trtllm-serve", f'exec "{sys.executable}" -m tests.peers.engines trtllm "$@"')
    script(tmp_path / "bin" / "nvidia-smi", 'for n in 0 1 2 3; do echo "$n, G$n, 81920, 0"; done')
    env = {"PATH": f"{tmp_path / 'bin'}:{os.environ['PATH']}", "CUDA_VISIBLE_DEVICES": "0,1,2,3"}
    told = ns(*words, cwd=tmp_path, env=env)
    folder = tmp_path / "openmath-nemotron-1.5b-eval-cot" / "eval-results-judged" / "hle"
    # The stand-in says "base", which is no verdict: missing, never wrong.
    assert [row["judge_correct"] for row in rows(folder / "output-rs1.jsonl")] == [True, None, False, None]
    assert "api.openai.com" not in told.stderr
