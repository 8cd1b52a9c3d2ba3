"""For tests on the Slurm that start_slurm.sh brings up: runs, what became of them, and what an engine was asked."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from ns_eval import job_files, process_ids
from tests.paths import REPO

# Any checkpoint will do: the simulated engine answers for it.
MODEL = REPO / "ns_eval/shipped/tinymath"
QUESTIONS = {"aime24": 6, "gsm8k": 5}
ENGINE = REPO / "tests/cluster/engine.py"


def _up() -> bool:
    """Whether the cluster of start_slurm.sh answers: on any other one, the tests would cancel somebody's jobs."""
    if shutil.which("scontrol") is None:
        return False
    told = subprocess.run(["scontrol", "show", "config"], capture_output=True, text=True, timeout=60)
    return "is UP" in told.stdout and re.search(r"^ClusterName\s*= test$", told.stdout, re.MULTILINE) is not None


# In CI a missing Slurm is a failure, not a reason to skip.
needs_slurm = pytest.mark.skipif(
    not os.environ.get("NS_REQUIRE_SLURM") and not _up(), reason="no Slurm answers: tests/cluster/start_slurm.sh starts one"
)


def until(condition: Callable[[], object], within_s: float = 300.0, what: str = "it did not happen in time") -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.1)


def slurm(*command: str) -> str:
    """The output of a Slurm command that must succeed."""
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def config(path: Path, **changes: Any) -> Path:
    """A cluster config of the test cluster; YAML is a superset of JSON."""
    values = {"executor": "slurm", "partition": "main", "default_timeout": "00:10:00", "cpus": 1, "memory": "2G"}
    path.write_text(json.dumps({**values, **changes}), encoding="utf-8")
    return path


