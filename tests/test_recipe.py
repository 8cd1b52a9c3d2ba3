"""A recipe runs existing commands: prompts, several models at once, a judge, files; killed, it goes on where it was."""

from __future__ import annotations

import contextlib
import json
import random
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from benchmarks import recipe as benchmark
from benchmarks.recipe import CRITERIA, RIDDLE, opened, play
from ns_eval.recipe import RecipeConfig, recipe
from ns_eval.resources import conf_names
from ns_eval.schema import load_yaml
from tests.commands import ns
from tests.peers.simulated import Simulated, simulated

PROMPTS = 12
FAULTY = next(model for model in benchmark.SIMULATED if model.name == "faulty")
RATING = json.dumps(
    {"comments": "sound", "correctness": 4, "methodology": 5, "specificity": 3, "clarity": 5, "hallucination_safety": 4}
)
DOMAINS = ("physics", "biology", "chemistry")


class Older(BaseHTTPRequestHandler):
    """An inference server of the older kind."""

    asked: ClassVar[list[dict[str, Any]]] = []

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        type(self).asked.append(body)
        raw = json.dumps({"output": f"I answer: {body['user_prompt']}", "tokens_in": 5, "tokens_out": 7}).encode()
        self.send_response(200 if self.path == "/infer" else 404)
        self.send_header("content-length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *args: object) -> None:
        """Quiet."""


@contextlib.contextmanager
def older_server() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Older)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()


def source(folder: Path, count: int = PROMPTS) -> Path:
    rows = [
        {"id": f"q{at}", "prompt": f"Why {at}?", "domain": DOMAINS[at % 3], "task_type": "explanation"}
        for at in range(count)
    ]
    pq.write_table(pa.Table.from_pylist(rows), folder / "prompts.parquet")
    return folder / "prompts.parquet"


def conf(folder: Path, answers: dict[str, Simulated], key: str = "") -> str:
    """Models of one's own, each on its server, in a folder beside the shipped one."""
    (folder / "conf" / "model").mkdir(parents=True)
    for name, engine in answers.items():
        text = (
            f"name: {name}\nabout: simulated\npath: sim\nserver_type: openai\nserver: {{base_url: {engine.url}/v1{key}}}\n"
        )
        (folder / "conf" / "model" / f"{name}.yaml").write_text(text + "inference: {tokens_to_generate: 3000}\n")
    return f"hydra.searchpath=[file://{folder / 'conf'}]"


def words(folder: Path, judge: Simulated, searched: str, *models: str) -> list[str]:
    """The searchpath belongs to each evaluation too: extra words of its stage."""
    return [
        "eval",
        "--recipe=scientific",
        "--output_dir=out",
        f"--source={source(folder)}",
        f"--samples={PROMPTS}",
        f"--models={','.join(models)}",
        "--judge_model=sim",
        f"--judge_address={judge.url}/v1",
        searched,
        f"++extra.answers={searched}",
    ]


def data(folder: Path) -> dict[str, str]:
    return {"NS_DATA_DIR": str(folder / "data")}


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.mark.slow
def test_the_whole_recipe_stopped_by_its_budget_killed_and_resumed_has_everything_once(tmp_path: Path) -> None:
    """A faulty engine, a provider with errors inside a 200, the embedded engine; a judge that is partly unreadable."""
    with opened(tmp_path, [FAULTY], PROMPTS) as here:
        found = play(here, random.Random(1), kills=1, budget_usd=0.02)
    assert found.wrong == []
    assert (found.answers, found.judgements) == (3 * PROMPTS, 3 * PROMPTS)
    assert found.kills == 1
    assert sum(here.hosted.asked.values()) > PROMPTS, "no error inside a 200 was met"
    assert 3 <= found.unrated < 3 * PROMPTS
    reports = tmp_path / "out" / "reports"
    merged = pq.read_table(reports / "merged_results.parquet").to_pylist()
    assert {row["model_id"] for row in merged} == {"faulty", "hosted", "local"}
    assert all(row["overall_score"] is None for row in merged if RIDDLE in row["prompt"])
    assert any(row["overall_score"] for row in merged)
    wanted = {"id", "prompt", "domain", "task_type", "model_id", "output", "tokens_in", "tokens_out", "latency_ms"}
    assert wanted | {"raw_response", *CRITERIA, "comments", "overall_score", "is_truncated"} <= set(merged[0])
    assert pq.read_table(reports / "judgments_hosted.parquet").num_rows == PROMPTS
    summary = json.loads((reports / "summary.json").read_text())
    assert set(summary["benchmarks"]["science-prompts"]["parts"]["domain"]) == set(benchmark.DOMAINS)
    assert json.loads((reports / "insights.json").read_text())["findings"]
    assert (reports / "plots" / "per_model_scores.png").stat().st_size > 1000
    assert "<!doctype html>" in (tmp_path / "out" / "report.html").read_text()


