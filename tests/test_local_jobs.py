"""Jobs on this machine: in order, within its slots and GPUs, ended as a whole, and known from any shell."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ns_eval import job_files, launch, process_ids
from ns_eval.cluster.clusters import ClusterConfig
from ns_eval.cluster.job_status import current
from ns_eval.cluster.slurm_queue import Watch
from ns_eval.errors import JobError, ServerError, UsageError
from ns_eval.jobs import JobSpec
from tests.paths import REPO

TARGETS = "tests.cluster.targets:"


def spec(name: str, target: str, after: tuple[str, ...] = (), gpus: int = 0, **arguments: Any) -> JobSpec:
    return JobSpec(name, TARGETS + target, arguments, after=after, gpus=gpus)


def here(**changes: Any) -> ClusterConfig:
    return ClusterConfig(source=str(REPO / "cluster_configs/local.yaml"), **changes)


def run(out: Path, *specs: JobSpec, cluster: ClusterConfig | None = None) -> None:
    launch.wait(launch.submit(specs, cluster or here(), out))


def until(condition: Callable[[], object], within_s: float = 120.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def shell(out: Path, body: str, ignored: Sequence[signal.Signals] = ()) -> subprocess.Popen[str]:
    """Another shell that submits jobs into `out` and stays in the foreground. It is started with some signals ignored."""

    def ignore() -> None:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)

    code = f"""