@dataclass(frozen=True)
class Run:
    """One `ns eval` of small benchmarks on the simulated engine; `folder` holds all its files."""

    folder: Path
    cluster: str
    seeds: int = 16
    jobs: int = 4
    us_per_token: float = 20.0
    slots: int = 8
    argv: tuple[str, ...] = ("{python}", str(ENGINE), "--journal", "{journal}", "--port", "{port}")
    ready_timeout_s: float = 120
    benchmarks: tuple[str, ...] = ("aime24", "gsm8k")
    nodes: int = 1

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def journal(self) -> Path:
        return self.folder / "journal"

    @staticmethod
    def environment() -> dict[str, str]:
        return {**os.environ, "PYTHONPATH": str(REPO), "PYTHONSAFEPATH": "1"}

    def command(self, *more: str) -> list[str]:
        data = self.folder / "data"
        for benchmark, questions in QUESTIONS.items():
            (data / benchmark).mkdir(parents=True, exist_ok=True)
            rows = [
                {"id": f"{benchmark}-{n}", "problem": f"{benchmark}: what is {n} modulo 4?", "expected_answer": str(n % 4)}
                for n in range(questions)
            ]
            text = "".join(json.dumps(row) + "\n" for row in rows)
            (data / benchmark / "test.jsonl").write_text(text, encoding="utf-8")
        engine = {
            "name": "sim",
            "argv": [word.replace("{journal}", str(self.journal)) for word in self.argv],
            "args": {"model": "{name}", "slots": self.slots, "us-per-token": self.us_per_token},
            "max_num_seqs": self.slots,
            "ready_timeout_s": self.ready_timeout_s,
            "leader_args": {"node-rank": 0},
            "follower_args": {"node-rank": "{rank}", "leader": "{leader}"},
        }
        server = self.folder / "sim.yaml"
        server.write_text(json.dumps(engine), encoding="utf-8")
        return [
            *(
                sys.executable,
                "-m",
                "ns_eval",
                "eval",
                f"--cluster={self.cluster}",
                f"--model={MODEL}",
                f"--server_type={server}",
            ),
            "--benchmarks=" + ",".join(f"{benchmark}:{self.seeds}" for benchmark in self.benchmarks),
            *(f"--data_dir={data}", f"--output_dir={self.out}", f"--server_nodes={self.nodes}"),
            *(f"--num_jobs={self.jobs}", "++grading_workers=1", *more),
        ]

    def start(self, *more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            self.command(*more), cwd=REPO, env=self.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def finish(self, *more: str, within_s: float = 600.0) -> subprocess.CompletedProcess[str]:
        """The whole run in the foreground."""
        return subprocess.run(
            self.command(*more), cwd=REPO, env=self.environment(), capture_output=True, text=True, timeout=within_s
        )

    def rows(self) -> list[dict[str, Any]]:
        """Every line of every finished file."""
        folders = [self.out / "eval-results" / benchmark for benchmark in self.benchmarks]
        files = [path for folder in folders for path in sorted(folder.glob("output*.jsonl"))]
        return [json.loads(line) for path in files for line in path.read_text().splitlines()]

    def complete(self) -> bool:
        """Every (question, seed) once, nothing missing, nothing left in progress, no error."""
        expected = Counter(
            (f"{benchmark}-{n}", seed)
            for benchmark in self.benchmarks
            for n in range(QUESTIONS[benchmark])
            for seed in range(self.seeds)
        )
        found = self.rows()
        left = list((self.out / "eval-results").glob("*/*-async"))
        return (
            Counter((row["id"], row["seed"]) for row in found) == expected
            and not left
            and all(row["status"] != "error" for row in found)
        )

    def asked(self) -> Counter[str]:
        """How often the engines were asked each (question, seed)."""
        lines = self.journal.read_text().splitlines() if self.journal.exists() else []
        return Counter(line.partition("\t")[2] for line in lines if line.startswith("asked\t"))

    def answered(self) -> int:
        return self.journal.read_text().count("answered\t") if self.journal.exists() else 0

    def processes(self) -> list[int]:
        """Every process that has something of this run on its command line, but for those that a person started."""
        found = []
        for path in Path("/proc").glob("[0-9]*/cmdline"):
            with contextlib.suppress(OSError):
                words = path.read_bytes().split(b"\0")
                ours = any(str(self.folder).encode() in word for word in words)
                if ours and not {b"eval", b"-c"} & set(words) and process_ids.started(int(path.parent.name)):
                    found.append(int(path.parent.name))
        return found

    def job_ids(self) -> list[str]:
        table = json.loads((self.out / "jobs.json").read_text())
        return [job["job_id"] for job in table["jobs"]]

    def state(self, name: str) -> dict[str, Any]:
        path = self.out / "eval-logs" / f"{name}.state.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"state": "queued"}
        return found


def bring_to_rest() -> None:
    """Cancels all jobs and waits until they are gone and every node takes some again."""

    def empty() -> bool:
        left = slurm("squeue", "-h", "-o", "%A %t").splitlines()
        # Repeated: a job that was on its way back into the queue is cancelled once it is there.
        alive = [line.split()[0] for line in left if not line.endswith(" CG")]
        if alive:
            subprocess.run(["scancel", *alive], capture_output=True, timeout=120)
        return not left

    until(empty, what="Slurm does not let go of a job")
    until(nodes_are_back, what="a node does not come back")


def nodes_are_back() -> bool:
    """Whether every node takes jobs, after asking for it: Slurm drains a node on which it meets a job twice, and refuses to
    resume one that still ends its jobs."""
    lost = [
        line.split()[0]
        for line in slurm("sinfo", "-h", "-N", "-p", "main", "-o", "%N %T").splitlines()
        if any(word in line for word in ("down", "drain", "fail"))
    ]
    for node in lost:
        subprocess.run(["scontrol", "update", f"nodename={node}", "state=resume"], capture_output=True, timeout=60)
    return not lost


def told(folder: Path) -> str:
    """What Slurm and the jobs below a folder said last, for a failed test."""
    logs = [path for name in ("*.log", "*.state.json") for path in sorted(folder.glob(f"**/eval-logs/{name}"))]
    controller = Path(os.environ.get("SLURM_TEST_DIR", "/var/lib/slurm-test")) / "log/slurmctld.log"
    parts = [
        subprocess.run(command, capture_output=True, text=True, timeout=120).stdout
        for command in (["squeue", "-r", "-t", "all", "-l"], ["sinfo", "-N", "-o", "%N %T %E"])
    ]
    parts += [f"==> {path}\n" + "\n".join(job_files.last_lines(path, 15)) for path in logs]
    return "\n\n".join([*parts, f"==> {controller}", *job_files.last_lines(controller, 30)])


def preempt(*where: str) -> str:
    """The id of a job of the higher partition that takes whole nodes: what runs there is preempted."""
    return slurm(
        "sbatch", "--parsable", "-p", "high", *where, "--exclusive", "-o", "/dev/null", "--wrap", "sleep 600"
    ).strip()


def steps(job: str) -> list[int]:
    """The processes of Slurm's own that look after `<number>.` of a job, or after one step of it."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            if path.read_bytes().startswith(f"slurmstepd: [{job}".encode()) and process_ids.started(int(path.parent.name)):
                found.append(int(path.parent.name))
    return found


def start_again_now(ids: Sequence[str]) -> None:
    """Shortens Slurm's two minutes before a requeued job starts. A job that is not pending would start twice, and one whose
    last start still ends on some node would be met twice there: Slurm then drains that node for good."""
    told = subprocess.run(["squeue", "-h", "-r", "-o", "%i %A %T %r"], capture_output=True, text=True, timeout=120).stdout
    for line in told.splitlines():
        name, number, state, reason = line.split(maxsplit=3)
        if name in ids and state == "PENDING" and reason.startswith("BeginTime") and not steps(f"{number}."):
            subprocess.run(["scontrol", "update", f"jobid={name}", "starttime=now"], capture_output=True, timeout=120)
