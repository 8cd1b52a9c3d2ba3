"""run.json: which commands made a run folder, with what settings, code and machines."""

from __future__ import annotations

import fcntl
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from importlib import metadata
from pathlib import Path

import msgspec

from ns_eval.files import write_text
from ns_eval.records import Json, read_record

_LIBRARIES = ("ns-eval", "math-verify", "sympy", "xllamacpp", "vllm", "sglang", "tensorrt-llm")
# The words of a command that was called from Python, whose process has other ones.
SPOKEN: ContextVar[Sequence[str]] = ContextVar("spoken", default=())


class Entry(msgspec.Struct, kw_only=True):
    """One command. Times are Unix seconds; `end` is missing while it runs, or where it was killed. `folders` is set where it
    asked several models: the run folder of each, and which it is. `sandbox` says for each job that ran model-written code
    what stood between it and the machine, `servers` what each job asked, and how.
    """

    command: str
    config: Mapping[str, Json]
    benchmarks: Mapping[str, Json]
    versions: Mapping[str, str]
    code: Mapping[str, Json]
    model: str
    start: float
    folders: Mapping[str, str] = {}
    end: float | None = None
    outcome: str | None = None
    sandbox: Mapping[str, str] = {}
    servers: Mapping[str, Json] = {}


class Manifest(msgspec.Struct):
    """All commands that wrote into a run folder, oldest first."""

    commands: list[Entry]


def path_of(output_dir: Path) -> Path:
    return output_dir / "run.json"


def read(output_dir: Path) -> Manifest:
    """What was recorded; empty for a new folder.

    Raises:
        DataError: run.json is not ours.
    """
    return read_record(path_of(output_dir), Manifest) or Manifest([])


def begin(
    output_dir: Path,
    config: Mapping[str, Json],
    benchmarks: Mapping[str, Json],
    model: str,
    folders: Mapping[str, str] | None = None,
) -> None:
    """Adds this command."""
    entry = Entry(
        command=shlex.join(["ns", *(SPOKEN.get() or sys.argv[1:])]),
        config=config,
        benchmarks=benchmarks,
        versions=_versions(),
        code=_code(),
        model=model,
        start=time.time(),
        folders=folders or {},
    )
    with _changing(output_dir) as manifest:
        manifest.commands.append(entry)


def end(output_dir: Path, outcome: str, servers: Mapping[str, Json] | None = None) -> None:
    """Records how the last command ended, and what servers it asked."""
    with _changing(output_dir) as manifest:
        if manifest.commands:
            manifest.commands[-1].end = time.time()
            manifest.commands[-1].outcome = outcome
            manifest.commands[-1].servers = servers or {}


def walls(output_dir: Path, job: str, line: str) -> None:
    """Records what stands between model-written code and the machine of a job; nothing where no command is recorded."""
    if not path_of(output_dir).exists():
        return
    with _changing(output_dir) as manifest:
        if manifest.commands:
            manifest.commands[-1].sandbox = {**manifest.commands[-1].sandbox, job: line}


@contextmanager
def _changing(output_dir: Path) -> Iterator[Manifest]:
    """The manifest, written when it has been changed; jobs of one command do so at the same time."""
    with (output_dir / ".run.json.lock").open("w") as lock:
        with suppress(OSError):  # a file system without locks: then the last writer wins
            fcntl.flock(lock, fcntl.LOCK_EX)
        manifest = read(output_dir)
        yield manifest
        write_text(path_of(output_dir), msgspec.json.format(msgspec.json.encode(manifest), indent=2).decode() + "\n")


def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "platform": platform.platform()}
    for name in _LIBRARIES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def _code() -> dict[str, Json]:
    """The commit of the checkout that runs, and whether it differs from it; empty for an installed wheel."""
    here = Path(__file__).parent
    if not (here.parent / ".git").exists():
        return {}
    try:
        asked = {"commit": ["rev-parse", "HEAD"], "changed": ["status", "--porcelain", "--untracked-files=no"]}
        told = {
            name: subprocess.run(["git", "-C", str(here), *words], capture_output=True, text=True, check=True, timeout=5)
            for name, words in asked.items()
        }
    except (OSError, subprocess.SubprocessError):
        return {}
    return {"commit": told["commit"].stdout.strip(), "changed": bool(told["changed"].stdout.strip())}