from pathlib import Path
from ns_eval import launch
from ns_eval.jobs import JobSpec
from tests.test_local_jobs import here, spec
out = Path({str(out)!r})
{body}
"""
    return subprocess.Popen([sys.executable, "-c", code], cwd=REPO, stderr=subprocess.PIPE, text=True, preexec_fn=ignore)


def states(out: Path, jobs: list[JobSpec]) -> dict[str, str]:
    """As `ns status` tells them."""
    names = {job.name for job in jobs}
    found = current([job for job in job_files.read_table(out).jobs if job.name in names], Watch())
    return {now.job.name: now.state for now in found}


def family(out: Path) -> list[int]:
    """The job, its child and its grandchild, as `with_children` tells them."""
    until((out / "pids").exists)
    return [int(pid) for pid in (out / "pids").read_text().split()]


def gone(pids: list[int]) -> bool:
    return not [pid for pid in pids if process_ids.started(pid)]


def test_a_job_runs_and_leaves_its_state_and_its_log(tmp_path: Path) -> None:
    run(tmp_path, spec("generate", "write", path=str(tmp_path / "ran")))
    assert (tmp_path / "ran").read_text() == "done\n"
    state = job_files.read_state(tmp_path, "generate")
    assert (state.state, state.exit_code, state.attempt) == ("done", 0, 1)
    assert "completed successfully" in job_files.log_path(tmp_path, "generate").read_text()


def test_a_job_starts_after_those_it_waits_for(tmp_path: Path) -> None:
    order = str(tmp_path / "order")
    jobs = [
        spec("table", "write", after=("judge",), path=order, text="table"),
        spec("judge", "write", after=("generate",), path=order, text="judge"),
        spec("generate", "write", path=order, text="generate"),
    ]
    run(tmp_path, *jobs, cluster=here(slots=3))
    assert Path(order).read_text().split() == ["generate", "judge", "table"]


@pytest.mark.parametrize("slots", [1, 3])
def test_no_more_jobs_run_together_than_there_are_slots(tmp_path: Path, slots: int) -> None:
    jobs = [spec(f"job-{who}", "meet", folder=str(tmp_path), who=who, others=slots) for who in "abcd"]
    run(tmp_path, *jobs, cluster=here(slots=slots))
    saw = [int(path.read_text()) for path in tmp_path.glob("*.saw")]
    assert len(saw) == 4
    assert max(saw) <= slots


def test_jobs_that_run_together_get_different_gpus(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    jobs = [spec(f"job-{who}", "gpus_of", gpus=2, folder=str(tmp_path), who=who) for who in "ab"]
    run(tmp_path, *jobs, cluster=here(slots=4, gpus=4))
    assert sorted((tmp_path / f"{who}.gpus").read_text() for who in "ab") == ["0,1", "2,3"]


def test_a_job_that_asks_for_more_gpus_than_there_are_is_refused_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="asks for 8 GPUs, this machine shows 2"):
        run(tmp_path, spec("big", "write", gpus=8, path="x"), cluster=here(gpus=2))


def test_what_a_job_refuses_comes_back_as_its_own_error_with_its_hint(tmp_path: Path) -> None:
    with pytest.raises(ServerError, match="nobody answers") as caught:
        run(tmp_path, spec("generate", "refuse", message="nobody answers", hint="start it"))
    assert caught.value.exit_code == 4
    assert caught.value.hint == "start it"
    assert "Traceback" not in str(caught.value)
    assert str(tmp_path / "eval-logs/generate.log") in str(caught.value)


def test_a_crash_shows_the_last_lines_of_the_log_and_its_path(tmp_path: Path) -> None:
    with pytest.raises(JobError, match="ZeroDivisionError") as caught:
        run(tmp_path, spec("generate", "crash"))
    assert "_ = 1 / 0" in str(caught.value)
    assert str(tmp_path / "eval-logs/generate.log") in str(caught.value)


def test_dependents_of_a_failed_job_say_why_they_did_not_run(tmp_path: Path) -> None:
    ran = tmp_path / "ran"
    with pytest.raises(ServerError, match="out of memory"):
        run(
            tmp_path,
            spec("generate", "refuse", message="out of memory"),
            spec("table", "write", after=("generate",), path=str(ran)),
        )
    told = job_files.read_state(tmp_path, "table").error
    assert told == "not run, because generate is not done: out of memory"
    assert not ran.exists()


def test_a_job_killed_from_outside_is_reported_as_killed(tmp_path: Path) -> None:
    jobs = [spec("generate", "with_children", pids=str(tmp_path / "pids"), release=str(tmp_path / "never"))]
    launcher = shell(tmp_path, f"launch.wait(launch.submit({jobs!r}, here(), out))")
    pids = family(tmp_path)
    os.kill(pids[0], signal.SIGKILL)
    _, said = launcher.communicate(timeout=120)
    assert "killed by signal 9" in said
    assert gone(pids)


def test_ctrl_c_ends_jobs_and_their_grandchildren_and_says_how_to_go_on(tmp_path: Path) -> None:
    jobs = [
        spec("generate", "with_children", pids=str(tmp_path / "pids"), release=str(tmp_path / "never")),
        spec("table", "write", after=("generate",), path=str(tmp_path / "ran")),
    ]
    launcher = shell(tmp_path, f"launch.wait(launch.submit({jobs!r}, here(), out))")
    pids = family(tmp_path)
    launcher.send_signal(signal.SIGINT)
    _, said = launcher.communicate(timeout=120)
    assert "the same command goes on where it stopped" in said
    assert gone(pids)
    assert states(tmp_path, jobs) == {"generate": "stopped", "table": "stopped"}
    assert job_files.read_state(tmp_path, "table").error == "it was stopped before it began"


def test_a_launcher_under_nohup_outlives_its_terminal_and_still_ends_its_jobs_tidily(tmp_path: Path) -> None:
    """A shell lets what it starts with `&` ignore an interrupt as well, and jobs inherit that."""
    jobs = [spec("generate", "with_children", pids=str(tmp_path / "pids"), release=str(tmp_path / "never"))]
    launcher = shell(tmp_path, f"launch.wait(launch.submit({jobs!r}, here(), out))", ignored=(signal.SIGHUP, signal.SIGINT))
    pids = family(tmp_path)
    launcher.send_signal(signal.SIGHUP)
    with pytest.raises(subprocess.TimeoutExpired):
        launcher.wait(1.0)
    launcher.send_signal(signal.SIGTERM)
    launcher.communicate(timeout=120)
    assert gone(pids)
    assert states(tmp_path, jobs) == {"generate": "stopped"}


def test_jobs_end_with_a_launcher_that_is_killed_and_the_folder_is_free_again(tmp_path: Path) -> None:
    jobs = [
        spec("generate", "with_children", pids=str(tmp_path / "pids"), release=str(tmp_path / "never")),
        spec("table", "write", after=("generate",), path=str(tmp_path / "ran")),
    ]
    launcher = shell(tmp_path, f"launch.wait(launch.submit({jobs!r}, here(), out))")
    pids = family(tmp_path)
    launcher.kill()
    launcher.communicate(timeout=120)
    until(lambda: process_ids.started(pids[0]) is None)
    assert states(tmp_path, jobs) == {"generate": "failed", "table": "stopped"}
    run(tmp_path, spec("generate", "write", path=str(tmp_path / "ran")))
    assert gone(pids), "what the killed job had started outlived the next command"


def test_a_folder_whose_jobs_run_takes_no_second_command(tmp_path: Path) -> None:
    release = tmp_path / "release"
    first = [spec("generate", "wait_for", release=str(release))]
    launch.submit(first, here(), tmp_path, detach=True)
    until(lambda: job_files.read_state(tmp_path, "generate").state == "running")
    with pytest.raises(JobError, match="an earlier command still runs jobs") as caught:
        launch.submit(first, here(), tmp_path)
    assert "ns cancel" in str(caught.value)
    release.touch()
    until(lambda: job_files.read_state(tmp_path, "generate").state == "done")


def test_a_job_that_asks_to_be_started_again_is(tmp_path: Path) -> None:
    """The signal that Slurm sends before a time limit means the same here."""
    launch.submit([spec("generate", "twice", folder=str(tmp_path))], here(), tmp_path, detach=True)
    until((tmp_path / "first").exists)
    pid = job_files.read_state(tmp_path, "generate").pid
    assert pid is not None
    os.kill(pid, signal.SIGUSR2)
    until(lambda: job_files.read_state(tmp_path, "generate").state == "done")
    assert job_files.read_state(tmp_path, "generate").attempt == 2


def test_two_commands_into_one_folder_keep_both_their_jobs(tmp_path: Path) -> None:
    run(tmp_path, spec("aime24", "write", path=str(tmp_path / "a")))
    run(tmp_path, spec("hle", "write", path=str(tmp_path / "b")))
    assert [job.name for job in job_files.read_table(tmp_path).jobs] == ["aime24", "hle"]
