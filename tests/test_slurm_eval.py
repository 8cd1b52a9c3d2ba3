"""`ns eval` on a real Slurm: the same samples as here, each exactly once, and nothing lost on the way."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest

from ns_eval import job_files
from tests.cluster.slurm import Run, config, needs_slurm, slurm, until

pytestmark = [needs_slurm, pytest.mark.slurm, pytest.mark.slow]


def numbers(run: Run) -> dict[str, Any]:
    """Every number of the summary, less the record of how it was asked for."""
    found = json.loads((run.out / "eval-results/metrics.json").read_text())
    del found["ns_eval"]
    return dict(found)


def test_four_array_jobs_on_one_node_give_what_one_local_job_gives(tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
    one_node = config(tmp_path / "slurm.yaml", sbatch={"nodelist": "n1"})
    there = Run(tmp_path / "there", str(one_node), us_per_token=5)
    here = Run(tmp_path / "here", "local", jobs=1, us_per_token=5)
    on_slurm, locally = there.finish(), here.finish()
    assert on_slurm.returncode == 0, on_slurm.stderr
    assert there.complete()
    assert set(there.asked().values()) == {1}
    assert len({job.partition("_")[0] for job in there.job_ids()}) == 1, "a stage is one array"
    assert len(there.job_ids()) == 4
    assert on_slurm.stdout == locally.stdout.replace(str(here.out), str(there.out))
    assert numbers(there) == numbers(here)
    until(lambda: not there.processes() and not here.processes(), what="a finished job left processes behind")


def test_two_commands_fill_one_folder_at_the_same_time_and_jobs_behind_them_make_the_tables(tmp_path: Path) -> None:
    waiting = str(config(tmp_path / "slurm.yaml", sbatch={"begin": "now+1hour"}))
    first = Run(tmp_path, waiting, seeds=2, jobs=2, us_per_token=5, benchmarks=("aime24",))
    second = dataclasses.replace(first, benchmarks=("gsm8k",))
    for run in (first, second):
        told = run.finish("--detach", "--dependent_jobs=1")
        assert told.returncode == 0, told.stderr
    names = ["generate-0", "generate-1", "generate-rest1-0", "generate-rest1-1", "table"]
    names += ["generate.2-0", "generate.2-1", "generate.2-rest1-0", "generate.2-rest1-1", "table.2"]
    assert [job.name for job in job_files.read_table(first.out).jobs] == names
    refused = dataclasses.replace(first, seeds=1).finish("--detach")
    assert refused.returncode == 5, refused.stderr
    assert "generate-0 of an earlier command is still queued or running" in refused.stderr
    assert "aime24/output-rs0.jsonl" in refused.stderr
    for edited in ("slurm.yaml", "sim.yaml"):
        (tmp_path / edited).write_text("changed: after the submission", encoding="utf-8")
    slurm("scontrol", "update", "jobid=" + ",".join({name.partition("_")[0] for name in first.job_ids()}), "starttime=now")
    until(lambda: {first.state(name)["state"] for name in names} == {"done"}, what="a job did not end as it should")
    assert first.complete()
    assert second.complete()
    assert set(first.asked().values()) == {1}, "the jobs of the rest found nothing to do"
    for table, benchmark in (("table", "aime24"), ("table.2", "gsm8k")):
        text = job_files.log_path(first.out, table).read_text()
        assert benchmark in text
        assert "pass@1" in text


def test_a_server_of_two_nodes_is_led_from_the_first_and_leaves_nothing_on_the_second(tmp_path: Path) -> None:
    run = Run(tmp_path, str(config(tmp_path / "slurm.yaml")), seeds=2, jobs=1, us_per_token=5, nodes=2)
    told = run.finish()
    assert told.returncode == 0, told.stderr
    assert run.complete()
    ranks = dict(line.split("\t") for line in run.journal.read_text().splitlines() if line.startswith("rank "))
    leader, follower = ranks["rank 0"].split()[0], ranks["rank 1"].split()[0]
    assert leader != follower
    assert ranks["rank 1"] == f"{follower} led by {leader}"
    until(lambda: not run.processes(), what="a finished job left processes behind")


def test_a_server_that_never_answers_fails_its_job_within_the_limit_with_its_own_words(tmp_path: Path) -> None:
    code = "import sys, time; print('ERROR: cannot read the weights', flush=True); time.sleep(600)"
    run = Run(tmp_path, str(config(tmp_path / "slurm.yaml")), jobs=1, argv=("{python}", "-c", code), ready_timeout_s=3)
    told = run.finish()
    assert told.returncode == 4, told.stderr
    assert "did not answer within 3 s" in told.stderr
    assert "cannot read the weights" in told.stderr
    assert "Traceback" not in told.stderr
    assert run.state("generate")["state"] == "failed"
    until(lambda: not run.processes(), what="the server outlived its job")
