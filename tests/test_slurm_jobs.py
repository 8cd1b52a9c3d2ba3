"""Jobs on a real Slurm: one array a stage, ended or requeued as a whole, and every end known with its reason."""

from __future__ import annotations

import dataclasses
import hashlib
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ns_eval import job_files, launch, process_ids
from ns_eval.cluster import clusters
from ns_eval.cluster.clusters import ClusterConfig
from ns_eval.cluster.job_status import Current, current
from ns_eval.cluster.slurm_queue import Watch
from ns_eval.errors import ServerError
from ns_eval.job_commands import CancelConfig, RetryConfig, cancel, retry
from ns_eval.job_files import Submitted
from ns_eval.jobs import JobSpec
from ns_eval.status import StatusConfig
from ns_eval.status import main as status
from tests.cluster.slurm import config, needs_slurm, preempt, slurm, start_again_now, until
from tests.paths import REPO

pytestmark = [needs_slurm, pytest.mark.slurm, pytest.mark.slow]
TARGETS = "tests.cluster.targets:"


@pytest.fixture(autouse=True)
def importable_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    """The nodes find tests.cluster.targets as the test does."""
    monkeypatch.setenv("PYTHONPATH", str(REPO))


def spec(name: str, target: str, after: tuple[str, ...] = (), **arguments: Any) -> JobSpec:
    return JobSpec(name, TARGETS + target, arguments, after=after)


def cluster(tmp_path: Path, **changes: Any) -> ClusterConfig:
    return clusters.load(str(config(tmp_path / "cluster.yaml", **changes)))


def now(jobs: tuple[Submitted, ...]) -> dict[str, Current]:
    return {found.job.name: found for found in current(jobs, Watch())}


def test_five_hundred_jobs_are_one_array_and_are_watched_with_few_calls(tmp_path: Path) -> None:
    place = cluster(tmp_path, sbatch={"begin": "now+1hour"})
    submitted = launch.submit([spec(f"generate-{n}", "write", path="x") for n in range(500)], place, tmp_path)
    assert len({job.job_id.partition("_")[0] for job in submitted}) == 1
    seconds = itertools.count(0, 5)
    watch = Watch(clock=lambda: float(next(seconds)))
    for _ in range(24):
        assert {found.state for found in current(submitted, watch)} == {"queued"}
    assert 2 <= watch.calls <= 24, f"{watch.calls} calls in two minutes of 500 queued jobs"


def test_dependents_wait_for_the_whole_array_and_say_why_they_did_not_run(tmp_path: Path) -> None:
    jobs = [
        spec("generate-0", "write", path=str(tmp_path / "a")),
        spec("generate-1", "refuse", message="no room"),
        spec("table", "write", after=("generate-0", "generate-1"), path=str(tmp_path / "ran")),
    ]
    submitted = launch.submit(jobs, cluster(tmp_path), tmp_path)
    with pytest.raises(ServerError, match="no room"):
        launch.wait(submitted)
    assert job_files.read_state(tmp_path, "table").error == "not run, because generate-1 is not done: no room"
    assert not (tmp_path / "ran").exists()
    assert (tmp_path / "a").exists()


def test_a_stage_behind_another_does_the_rest_where_no_job_may_be_queued_again(tmp_path: Path) -> None:
    first = spec("generate", "twice", folder=str(tmp_path))
    rest = dataclasses.replace(first, name="rest", after=("generate",), even_if_failed=True, continues="generate")
    table = spec("table", "write", after=("rest",), path=str(tmp_path / "table"))
    submitted = launch.submit([first, rest, table], cluster(tmp_path, sbatch={"no-requeue": True}), tmp_path)
    until((tmp_path / "first").exists)
    slurm("scancel", "--signal=USR2", submitted[0].job_id)  # as before a time limit
    launch.wait(submitted)
    told = job_files.read_state(tmp_path, "generate")
    assert (told.state, told.attempt) == ("stopped", 1)
    assert "must not be queued again" in str(told.error)
    assert job_files.read_state(tmp_path, "table").state == "done"
    assert status(StatusConfig(str(tmp_path))) == 0


