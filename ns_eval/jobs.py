"""What runs on a node: one callable that reads its spec from the run folder, does it, and writes how it went."""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from ns_eval import process_ids
from ns_eval.errors import JobError, NsError, UsageError
from ns_eval.files import replacing
from ns_eval.job_files import JobState, State, decode, encode, log_path, progress_path, read_state, spec_path, write_state
from ns_eval.records import Json
from ns_eval.resources import locate

logger = logging.getLogger(__name__)

# Starts in a row that a time limit or a kill ended without one new sample: then it would never end.
_IDLE_STARTS = 3


@dataclass(frozen=True, slots=True)
class JobSpec:
    """One job. `target` is "module:function", called with `arguments`; what it raises is what the job reports.

    A job starts when those in `after` have ended, and fails at once where one of them is not done, unless `even_if_failed`.
    `container` names an image of the cluster config, `secrets` environment variables whose values it needs. A target that
    counts in the job's progress file is started again after a time limit as long as its counts grow. `writes` names what no
    other job may write at the same time, `continues` the job whose rest it does.
    """

    name: str
    target: str
    arguments: Mapping[str, Json] = field(default_factory=dict)
    after: tuple[str, ...] = ()
    even_if_failed: bool = False
    gpus: int = 0
    nodes: int = 1
    cpus: int | None = None
    memory: str | None = None
    time_limit: str | None = None
    container: str = "ns-eval"
    secrets: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()
    continues: str = ""


@dataclass(frozen=True, slots=True)
class SpecFile:
    """A spec with what the launcher adds. `variables` are read from `environment`, a 0600 file outside the run folder;
    `limit_minutes` is the time limit and `signal_s` how long before it the job is told, where there is one; `requeue` says
    whether it may be queued again then."""

    job: JobSpec
    output_dir: Path
    environment: Path | None = None
    variables: tuple[str, ...] = ()
    limit_minutes: int | None = None
    signal_s: int = 0
    requeue: bool = True


@dataclass(frozen=True, slots=True)
class Job:
    """The callable that is pickled: nothing but the path of its spec."""

    spec: Path

    def __call__(self) -> None:
        found = read_spec(self.spec)
        with _reported(found):
            _require(found)
            locate(found.job.target)(**found.job.arguments)

    def checkpoint(self) -> object:
        """What runs after a preemption or a time limit: the same job, which does what is left.

        submitit calls it in its signal handler. Only `ns_eval.launch` knows submitit, so the wrapping is there. Nothing but
        SystemExit may leave it: any other exception would surface inside some request and be taken for that one's failure.
        """
        found = read_spec(self.spec)
        for number in (signal.SIGUSR2, signal.SIGTERM):  # Slurm's own follow while the server is stopped
            signal.signal(number, signal.SIG_IGN)
        if not found.requeue:
            _end(found, "stopped", "it was told to end, and must not be queued again", "ns retry OUT goes on", 5)
            raise SystemExit(5)
        state = read_state(found.output_dir, found.job.name)
        idle = 0 if _grew(progress_path(found.output_dir, found.job.name)) else state.idle + _near_limit(found, state)
        if idle >= _IDLE_STARTS:
            _end(found, "failed", f"its time limit ended it {idle} times without one new sample", "raise the time limit", 5)
            raise SystemExit(5)
        _write(found, msgspec.structs.replace(state, state="requeued", idle=idle, ended=time.time()))
        return locate("ns_eval.launch:requeued")(self)


