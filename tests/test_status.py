"""`ns status`, `logs`, `cancel`, `retry` and `setup`: what a person types after starting a run, from any shell."""

from __future__ import annotations

import contextlib
import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from ns_eval import job_files, launch, process_ids
from ns_eval.cluster import clusters
from ns_eval.cluster.setup_cluster import SetupConfig
from ns_eval.cluster.setup_cluster import main as setup
from ns_eval.cluster.slurm_queue import Seen
from ns_eval.errors import DataError, JobError, ServerError, UsageError
from ns_eval.job_commands import CancelConfig, LogsConfig, RetryConfig, cancel, logs, retry
from ns_eval.records import Generation, Question, Sample, Verdict
from ns_eval.rundir import Expected, expect
from ns_eval.seed_file import SeedFile
from ns_eval.status import StatusConfig, count
from ns_eval.status import main as status
from tests.cluster.slurm import Run
from tests.paths import REPO
from tests.test_local_jobs import family, here, run, spec, until


def report(out: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, dict[str, object]]:
    capsys.readouterr()
    code = status(StatusConfig(str(out), json=True))
    return code, json.loads(capsys.readouterr().out)


def states(found: dict[str, object]) -> dict[str, str]:
    jobs = found["jobs"]
    assert isinstance(jobs, list)
    return {job["name"]: job["state"] for job in jobs}


def test_a_finished_run_is_over_and_well(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, spec("generate", "write", path=str(tmp_path / "ran")))
    code, found = report(tmp_path, capsys)
    assert (code, found["ok"], found["over"], states(found)) == (0, True, True, {"generate": "done"})
    status(StatusConfig(str(tmp_path)))
    assert "ns summarize_results" in capsys.readouterr().out


