"""`ns eval` on a real Slurm: the same samples as here, each exactly once, and nothing lost on the way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.cluster.slurm import Run, config, needs_slurm, until

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


def test_a_server_that_never_answers_fails_its_job_within_the_limit_with_its_own_words(tmp_path: Path) -> None:
    code = "import sys, time; print('ERROR: cannot read the weights', flush=True); time.sleep(600)"
    run = Run(tmp_path, str(config(tmp_path / "slurm.yaml")), jobs=1, argv=("{python}", "-c", code), ready_timeout_s=3)
    told = run.finish()
    assert told.returncode == 4, told.stderr
    assert "did not answer within 3 s" in told.stderr
    assert "cannot read the weights" in told.stderr
    assert "Traceback" not in told.stderr
    state = run.state("generate")
    assert state["state"] == "failed"
    assert state["ended"] - state["started"] < 30
    until(lambda: not run.processes(), what="the server outlived its job")
