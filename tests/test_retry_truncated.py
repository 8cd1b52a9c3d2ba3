"""`ns retry OUT --truncated` asks anew, with more tokens and the same seed, what was cut at its limit, and nothing else."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from tests.commands import ns, start
from tests.peers.simulated import Simulated, simulated

QUESTIONS, SEEDS = 12, 2


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def evaluated(engine: Simulated, folder: Path, *more: str) -> Path:
    argv = ["--server_type=openai", f"--server_address={engine.url}/v1", "--model=sim", f"--benchmarks=arithmetic:{SEEDS}"]
    argv += [f"--max_samples={QUESTIONS}", "--output_dir=out", "++inference.tokens_to_generate=400", *more]
    ns("eval", *argv, cwd=folder)
    return folder / "out" / "eval-results" / "arithmetic"


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run in which some samples, not all, were truncated at 400 tokens."""
    folder = tmp_path_factory.mktemp("cut")
    with simulated("--fixed-latency-ms", "1", "--median-tokens", "400") as engine:
        results = evaluated(engine, folder)
    status = [row["status"] for seed in range(SEEDS) for row in lines(results / f"output-rs{seed}.jsonl")]
    assert 0 < status.count("truncated") < len(status)
    return folder


@pytest.fixture
def again(cut: Path, tmp_path: Path) -> Path:
    """A copy of it, whose job specs name the copy."""
    shutil.copytree(cut, tmp_path, dirs_exist_ok=True)
    for path in (tmp_path / "out").rglob("*.json"):
        path.write_text(path.read_text().replace(str(cut), str(tmp_path)))
    return tmp_path


def at(folder: Path, engine: Simulated) -> None:
    """Lets the jobs of the folder ask this engine, on whatever port it is."""
    for path in (folder / "out").rglob("*.json"):
        text = path.read_text()
        for word in set(text.split('"')):
            if word.startswith("http://127.0.0.1:") and word.endswith("/v1"):
                text = text.replace(word, f"{engine.url}/v1")
        path.write_text(text)


def test_only_truncated_samples_are_asked_and_the_old_lines_stay(again: Path) -> None:
    results = again / "out" / "eval-results" / "arithmetic"
    before = {seed: lines(results / f"output-rs{seed}.jsonl") for seed in range(SEEDS)}
    truncated = {(seed, row["id"]) for seed, rows in before.items() for row in rows if row["status"] == "truncated"}
    with simulated("--fixed-latency-ms", "1", "--median-tokens", "400") as engine:
        at(again, engine)
        told = ns("retry", "out", "--truncated", "++inference.tokens_to_generate=100000", cwd=again)
        assert f"asking {len(truncated)} truncated samples again, with 100000 tokens" in told.stderr
        # A server that was not started here is asked one thing first: whether it answers.
        assert engine.stats()["answered"] - 1 == len(truncated)
    kept = {(seed, row["id"]) for seed in range(SEEDS) for row in kept_lines(results, seed)}
    assert kept == truncated
    for seed in range(SEEDS):
        rows = lines(results / f"output-rs{seed}.jsonl")
        assert [row["id"] for row in rows] == [row["id"] for row in before[seed]]
        for row, old in zip(rows, before[seed], strict=True):
            if (seed, row["id"]) in truncated:
                assert row["generation_meta"]["extended"] == {"from": 400, "to": 100000}
                assert row["status"] != "truncated"
                assert row["seed"] == seed
            else:
                assert row == old
    entry = json.loads((again / "out" / "run.json").read_text())["commands"][-1]
    assert "retry out --truncated" in entry["command"]
    assert entry["config"]["inference"]["tokens_to_generate"] == 100000
    assert entry["outcome"] == "done"


def kept_lines(results: Path, seed: int) -> list[dict[str, Any]]:
    path = results / f"output-rs{seed}.before-retry.jsonl"
    return lines(path) if path.exists() else []