def test_a_running_job_is_seen_from_another_shell_and_cancelled_with_its_grandchildren(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = [
        spec("generate", "with_children", pids=str(tmp_path / "pids"), release=str(tmp_path / "never")),
        spec("table", "write", after=("generate",), path=str(tmp_path / "ran")),
    ]
    launch.submit(jobs, here(), tmp_path, detach=True)
    pids = family(tmp_path)
    until(lambda: job_files.read_state(tmp_path, "generate").state == "running")
    code, found = report(tmp_path, capsys)
    assert (code, found["over"], states(found)) == (0, False, {"generate": "running", "table": "queued"})
    assert cancel(CancelConfig(str(tmp_path))) == 0
    assert not [pid for pid in pids if process_ids.started(pid)]
    code, found = report(tmp_path, capsys)
    assert (code, found["ok"], states(found)["generate"]) == (5, False, "stopped")


def test_watching_on_a_terminal_shows_look_after_look_and_ends_with_the_run(tmp_path: Path) -> None:
    release = tmp_path / "release"
    launch.submit([spec("generate", "wait_for", release=str(release))], here(), tmp_path, detach=True)
    ours, theirs = pty.openpty()
    watching = subprocess.Popen(
        [sys.executable, "-m", "ns_eval", "status", str(tmp_path), "--watch"], cwd=REPO, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    shown = b""

    def looks() -> int:
        nonlocal shown
        with contextlib.suppress(OSError):  # Linux's way to say that the other side is closed
            shown += os.read(ours, 65536)
        return shown.count(b"\x1b[H\x1b[2J")

    until(lambda: looks() >= 2)
    assert b"running" in shown
    release.touch()
    until(lambda: looks() and watching.poll() is not None)
    looks()
    assert watching.returncode == 0
    last = shown.rpartition(b"\x1b[2J")[2].decode()
    assert "done" in last
    assert f"ns summarize_results {tmp_path}" in last


def test_retry_runs_only_what_failed_and_what_waited_for_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ran = tmp_path / "ran"
    jobs = [
        spec("good", "write", path=str(ran), text="good"),
        spec("bad", "second_time", path=str(ran), text="bad"),
        spec("table", "write", after=("good", "bad"), path=str(ran), text="table"),
    ]
    with pytest.raises(ServerError, match="not yet"):
        run(tmp_path, *jobs)
    assert ran.read_text().split() == ["good"]
    assert status(StatusConfig(str(tmp_path))) == 5
    shown = capsys.readouterr().out
    assert "not run, because bad is not done" in shown
    assert f"ns retry {tmp_path}" in shown
    assert retry(RetryConfig(str(tmp_path))) == 0
    assert ran.read_text().split() == ["good", "bad", "table"]
    assert retry(RetryConfig(str(tmp_path))) == 0
    assert "nothing to run again" in capsys.readouterr().err


def test_a_job_that_runs_later_refuses_questions_that_were_edited_meanwhile(tmp_path: Path) -> None:
    run = Run(tmp_path, "local", seeds=1, jobs=1, benchmarks=("aime24",), argv=("{python}", "-c", "raise SystemExit(1)"))
    assert run.finish().returncode == 4
    questions = tmp_path / "data/aime24/test.jsonl"
    questions.write_text(questions.read_text(encoding="utf-8").replace("modulo 4", "modulo 3"), encoding="utf-8")
    with pytest.raises(DataError, match=r"test\.jsonl was changed after the run was planned"):
        retry(RetryConfig(str(run.out)))


def test_logs_show_the_failed_job_first_and_any_job_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(JobError):
        run(tmp_path, spec("good", "write", path=str(tmp_path / "ran")), spec("bad", "crash"))
    capsys.readouterr()
    assert logs(LogsConfig(str(tmp_path))) == 0
    shown = capsys.readouterr().out
    assert "ZeroDivisionError" in shown
    assert "good.log" not in shown
    assert logs(LogsConfig(str(tmp_path), "good", lines=-1)) == 0
    assert "good.log" in capsys.readouterr().out
    with pytest.raises(UsageError, match=r"no job `goud` in .*, did you mean `good`"):
        logs(LogsConfig(str(tmp_path), "goud"))


def test_a_folder_without_jobs_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"there is no jobs\.json"):
        status(StatusConfig(str(tmp_path)))


def sample(question: str, seed: int, correct: bool | None, state: str = "ok") -> Sample:
    verdicts = (Verdict("symbolic", correct),)
    return Sample(Question(question, "1+1?", "2"), seed, state, Generation("2"), verdicts)  # type: ignore[arg-type]  # a status


def test_accuracy_so_far_is_the_mean_over_questions_with_questions_as_clusters(tmp_path: Path) -> None:
    """By hand: shares 1/2, 1/1, 0/1 have mean 0.5 and standard deviation 0.5; 1.96 * 0.5 / sqrt(3) = 0.5658."""
    folder = tmp_path / "eval-results/aime24"
    expect(folder, Expected("aime24", 4, (0, 1), "math", {}, {}))
    first, second = SeedFile(folder, 0), SeedFile(folder, 1)
    for row in (
        sample("a", 0, True),
        sample("b", 0, True),
        sample("c", 0, False, "truncated"),
        sample("d", 0, None, "error"),
    ):
        first.append(row)
    second.append(sample("a", 1, False, "no_answer"))
    first.close()
    second.close()
    (found,) = count(tmp_path)
    assert (found.benchmark, found.done, found.expected) == ("aime24", 5, 8)
    assert (found.truncated, found.no_answer, found.errors) == (1, 1, 1)
    assert found.accuracy == pytest.approx(0.5)
    assert found.half_width == pytest.approx(0.5658, abs=1e-4)


@pytest.mark.parametrize(
    ("reason", "never"),
    [
        ("DependencyNeverSatisfied", True),
        ("PartitionConfig", True),
        ("JobHeldAdmin", True),
        ("launch failed requeued held", True),
        ("Resources", False),
        ("Priority", False),
        ("BeginTime", False),
    ],
)
def test_pending_for_ever_is_told_from_pending(reason: str, never: bool) -> None:
    assert (Seen("PENDING", reason).never is not None) is never
    assert Seen("RUNNING", reason).never is None


def test_setup_writes_a_config_from_flags_alone(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = SetupConfig("mine", executor="slurm", partition="gpu", default_timeout="24:00:00", mounts=["/data:/workspace"])
    assert setup(flags) == 0
    path = Path(capsys.readouterr().out.strip())
    cluster = clusters.load("mine")
    assert cluster.source == str(path.absolute())
    assert (cluster.executor, cluster.partition, cluster.mounts) == ("slurm", "gpu", ["/data:/workspace"])
    with pytest.raises(UsageError, match="exists"):
        setup(flags)


def test_setup_leaves_nothing_behind_when_a_flag_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="no time limit"):
        setup(SetupConfig("mine", executor="slurm", default_timeout="forever"))
    assert not list(tmp_path.rglob("*.yaml"))


def test_setup_asks_on_a_terminal_for_what_no_flag_gives(tmp_path: Path) -> None:
    ours, theirs = pty.openpty()
    code = "from ns_eval.cluster.setup_cluster import main, SetupConfig; main(SetupConfig(executor='slurm', account='p1'))"
    asking = subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(REPO)},
        stdin=theirs,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.write(ours, b"gpu\n\n/data:/workspace\n\nmine\n")
    _, asked = asking.communicate(timeout=60)
    cluster = clusters.load(str(tmp_path / "cluster_configs/mine.yaml"))
    assert (cluster.account, cluster.partition, cluster.default_timeout) == ("p1", "gpu", "04:00:00")
    assert cluster.mounts == ["/data:/workspace"]
    assert "Slurm account" not in asked, "a flag had answered that"
