"""Local jobs in order: how many at a time, on which GPUs, after which others; each in a session of its own.

submitit's local executor knows none of that, and its status is blind from another process. The scheduler is a loop in one
process, the owner in jobs.json; when the owner dies, by whatever means, the kernel ends its jobs.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ns_eval import process_ids
from ns_eval.cluster.clusters import ClusterConfig
from ns_eval.errors import UsageError
from ns_eval.job_files import State, Submitted, Table, read_state, read_table, write_state, write_table
from ns_eval.jobs import JobSpec

# What submitit's local environment exits with when its job asks to be started again.
_START_AGAIN = 144
_GRACE_S = 20.0

Start = Callable[[JobSpec, Mapping[str, str], Sequence[int]], "subprocess.Popen[bytes]"]


@dataclass(frozen=True, slots=True)
class Machine:
    """What local jobs share."""

    slots: int
    gpus: tuple[int, ...]


@dataclass(slots=True)
class _Running:
    job: JobSpec
    process: subprocess.Popen[bytes]
    leases: dict[int, int] = field(default_factory=dict)


def machine(cluster: ClusterConfig) -> Machine:
    """This machine as the cluster config and the environment describe it; of no meaning on Slurm."""
    if cluster.executor == "slurm":
        return Machine(1, ())
    gpus = _visible_gpus() if cluster.gpus is None else tuple(range(cluster.gpus))
    return Machine(cluster.slots or len(os.sched_getaffinity(0)), gpus)


def require_room(jobs: Sequence[JobSpec], here: Machine) -> None:
    """UsageError for a job that could never start."""
    for job in jobs:
        if job.nodes > 1:
            raise UsageError(
                f"{job.name} asks for {job.nodes} nodes, --cluster=local has one", hint="--cluster=NAME of a Slurm config"
            )
        if job.gpus > len(here.gpus):
            raise UsageError(
                f"{job.name} asks for {job.gpus} GPUs, this machine shows {len(here.gpus)}",
                hint="lower --server_gpus, or set `gpus:` in the cluster config",
            )


def mark_of(output_dir: Path, name: str) -> str:
    """The value of process_ids.MARK in everything a job starts."""
    return hashlib.sha256(f"{output_dir}\0{name}".encode()).hexdigest()[:24]


class Scheduler:
    """Starts `jobs` as slots, GPUs and `after` allow. Call `step` until it is false, or `stop`."""

    def __init__(self, output_dir: Path, jobs: Sequence[JobSpec], start: Start) -> None:
        table = read_table(output_dir)
        self._output_dir, self._start = output_dir, start
        self._machine = Machine(table.slots, table.gpus)
        self._waiting = list(jobs)
        self._running: list[_Running] = []
        own = os.getpid()
        self._update(owner=own, owner_started=process_ids.started(own), host=socket.gethostname())

    def close(self) -> None:
        """Gives the run folder back."""
        self._update(owner=None, owner_started=None)

    def step(self) -> bool:
        """Collects what has ended, starts what can start; whether anything is left."""
        for running in [item for item in self._running if item.process.poll() is not None]:
            self._collect(running)
        unfinished = {item.name for item in self._waiting} | {item.job.name for item in self._running}
        for job in list(self._waiting):
            if len(self._running) >= self._machine.slots:
                break
            if not unfinished & set(job.after):
                self._try_start(job)
        return bool(self._running or self._waiting)

    def stop(self) -> None:
        """Ends every job: an interrupt, time to finish files, then a kill of all that it started."""
        for job in self._waiting:
            self._record(job, "stopped", "it was stopped before it began")
        self._waiting = []
        for running in self._running:
            _signal(running.process, signal.SIGINT)
        deadline = time.monotonic() + _GRACE_S
        while any(item.process.poll() is None for item in self._running) and time.monotonic() < deadline:
            time.sleep(0.02)
        for running in list(self._running):
            _signal(running.process, signal.SIGKILL)
            running.process.wait()
            self._collect(running, stopping=True)

    def _try_start(self, job: JobSpec) -> None:
        leases = _lease(self._machine.gpus, job.gpus)
        if leases is None:
            return
        environment = {process_ids.MARK: mark_of(self._output_dir, job.name)}
        if job.gpus:
            environment["CUDA_VISIBLE_DEVICES"] = ",".join(map(str, sorted(leases)))
        process = self._start(job, environment, list(leases.values()))
        self._waiting.remove(job)
        self._running.append(_Running(job, process, leases))
        self._update_job(job.name, pid=process.pid, pid_started=process_ids.started(process.pid), gpus=tuple(sorted(leases)))

    def _collect(self, running: _Running, *, stopping: bool = False) -> None:
        self._running.remove(running)
        process_ids.end_marked(mark_of(self._output_dir, running.job.name))
        for descriptor in running.leases.values():
            os.close(descriptor)
        code = running.process.returncode
        if stopping:
            self._record(running.job, "stopped", "it was stopped")
        elif code == _START_AGAIN:
            self._waiting.insert(0, running.job)
        elif code < 0:
            self._record(running.job, "failed", f"it was killed by signal {-code}")
        else:
            self._record(running.job, "failed", f"it ended with exit code {code} before it could say why")

    def _record(self, job: JobSpec, state: State, error: str) -> None:
        """The last word of a job that did not say one itself."""
        own = read_state(self._output_dir, job.name)
        if own.state in ("queued", "running", "requeued"):
            ended = msgspec.structs.replace(own, state=state, error=error, exit_code=5, ended=time.time())
            write_state(self._output_dir, job.name, ended)

    def _update_job(self, name: str, **changes: object) -> None:
        table = read_table(self._output_dir)
        jobs = tuple(msgspec.structs.replace(job, **changes) if job.name == name else job for job in table.jobs)
        self._update(jobs=jobs)

    def _update(self, **changes: object) -> None:
        table = read_table(self._output_dir)
        write_table(self._output_dir, msgspec.structs.replace(table, **changes))


def owner_alive(table: Table) -> bool:
    """Whether the process that keeps the local jobs of a run lives on this machine."""
    return table.host == socket.gethostname() and process_ids.alive(table.owner, table.owner_started)


def abandoned(table: Table) -> bool:
    """Whether the process that kept the local jobs of a run on this machine died: what it had not started, nobody will."""
    return table.owner is not None and table.host == socket.gethostname() and not owner_alive(table)


def end_leftovers(jobs: Sequence[Submitted]) -> None:
    """Kills what local jobs of a dead owner have left behind on this machine."""
    for job in jobs:
        process_ids.end_marked(mark_of(job.folder, job.name))


def _signal(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def _visible_gpus() -> tuple[int, ...]:
    """The GPUs of CUDA_VISIBLE_DEVICES where it holds numbers, else those of the driver."""
    named = os.environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None and all(part.strip().isdigit() for part in named.split(",")):
        return tuple(int(part) for part in named.split(","))
    if named == "":
        return ()
    try:
        told = subprocess.run(["nvidia-smi", "-L"], capture_output=True, text=True, timeout=30)
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(range(sum(line.startswith("GPU ") for line in told.stdout.splitlines())))


def _lease(gpus: Sequence[int], wanted: int) -> dict[int, int] | None:
    """GPU -> an open, locked file, for as many as are wanted, or None while they are taken.

    The job inherits the files, so a GPU is free exactly when its process is gone: two commands on a machine can share it.
    """
    found: dict[int, int] = {}
    for gpu in gpus:
        if len(found) == wanted:
            break
        path = Path(tempfile.gettempdir()) / f"ns-eval-{os.getuid()}-gpu{gpu}.lock"
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            found[gpu] = descriptor
        except BlockingIOError:
            os.close(descriptor)
    if len(found) == wanted:
        return found
    for descriptor in found.values():
        os.close(descriptor)
    return None