def test_the_tables_say_how_many_were_extended_and_how_far_the_score_moved(again: Path) -> None:
    results = again / "out" / "eval-results" / "arithmetic"
    truncated = sum(
        row["status"] == "truncated" for seed in range(SEEDS) for row in lines(results / f"output-rs{seed}.jsonl")
    )
    old = ns("summarize_results", "out", cwd=again).stdout
    was = next(line for line in old.splitlines() if line.startswith("pass@1[2]")).split("|")[2].strip()
    with simulated("--fixed-latency-ms", "1", "--median-tokens", "400") as engine:
        at(again, engine)
        ns("retry", "out", "--truncated", "++inference.tokens_to_generate=100000", cwd=again)
    printed = ns("summarize_results", "out", cwd=again).stdout
    now = next(line for line in printed.splitlines() if line.startswith("pass@1[2]")).split("|")[2].strip()
    moved = f"pass@1[2] symbolic_correct was {was} before, is {now}"
    assert f"{truncated} truncated samples were asked again with more tokens: {moved}" in printed
    assert "before, is" in ns("report", "out", "--format=md", cwd=again).stdout
    metrics = json.loads((again / "out" / "eval-results" / "metrics.json").read_text())
    assert next(iter(metrics.values()))["pass@1[2]"]["extended"]["samples"] == truncated


def answered(results: Path) -> int:
    """Longer answers on disk, finished or in progress: there graded ones stand twice, and the last line may be torn."""
    written = (line for path in results.glob("*-async") for line in path.read_bytes().split(b"\n")[:-1])
    found = {(row["id"], row["seed"]) for row in map(json.loads, written)}
    for seed in range(SEEDS):
        path = results / f"output-rs{seed}.jsonl"
        found |= {(row["id"], seed) for row in lines(path) if "generation_meta" in row} if path.exists() else set()
    return len(found)


@pytest.mark.parametrize("moment", ["first", "last"])
def test_a_killed_retry_goes_on_and_asks_nothing_twice(again: Path, moment: str) -> None:
    """After the last answer nothing is left to ask, but answers wait for their verdicts."""
    results = again / "out" / "eval-results" / "arithmetic"
    truncated = sum(
        row["status"] == "truncated" for seed in range(SEEDS) for row in lines(results / f"output-rs{seed}.jsonl")
    )
    words = ["retry", "out", "--truncated", "++inference.tokens_to_generate=100000"]
    with simulated("--us-per-token", "300", "--median-tokens", "400") as engine:
        at(again, engine)
        process = start(*words, cwd=again)
        deadline = time.monotonic() + 60
        wanted = 1 if moment == "first" else truncated
        while answered(results) < wanted:
            assert time.monotonic() < deadline
            time.sleep(0.01)
        with contextlib.suppress(ProcessLookupError):  # on a slow machine it may be over
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        kept = answered(results)
        ns(*words, cwd=again)
        # What was in flight is asked again, what was written is not; each start asks whether the server is there.
        assert engine.stats()["answered"] <= truncated + (truncated - kept) + 2
    done = [row for seed in range(SEEDS) for row in lines(results / f"output-rs{seed}.jsonl") if "generation_meta" in row]
    assert len(done) == truncated
    assert sum(len(kept_lines(results, seed)) for seed in range(SEEDS)) == truncated
    assert all(row["status"] == "truncated" for seed in range(SEEDS) for row in kept_lines(results, seed))
    assert not list(results.glob("*-async"))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--truncated"], "how many tokens? their number is missing"),
        (["--truncated", "++inference.tokens_to_generate=300"], "tokens_to_generate=300 is not above the 400"),
        (
            ["--truncated", "++inference.tokens_to_generate=900", "++inference.temperature=0.1"],
            "only inference.tokens_to_gen",
        ),
        (["++inference.tokens_to_generate=900"], "it belongs to --truncated"),
    ],
)
def test_nothing_but_a_higher_limit_may_change(cut: Path, words: list[str], said: str) -> None:
    told = ns("retry", "out", *words, cwd=cut, code=2)
    assert said in told.stderr