def test_a_model_without_its_key_is_named_before_anything_is_asked(tmp_path: Path) -> None:
    with simulated("--fixed-latency-ms", "1") as engine:
        searched = conf(tmp_path, {"keyed": engine}, ", api_key_env: NS_NO_SUCH_KEY")
        argv = words(tmp_path, engine, searched, "keyed")
        told = ns(*argv, cwd=tmp_path, env=data(tmp_path), code=2)
        assert "no key for 1 of 1 models: keyed needs $NS_NO_SUCH_KEY" in told.stderr
        assert engine.stats()["answered"] == 0
        assert not (tmp_path / "out").exists()


def test_the_others_go_on_only_where_somebody_says_so(tmp_path: Path) -> None:
    with simulated("--fixed-latency-ms", "1", "--text", RATING) as engine:
        searched = conf(tmp_path, {"keyed": engine}, ", api_key_env: NS_NO_SUCH_KEY")
        (tmp_path / "conf" / "model" / "free.yaml").write_text(
            f"name: free\nabout: simulated\npath: sim\nserver_type: openai\nserver: {{base_url: {engine.url}/v1}}\n"
        )
        argv = words(tmp_path, engine, searched, "keyed", "free")
        ns(*argv, "--stages=prompts", cwd=tmp_path, env=data(tmp_path))
        ns(*argv, "--stages=answers", cwd=tmp_path, env=data(tmp_path), code=2)
        argv[-1] += " ++price.output=1000"
        told = ns(*argv, "--stages=answers", "++allow_missing_models=true", cwd=tmp_path, env=data(tmp_path))
        dollars = engine.stats()["generated_tokens"] / 1000
    assert "left out: keyed needs $NS_NO_SUCH_KEY" in told.stderr
    shown = re.search(r"1 model, 1 ended: .* · \$(\d+\.\d+)", told.stderr)
    assert shown, told.stderr
    assert 0 < float(shown[1]) <= dollars
    assert (tmp_path / "out" / "free" / "eval-results-judged" / "science-prompts" / "output.jsonl").exists()
    assert not (tmp_path / "out" / "keyed").exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["--recipe=scientifc"], "did you mean `scientific`"),
        (["--stages=answer"], "no stage `answer`"),
        (["++values.judge=x"], "no value `judge`"),
        (["--models=tinymath,tinymath"], "two of `models` have one name"),
    ],
)
def test_what_a_recipe_does_not_have_is_named(tmp_path: Path, more: list[str], said: str) -> None:
    told = ns("eval", "--recipe=scientific", "--output_dir=out", *more, cwd=tmp_path, code=2)
    assert said in told.stderr


@pytest.mark.parametrize("name", conf_names("recipe"))
def test_a_recipe_is_nothing_but_commands_that_are_taken(name: str, tmp_path: Path) -> None:
    from tests.test_documented_commands import taken

    found = recipe(RecipeConfig(recipe=name, output_dir="out"))
    assert load_yaml(conf_names("recipe")[name])["name"] == name
    assert found.about
    lines = ns("eval", f"--recipe={name}", "--output_dir=out", "--dry_run", cwd=tmp_path).stdout.splitlines()
    assert len(lines) >= len(found.stages)
    for line in lines:
        taken(line)


def test_an_older_inference_server_can_be_asked(tmp_path: Path) -> None:
    with older_server() as address:
        argv = ["--model=org/older", "--server_type=infer", f"--server_args=--upstream={address}", "--max_samples=3"]
        argv += ["--benchmarks=arithmetic:0", "--output_dir=out", "++inference.tokens_to_generate=64"]
        ns("eval", *argv, cwd=tmp_path)
    found = rows(tmp_path / "out" / "eval-results" / "arithmetic" / "output.jsonl")
    assert len(found) == 3
    assert all(row["generation"].startswith("I answer: ") and row["num_generated_tokens"] == 7 for row in found)
    assert {body["max_tokens"] for body in Older.asked if body["max_tokens"] == 64} == {64}
