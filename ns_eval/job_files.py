"""What jobs leave in a run folder: the table of what was submitted, and the state that each job writes itself.

jobs.json                            what was submitted, where, and by whom; written by the launcher alone
eval-logs/specs/<name>.json          everything a job needs
eval-logs/<name>.state.json          how it goes; written by the job alone: exit codes and Slurm's states lie, this decides
eval-logs/<name>.log                 what it says (a link to submitit's file on Slurm)
"""

from __future__ import annotations

import contextlib
import fcntl
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import msgspec

from ns_eval.errors import DataError, UsageError
from ns_eval.files import replacing

State = Literal["queued", "running", "requeued", "done", "failed", "stopped"]
T = TypeVar("T")
_JOB_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")


class JobState(msgspec.Struct, frozen=True, kw_only=True):
    """How a job goes. Times are Unix seconds; `idle` counts starts in a row that added no sample; `pid` is on `host`."""

    state: State
    job_id: str = ""
    host: str = ""
    pid: int | None = None
    pid_started: str | None = None
    attempt: int = 0
    idle: int = 0
    started: float = 0.0
    ended: float | None = None
    error: str | None = None
    hint: str | None = None
    exit_code: int | None = None


class Submitted(msgspec.Struct, frozen=True, kw_only=True):
    """One job as it was submitted. `job_id` is Slurm's (`123_4` in an array) or empty; `pid` that of a local job.

    `continues` names the job whose rest it does, and whose end it makes good.
    """

    name: str
    folder: Path
    executor: str
    job_id: str = ""
    after: tuple[str, ...] = ()
    continues: str = ""
    pid: int | None = None
    pid_started: str | None = None
    gpus: tuple[int, ...] = ()

    @property
    def log(self) -> Path:
        return log_path(self.folder, self.name)


class Table(msgspec.Struct, frozen=True, kw_only=True):
    """jobs.json. `owner` is the process on `host` that keeps local jobs, as many as `slots` at a time on `gpus`: the command
    itself, or the one behind `--detach`.

    The cluster of the last command is kept by name, not by value: its config may hold what should not lie here.
    """

    cluster: str
    partition: str | None = None
    qos: str | None = None
    time_min: str | None = None
    host: str = ""
    owner: int | None = None
    owner_started: str | None = None
    slots: int = 1
    gpus: tuple[int, ...] = ()
    jobs: tuple[Submitted, ...] = ()


def encode(record: object) -> bytes:
    """A record as JSON for people and machines; paths as text."""
    return msgspec.json.format(msgspec.json.encode(record, enc_hook=str), indent=1) + b"\n"


def decode(data: bytes, kind: type[T]) -> T:
    """The reverse of `encode`; msgspec.DecodeError where the data is no such record."""
    return msgspec.json.decode(data, type=kind, dec_hook=_decoded)


def _decoded(declared: Any, value: object) -> Any:
    return declared(value)


def logs_dir(output_dir: Path) -> Path:
    return output_dir / "eval-logs"


def spec_path(output_dir: Path, name: str) -> Path:
    if not _JOB_NAME.fullmatch(name):
        raise UsageError(f"`{name}` is no name of a job: letters, digits, `.`, `_` and `-` only")
    return logs_dir(output_dir) / "specs" / f"{name}.json"


def state_path(output_dir: Path, name: str) -> Path:
    return logs_dir(output_dir) / f"{name}.state.json"


def log_path(output_dir: Path, name: str) -> Path:
    return logs_dir(output_dir) / f"{name}.log"


def progress_path(output_dir: Path, name: str) -> Path:
    return logs_dir(output_dir) / f"{name}.progress.json"


def job_of(progress: Path) -> tuple[Path, str]:
    """(run folder, job) of a progress file."""
    return progress.parent.parent, progress.name.removesuffix(".progress.json")


def read_state(output_dir: Path, name: str) -> JobState:
    """What the job last wrote; queued where it has written nothing."""
    try:
        return decode(state_path(output_dir, name).read_bytes(), JobState)
    except FileNotFoundError:
        return JobState(state="queued")
    except msgspec.DecodeError as error:
        raise DataError(f"{state_path(output_dir, name)}: not what a job writes there ({error})") from error


def write_state(output_dir: Path, name: str, state: JobState) -> None:
    with replacing(state_path(output_dir, name)) as file:
        file.write(encode(state))


def read_table(output_dir: Path) -> Table:
    """What was submitted into a run folder.

    Raises:
        DataError: no jobs.json, or not ours.
    """
    path = output_dir / "jobs.json"
    try:
        return decode(path.read_bytes(), Table)
    except FileNotFoundError as error:
        raise DataError(f"no jobs were started in {output_dir}: there is no jobs.json", hint="ns eval --help") from error
    except msgspec.DecodeError as error:
        raise DataError(f"{path}: not what `ns` writes there ({error})", hint=f"mv {path} {path}.broken") from error


def last_of_chains(jobs: Sequence[Submitted]) -> list[Submitted]:
    """Without the jobs whose rest another one does: that one's end counts."""
    continued = {job.continues for job in jobs}
    return [job for job in jobs if job.name not in continued]


def overlap(some: Iterable[str], others: Iterable[str]) -> str:
    """The first of `some` that is among `others` too, empty where none is; `path#2/4` is the third quarter of a file."""
    known: dict[str, set[str]] = {}
    for name in others:
        path, _, part = name.partition("#")
        known.setdefault(path, set()).add(part)
    for name in some:
        path, _, part = name.partition("#")
        for other in known.get(path, ()):
            apart = part and other and part != other and part.partition("/")[2] == other.partition("/")[2]
            if not apart:
                return path
    return ""


@contextlib.contextmanager
def locked(output_dir: Path) -> Iterator[None]:
    """One command at a time changes what a run folder expects and which jobs it has; others wait for a moment.

    Where a file system has no locks, nothing is promised.
    """
    output_dir.mkdir(parents=True, exist_ok=True)
    with (output_dir / ".lock").open("w") as file:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


def has_table(output_dir: Path) -> bool:
    return (output_dir / "jobs.json").exists()


def write_table(output_dir: Path, table: Table) -> None:
    """Replaces jobs.json."""
    with replacing(output_dir / "jobs.json") as file:
        file.write(encode(table))


def last_lines(path: Path, count: int = 12, limit_bytes: int = 65536) -> list[str]:
    """The end of a log; empty where there is none."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - limit_bytes))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    # A progress bar rewrites its line: what was last shown of it counts.
    return [line.rpartition("\r")[2].rstrip() for line in text.splitlines() if line.strip()][-count:]