def test_a_job_that_can_never_start_is_a_failure_with_its_reason(tmp_path: Path) -> None:
    job = JobSpec("generate", TARGETS + "write", {"path": "x"}, nodes=9)
    submitted = launch.submit([job], cluster(tmp_path), tmp_path)
    until(lambda: now(submitted)["generate"].state == "blocked")
    assert "more" in now(submitted)["generate"].reason


def test_a_cancelled_job_leaves_no_process_is_not_resurrected_and_runs_again_on_request(tmp_path: Path) -> None:
    jobs = [spec("generate", "family_once", folder=str(tmp_path))]
    submitted = launch.submit(jobs, cluster(tmp_path), tmp_path)
    until((tmp_path / "pids").exists)
    pids = [int(pid) for pid in (tmp_path / "pids").read_text().split()]
    assert cancel(CancelConfig(str(tmp_path))) == 0
    until(lambda: not [pid for pid in pids if process_ids.started(pid)])
    until(lambda: now(submitted)["generate"].state == "stopped")
    assert "cancelled" in now(submitted)["generate"].reason
    assert retry(RetryConfig(str(tmp_path))) == 0
    assert job_files.read_state(tmp_path, "generate").state == "done"


def test_a_preempted_job_is_queued_again_and_does_the_rest(tmp_path: Path) -> None:
    submitted = launch.submit(
        [spec("generate", "twice", folder=str(tmp_path))], cluster(tmp_path, partition="low"), tmp_path
    )
    until((tmp_path / "first").exists)
    higher = preempt("-N4")
    until(lambda: slurm("squeue", "-h", "-j", higher, "-o", "%T").strip() == "RUNNING")
    assert now(submitted)["generate"].state == "requeued"
    slurm("scancel", higher)

    def done() -> bool:
        start_again_now([job.job_id for job in submitted])
        return job_files.read_state(tmp_path, "generate").state == "done"

    until(done)
    assert job_files.read_state(tmp_path, "generate").attempt == 2


def test_jobs_whose_python_is_killed_or_does_not_hear_of_its_time_limit_are_queued_again_once(tmp_path: Path) -> None:
    names = ["killed-0", "killed-1", "killed-2", "deaf"]
    jobs = [spec(name, "deaf_once" if name == "deaf" else "die_once", folder=str(tmp_path), who=name) for name in names]
    # With this warning, what is still there after 20 seconds of its minute did not hear it.
    place = cluster(tmp_path, default_timeout="00:01:00", signal_delay_s=120)
    submitted = launch.submit(jobs, place, tmp_path)

    def done() -> bool:
        start_again_now([job.job_id for job in submitted])
        return all(job_files.read_state(tmp_path, name).state == "done" for name in names)

    until(done)
    assert [job_files.read_state(tmp_path, name).attempt for name in names] == [2, 2, 2, 2]
    assert [(tmp_path / f"{name}.starts").read_text() for name in names] == ["done\n"] * 4


def test_a_job_killed_while_its_pickle_was_saved_starts_again(tmp_path: Path) -> None:
    place = cluster(tmp_path, sbatch={"begin": "now+1hour"})
    submitted = launch.submit([spec("generate", "write", path=str(tmp_path / "ran"))], place, tmp_path)
    job_id = submitted[0].job_id
    pickle = tmp_path / f"eval-logs/submitit/{job_id}_submitted.pkl"
    pickle.rename(f"{pickle}.save_tmp")
    (tmp_path / f"eval-logs/submitit/{job_id}_0_result.pkl.save_tmp").touch()
    slurm("scontrol", "update", f"jobid={job_id}", "starttime=now")
    until(lambda: job_files.read_state(tmp_path, "generate").state == "done")