def in_turn(first: JobSpec, second: JobSpec) -> JobSpec:
    """Both as one job under the first one's name: the second starts in the same allocation when the first is done.

    Raises:
        UsageError: they need different container images.
    """
    if first.container != second.container:
        raise UsageError(
            f"one job has one container: {first.name} needs `{first.container}`, {second.name} `{second.container}`",
            hint="leave ++judge.own_job=false out",
        )
    steps = [{"target": job.target, "arguments": dict(job.arguments)} for job in (first, second)]
    return dataclasses.replace(
        first,
        target="ns_eval.jobs:run_steps",
        arguments={"steps": steps},
        gpus=max(first.gpus, second.gpus),
        nodes=max(first.nodes, second.nodes),
        secrets=tuple(dict.fromkeys([*first.secrets, *second.secrets])),
        writes=(*first.writes, *second.writes),
    )


def run_steps(steps: Sequence[Mapping[str, Json]]) -> None:
    """What several jobs would do, one after the other; each goes on where it stopped, so the whole may be started again."""
    for step in steps:
        locate(step["target"])(**step["arguments"])


def run_command(argv: Sequence[str]) -> None:
    """A user's own command, never through a shell.

    Raises:
        JobError: it cannot be started, or ends with another code than 0.
    """
    try:
        code = subprocess.run(list(argv), check=False).returncode
    except OSError as error:
        hint = "one word each: --postprocess_cmd=python,script.py,--flag" if " " in argv[0] else None
        raise JobError(f"`{argv[0]}` cannot be started: {error.strerror}", hint=hint) from error
    if code:
        raise JobError(f"`{' '.join(argv)}` ended with {code}")


def write_spec(found: SpecFile) -> Path:
    """Writes the spec file and returns its path."""
    path = spec_path(found.output_dir, found.job.name)
    with replacing(path, durable=False) as file:
        file.write(encode(found))
    return path


def read_spec(path: Path) -> SpecFile:
    return decode(path.read_bytes(), SpecFile)


@contextmanager
def _reported(found: SpecFile) -> Iterator[None]:
    """Turns whatever ends the body into the job's state file: the border at which an exception becomes a record."""
    _write(found, _starting(found))
    try:
        _enter(found)
        yield
    except NsError as error:
        _end(found, "failed", error.message, error.hint, error.exit_code)
        print(f"error: {error}", file=sys.stderr)
        raise SystemExit(error.exit_code) from error
    except (KeyboardInterrupt, SystemExit) as error:
        _end(found, "stopped", "it was stopped", None, 130)
        raise SystemExit(130 if isinstance(error, KeyboardInterrupt) else error.code) from None
    except Exception as error:
        _end(found, "failed", f"{type(error).__name__}: {error}", None, 1)
        raise
    _end(found, "done", None, None, 0)


def _enter(found: SpecFile) -> None:
    """The process as a job needs it: its variables, its log lines, and a TERM that ends it tidily where nobody requeues."""
    logging.basicConfig(
        level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(levelname)s %(message)s", datefmt="%H:%M:%S", force=True
    )
    logging.getLogger("submitit").propagate = False
    if found.environment is not None:
        os.environ.update(read_environment(found.environment, found.variables))
    if _on_slurm():
        # A dead slurmstepd takes nothing with it, and Slurm may start the job elsewhere: two would write.
        process_ids.die_with_parent()
        signal.signal(signal.SIGTERM, _told_to_end)
        if "SUBMITIT_FOLDER" in os.environ:
            # The batch script watches this process: see `slurm_jobs`.
            Path(os.environ["SUBMITIT_FOLDER"], f"{_job_id()}.pid").write_text(str(os.getpid()), encoding="utf-8")
    else:
        # Its scheduler interrupts it. A shell lets what it starts with `&` ignore that, and it is inherited.
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.default_int_handler)
    if read_state(found.output_dir, found.job.name).idle >= _IDLE_STARTS:
        raise JobError(f"it was ended {_IDLE_STARTS} times without one new sample", hint="ns logs OUT shows by what")
    _require(found)


def _told_to_end(number: int, frame: object) -> None:
    """Slurm's TERM goes to the server and the graders too: going on without them would be recorded as a failure.

    After a scancel that is the end; before a preemption, the batch script sees the exit code and queues the job again.
    """
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise SystemExit(128 + number)


