"""`ns eval` end to end: a model answers, answers are graded, the table is printed."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.commands import ns, start
from tests.paths import SHARED, needs_shared
from tests.peers.scripted import closed_port
from tests.peers.simulated import Simulated, simulated

TINY = ["--model=tinymath", "--benchmarks=arithmetic:4", "--output_dir=out"]


def rows(folder: Path, benchmark: str = "arithmetic") -> list[dict[str, Any]]:
    """Every line of every finished file."""
    files = sorted((folder / "eval-results" / benchmark).glob("output*.jsonl"))
    return [json.loads(line) for path in files for line in path.read_text().splitlines()]


def texts(folder: Path) -> dict[tuple[str, int], str]:
    return {(row["id"], row["seed"]): row["generation"] for row in rows(folder)}


@pytest.fixture(scope="module")
def embedded_run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """The main job on the embedded default: its folder, what it printed, what it said meanwhile."""
    cwd = tmp_path_factory.mktemp("embedded")
    told = ns("eval", *TINY, cwd=cwd)
    return cwd, told.stdout, told.stderr


def test_the_shipped_model_solves_part_of_the_shipped_benchmark(embedded_run: tuple[Path, str, str]) -> None:
    cwd, out, err = embedded_run
    found = rows(cwd / "out")
    assert Counter((row["id"], row["seed"]) for row in found) == Counter(
        (f"arithmetic-{i}", seed) for i in range(100) for seed in range(4)
    )
    right = sum(row["symbolic_correct"] for row in found) / len(found)
    assert 0.4 < right < 0.75
    assert "arithmetic" in out
    for row in ("majority@4", "pass@4", "pass@1[4]", "evaluation_mode | num_entries | symbolic_correct | no_answer"):
        assert row in out
    assert "400/400" in err


def test_a_finished_run_asks_nothing_and_prints_the_same_table(embedded_run: tuple[Path, str, str]) -> None:
    cwd, out, _ = embedded_run
    before = texts(cwd / "out")
    told = ns("eval", *TINY, cwd=cwd)
    assert told.stdout == out
    assert texts(cwd / "out") == before


def test_the_same_seeds_give_the_same_answers(embedded_run: tuple[Path, str, str], tmp_path: Path) -> None:
    cwd, _, _ = embedded_run
    ns("eval", *TINY, cwd=tmp_path)
    first, second = texts(cwd / "out"), texts(tmp_path / "out")
    same = sum(first[key] == second[key] for key in first)
    assert same >= 0.99 * len(first)


def test_more_seeds_are_added_to_a_run(embedded_run: tuple[Path, str, str], tmp_path: Path) -> None:
    cwd, _, _ = embedded_run
    shutil.copytree(cwd / "out", tmp_path / "out")
    told = ns("eval", "--model=tinymath", "--benchmarks=arithmetic:5", "--output_dir=out", "--add_greedy", cwd=tmp_path)
    assert len(rows(tmp_path / "out")) == 600
    assert "400/600" not in told.stdout
    before = texts(cwd / "out")
    after = texts(tmp_path / "out")
    assert all(after[key] == text for key, text in before.items())


def test_other_settings_in_the_same_folder_are_refused_by_name(embedded_run: tuple[Path, str, str]) -> None:
    cwd, _, _ = embedded_run
    told = ns("eval", *TINY, "++inference.temperature=0.2", cwd=cwd, code=2)
    assert "`inference.temperature` was `0.7`, is `0.2`" in told.stderr
    assert "--rerun_done" in told.stderr


def test_a_dry_run_prints_the_plan_and_the_prompt_and_starts_nothing(tmp_path: Path) -> None:
    told = ns("eval", *TINY, "--dry_run", cwd=tmp_path)
    assert "arithmetic" in told.stdout
    assert "\\boxed{}" in told.stdout
    assert not (tmp_path / "out").exists()


def test_one_greedy_sample_prints_the_row_pass_at_1(tmp_path: Path) -> None:
    told = ns("eval", "--model=tinymath", "--benchmarks=arithmetic:0", "--output_dir=out", "--max_samples=20", cwd=tmp_path)
    lines = [line.split(" | ")[0].strip() for line in told.stdout.splitlines() if " | " in line]
    assert lines[:2] == ["evaluation_mode", "pass@1"]
    assert [row["seed"] for row in rows(tmp_path / "out")] == [None] * 20


def aime(tmp_path: Path) -> dict[str, str]:
    """AIME 2024 prepared in a data folder, as the environment that names it."""
    folder = tmp_path / "data"
    ns("prepare_data", "aime24", f"--data_dir={folder}", f"--source={SHARED / 'data' / 'aime24'}", cwd=tmp_path)
    return {"NS_DATA_DIR": str(folder)}


def remote(engine: Simulated, *more: str) -> list[str]:
    return ["--model=sim", "--server_type=openai", f"--server_address={engine.url}/v1", "--output_dir=out", *more]


FAST = ("--slots", "32", "--us-per-token", "2")


@needs_shared
def test_every_sample_arrives_once_through_faults(tmp_path: Path) -> None:
    env = aime(tmp_path)
    with simulated(*FAST, "--faults", "0.2", "--hang-s", "5") as engine:
        told = ns("eval", *remote(engine, "--benchmarks=aime24:16", "++inference.timeout_s=3"), cwd=tmp_path, env=env)
        stats = engine.stats()
    found = rows(tmp_path / "out", "aime24")
    assert Counter((row["id"], row["seed"]) for row in found) == Counter(
        (f"aime24-{i}", seed) for i in range(30) for seed in range(16)
    )
    assert all(row["status"] != "error" for row in found)
    retried = sum(row["num_attempts"] - 1 for row in found)
    # The first question to the server, before any sample, may have met faults of its own.
    assert 20 < sum(stats["faults"].values()) - 5 <= retried
    assert f"retries {retried}" in told.stderr


@needs_shared
@pytest.mark.slow
def test_a_run_killed_twenty_times_ends_like_an_unbroken_one(tmp_path: Path) -> None:
    env = aime(tmp_path)
    broken, whole = tmp_path / "broken", tmp_path / "whole"
    broken.mkdir()
    whole.mkdir()
    with simulated("--slots", "32", "--us-per-token", "300") as engine:
        argv = ["eval", *remote(engine, "--benchmarks=aime24:16", "++server.max_num_seqs=32")]
        on_disk: dict[tuple[str, int], str] = {}
        for moment in range(20):
            process = start(*argv, cwd=broken, env=env)
            try:
                process.wait(timeout=1.2 + 0.173 * moment % 1.1)
            except subprocess.TimeoutExpired:
                kill_session(process.pid)
            process.communicate()
            now = written(broken / "out" / "eval-results" / "aime24")
            assert on_disk.items() <= now.items(), "an answer that was on disk was asked again or lost"
            on_disk = now
        ns(*argv, cwd=broken, env=env)
        ns(*argv, cwd=whole, env=env)
    assert Counter((row["id"], row["seed"]) for row in rows(broken / "out", "aime24")).most_common(1)[0][1] == 1
    assert stable(broken) == stable(whole)
    finished = sorted(path.name for path in (broken / "out" / "eval-results" / "aime24").glob("output*"))
    assert finished == sorted(path.name for path in (whole / "out" / "eval-results" / "aime24").glob("output*"))


def stable(cwd: Path) -> list[tuple[Any, ...]]:
    """What must not depend on how often a run was broken."""
    columns = ("id", "seed", "generation", "status", "symbolic_correct", "predicted_answer", "num_generated_tokens")
    return [tuple(row[column] for column in columns) for row in rows(cwd / "out", "aime24")]


def written(folder: Path) -> dict[tuple[str, int], str]:
    """The whole lines of every file, finished or not."""
    found = {}
    for path in folder.glob("output*.jsonl*"):
        for line in path.read_bytes().split(b"\n")[:-1]:
            row = json.loads(line)
            found[row["id"], row["seed"]] = row["generation"]
    return found


def kill_session(leader: int) -> None:
    """SIGKILL to every process whose session the command leads, and to those that it started in sessions of their own."""
    import psutil

    family = [psutil.Process(leader), *psutil.Process(leader).children(recursive=True)]
    for process in family:
        process.send_signal(signal.SIGKILL)
    psutil.wait_procs(family, timeout=10)


def test_a_server_that_is_not_there_is_one_clear_error(tmp_path: Path) -> None:
    address = f"http://127.0.0.1:{closed_port()}/v1"
    argv = ["--model=m", "--server_type=openai", f"--server_address={address}", "--benchmarks=arithmetic:2"]
    told = ns("eval", *argv, "--output_dir=out", cwd=tmp_path, code=4)
    assert address in told.stderr
    assert "--server_address" in told.stderr