def test_a_job_runs_the_code_that_was_there_when_it_was_submitted(tmp_path: Path) -> None:
    launch.wait(launch.submit([spec("generate", "where_from", path=str(tmp_path / "from"))], cluster(tmp_path), tmp_path))
    assert (tmp_path / "from").read_text().startswith(str(tmp_path / "eval-logs/code"))


def test_secrets_reach_the_job_and_nothing_that_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    canary = "canary-5f0c1d"
    out = tmp_path / "out"
    secrets = tmp_path / "home/secrets.json"
    monkeypatch.setenv("HF_TOKEN", canary)
    monkeypatch.setenv("MY_SERVICE", canary)
    monkeypatch.setenv("SOME_API_KEY", canary)
    place = cluster(tmp_path, env_vars=["MY_SERVICE"], secrets_file=str(secrets))
    told = tmp_path / "told"
    job = spec("generate", "tell_hashed", path=str(told), names=["HF_TOKEN", "MY_SERVICE", "SOME_API_KEY"])
    submitted = launch.submit([job], place, out)
    spool = Path(os.environ.get("SLURM_TEST_DIR", "/var/lib/slurm-test"))
    held = [folder for folder in (out, spool / "ctld", *spool.glob("spool.*")) if holds(folder, canary)]
    launch.wait(submitted)
    held += [folder for folder in (out, spool / "ctld", *spool.glob("spool.*"), spool / "log") if holds(folder, canary)]
    assert not held
    digest = hashlib.sha256(canary.encode()).hexdigest()
    assert json.loads(told.read_text()) == {"HF_TOKEN": digest, "MY_SERVICE": digest, "SOME_API_KEY": None}
    assert secrets.stat().st_mode & 0o777 == 0o600


def holds(folder: Path, text: str) -> bool:
    return subprocess.run(["grep", "-rqs", text, str(folder)]).returncode == 0


def test_a_container_gets_its_image_mounts_and_variables(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = tmp_path / "data"
    data.mkdir()
    monkeypatch.setenv("MY_SERVICE", "x")
    place = cluster(
        tmp_path,
        containers={"vllm": "/images/vllm.sqsh"},
        mounts=[f"{data}:/workspace"],
        env_vars=["MY_SERVICE"],
        secrets_file=str(tmp_path / "secrets.json"),
        python=sys.executable,
    )
    names = ["FAKE_PYXIS_IMAGE", "FAKE_PYXIS_MOUNTS", "FAKE_PYXIS_ENV", "FAKE_PYXIS_MOUNT_HOME"]
    arguments = {"path": str(tmp_path / "told"), "names": names}
    job = JobSpec("generate", TARGETS + "tell", arguments, container="vllm")
    launch.wait(launch.submit([job], place, tmp_path / "out"))
    told = dict(line.split("=", 1) for line in (tmp_path / "told").read_text().splitlines())
    assert told["FAKE_PYXIS_IMAGE"] == "/images/vllm.sqsh"
    mounts = told["FAKE_PYXIS_MOUNTS"].split(",")
    assert {f"{data}:/workspace", f"{data}:{data}", f"{tmp_path / 'out'}:{tmp_path / 'out'}"} <= set(mounts)
    assert "MY_SERVICE" in told["FAKE_PYXIS_ENV"].split(",")
    assert told["FAKE_PYXIS_MOUNT_HOME"] == "0"


def test_a_job_of_two_nodes_runs_once_and_can_start_steps_on_the_other_node(tmp_path: Path) -> None:
    job = JobSpec("generate", TARGETS + "steps_on_all_nodes", {"path": str(tmp_path / "nodes")}, nodes=2)
    launch.wait(launch.submit([job], cluster(tmp_path), tmp_path))
    nodes = (tmp_path / "nodes").read_text().split()
    assert len(nodes) == 2
    assert len(set(nodes)) == 2