def write_environment(path: Path, values: Mapping[str, str]) -> None:
    """Adds variables to the file in which they wait for jobs: mode 0600 from its first byte."""
    known = msgspec.json.decode(path.read_bytes(), type=dict[str, str]) if path.exists() else {}
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{os.getpid()}.partial")
    partial.touch(mode=0o600)
    partial.write_bytes(msgspec.json.format(msgspec.json.encode({**known, **values}), indent=1))
    partial.replace(path)


def read_environment(path: Path, names: Sequence[str]) -> dict[str, str]:
    """The named variables of that file.

    Raises:
        JobError: it is gone, does not hold one of them, or others may read it.
    """
    try:
        if path.stat().st_mode & 0o077:
            raise JobError(f"{path} may be read by others", hint=f"chmod 600 {path}")
        values = msgspec.json.decode(path.read_bytes(), type=dict[str, str])
    except (OSError, msgspec.DecodeError) as error:
        raise JobError(f"the file with this job's variables cannot be read: {error}", hint="ns retry OUT") from error
    missing = [name for name in names if name not in values]
    if missing:
        raise JobError(f"{path} does not hold ${missing[0]}", hint=f"export {missing[0]}=… and then: ns retry OUT")
    return {name: values[name] for name in names}


def _require(found: SpecFile) -> None:
    """What the job waits for must be done: Slurm's afterany says only that it has ended."""
    for name in () if found.job.even_if_failed else found.job.after:
        state = read_state(found.output_dir, name)
        if state.state != "done":
            why = state.error or {"queued": "it never started"}.get(state.state, "it was killed")
            raise JobError(f"not run, because {name} is not done: {why}", hint=f"see {log_path(found.output_dir, name)}")


def _starting(found: SpecFile) -> JobState:
    before = read_state(found.output_dir, found.job.name)
    # A state that still says running is that of a start which was killed.
    killed = before.state == "running"
    grew = _grew(progress_path(found.output_dir, found.job.name))
    return JobState(
        state="running",
        job_id=_job_id(),
        host=socket.gethostname(),
        pid=os.getpid(),
        pid_started=process_ids.started(os.getpid()),
        attempt=before.attempt + 1,
        idle=0 if grew else before.idle + killed,
        started=time.time(),
    )


def _end(found: SpecFile, state: State, error: str | None, hint: str | None, exit_code: int) -> None:
    # A USR2 in the interpreter's last milliseconds would kill it, and Slurm would call a finished job failed.
    signal.signal(signal.SIGUSR2, signal.SIG_IGN)
    now = read_state(found.output_dir, found.job.name)
    if now.state == "running":
        ended = {"state": state, "ended": time.time(), "error": error, "hint": hint, "exit_code": exit_code}
        _write(found, msgspec.structs.replace(now, **ended))


def _write(found: SpecFile, state: JobState) -> None:
    write_state(found.output_dir, found.job.name, state)


def _grew(progress: Path) -> bool:
    """Whether this start added samples."""
    try:
        counts = msgspec.json.decode(progress.read_bytes())
    except (OSError, msgspec.DecodeError):
        return False
    return bool(counts["done"] > counts["before"])


def _near_limit(found: SpecFile, state: JobState) -> bool:
    """Whether a signal means the time limit. Slurm sends the same one for a preemption, and up to a minute early."""
    return found.limit_minutes is not None and time.time() - state.started > found.limit_minutes * 60 - found.signal_s - 60


def _on_slurm() -> bool:
    return os.environ.get("SUBMITIT_EXECUTOR") == "slurm"


def _job_id() -> str:
    array, index = os.environ.get("SLURM_ARRAY_JOB_ID"), os.environ.get("SLURM_ARRAY_TASK_ID")
    found = f"{array}_{index}" if array else os.environ.get("SLURM_JOB_ID", "")
    return found if _on_slurm() else ""
