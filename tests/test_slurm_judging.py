"""A model judges on a real Slurm: behind an evaluation that nobody waits for, and dealt over jobs of which one is killed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from ns_eval import job_files
from tests.cluster.slurm import ENGINE, MODEL, QUESTIONS, Run, config, needs_slurm, start_again_now, until
from tests.paths import REPO
from tests.runs_on_disk import expected, output_file, sample

pytestmark = [needs_slurm, pytest.mark.slurm, pytest.mark.slow]
SEEDS = 8
_SLOTS = 2


def judge_server(folder: Path, engine: Path, us_per_token: float = 5) -> Path:
    """The YAML of an engine that agrees with everything, and notes what it was asked in `judged`."""
    argv = ["{python}", str(engine), "--journal", str(folder / "judged"), "--port", "{port}"]
    args = {"model": "{name}", "slots": _SLOTS, "us-per-token": us_per_token, "text": "They agree.\nJudgement: Yes\n"}
    path = folder / "judge.yaml"
    path.write_text(json.dumps({"name": "judging", "argv": argv, "args": args, "max_num_seqs": _SLOTS}), encoding="utf-8")
    return path


def asked(folder: Path) -> Counter[str]:
    """How often the judge was asked each call."""
    lines = (folder / "judged").read_text().splitlines()
    return Counter(line.partition("\t")[2] for line in lines if line.startswith("asked\t"))


def ns(*words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "ns_eval", *words],
        cwd=REPO,
        env=Run.environment(),
        capture_output=True,
        text=True,
        timeout=600,
    )


def judged(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(folder.glob("output-rs*.jsonl")) for line in path.read_text().splitlines()]


def test_a_judge_behind_an_evaluation_that_fails_is_told_and_run_again_alone(tmp_path: Path) -> None:
    engine = tmp_path / "engine.py"
    engine.write_text("raise SystemExit('no such weights')\n", encoding="utf-8")
    run = Run(tmp_path, str(config(tmp_path / "slurm.yaml")), seeds=SEEDS, jobs=-1, us_per_token=5)
    server = judge_server(tmp_path, engine)
    told = run.finish("--detach", "--judge=math", f"++judge.model={MODEL}", f"++judge.server_type={server}")
    assert told.returncode == 0, told.stderr
    names = ["generate-0", "generate-1", "judge-0", "judge-1", "table"]
    assert [job.name for job in job_files.read_table(run.out).jobs] == names
    until(lambda: run.state("table")["state"] == "failed", what="the table does not hear of the judges' end")
    told = ns("status", str(run.out), "--json")
    states = {job["name"]: job["state"] for job in json.loads(told.stdout)["jobs"]}
    assert states == dict(zip(names, ["done", "done", "failed", "failed", "failed"], strict=True))
    assert told.returncode == 5
    assert "no such weights" in str(run.state("judge-0")["error"])
    assert str(run.state("table")["error"]).startswith("not run, because judge-0 is not done")

    engine.unlink()
    engine.symlink_to(ENGINE)
    told = ns("retry", str(run.out))
    assert told.returncode == 0, told.stderr
    assert "running 3 of 5 jobs again" in told.stderr
    told = ns("status", str(run.out), "--json")
    assert told.returncode == 0, told.stdout
    assert run.complete()
    assert set(run.asked().values()) == {1}, "a judge that failed costs no answer again"
    for name in run.benchmarks:
        rows = judged(run.out / "eval-results-judged" / name)
        samples = {(f"{name}-{number}", seed): 1 for number in range(QUESTIONS[name]) for seed in range(SEEDS)}
        assert Counter((row["id"], row["seed"]) for row in rows) == samples
        assert all(row["judge_correct"] for row in rows)
    assert asked(tmp_path)
    assert set(asked(tmp_path).values()) == {1}
    table = job_files.log_path(run.out, "table").read_text()
    assert all(word in table for word in (*run.benchmarks, "judged by the model"))


def test_a_judging_dealt_over_jobs_loses_nothing_when_one_of_them_is_killed(tmp_path: Path) -> None:
    source, out = tmp_path / "eval-results" / "b", tmp_path / "judged-b"
    questions = [f"{number} modulo 4" for number in range(12)]
    for seed in range(4):
        # No two answers are alike and none is right: every sample needs a call of its own.
        output_file(source, seed, [sample(name, seed, f"{n}{seed}.5", False) for n, name in enumerate(questions)])
    expected(source, len(questions), range(4))
    cluster = config(tmp_path / "slurm.yaml")
    server = judge_server(tmp_path, ENGINE, us_per_token=400)
    command = ["generate", f"--cluster={cluster}", "--generation_type=math_judge", f"--model={MODEL}"]
    command += [f"--server_type={server}", f"--input_dir={source}", f"--output_dir={out}", "--num_chunks=3"]
    told = ns(*command, "--detach")
    assert told.returncode == 0, told.stderr
    names = ["judge-0", "judge-1", "judge-2"]
    ids = [job.job_id for job in job_files.read_table(out).jobs]
    assert len({name.partition("_")[0] for name in ids}) == 1, "a stage is one array"
    part = out / "judge-calls" / "output_chunk_1.jsonl-async"
    until(lambda: part.exists() and part.read_bytes().count(b"\n") >= 2, what="the second job does not judge")
    victim = job_files.read_state(out, "judge-1").pid
    assert victim is not None
    os.kill(victim, signal.SIGKILL)

    def done() -> bool:
        start_again_now(ids)
        return all(job_files.read_state(out, name).state == "done" for name in names)

    until(done, what="the killed job did not come back")
    assert [job_files.read_state(out, name).attempt for name in names] == [1, 2, 1]
    calls = asked(tmp_path)
    assert len(calls) == 48
    assert calls.total() - 48 <= 2 * _SLOTS, "more than what was in flight was asked again"
    stored = [json.loads(line)["id"] for line in (out / "judge-calls" / "output.jsonl").read_text().splitlines()]
    assert len(stored) == len(set(stored)) == 48
    rows = judged(out)
    assert Counter((row["id"], row["seed"]) for row in rows) == {(name, seed): 1 for name in questions for seed in range(4)}
    assert all(row["judge_correct"] for row in rows)
    assert ns("status", str(out)).returncode == 0
    assert ns(*command).returncode == 0
    assert asked(tmp_path) == calls, "a finished judging asks nothing again"
