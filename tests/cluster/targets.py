"""Jobs for the tests of the launcher: each does its work through files, so that a test reads what happened."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from ns_eval.errors import ServerError


def write(path: str, text: str = "done") -> None:
    """Adds a line to a file: lines count the times it ran."""
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(f"{text}\n")


def tell(path: str, names: list[str]) -> None:
    """Writes the named environment variables, one `NAME=value` a line."""
    Path(path).write_text("".join(f"{name}={os.environ.get(name)}\n" for name in names), encoding="utf-8")


def refuse(message: str, hint: str | None = None) -> None:
    raise ServerError(message, hint=hint)


def crash() -> None:
    print("about to divide", file=sys.stderr)
    _ = 1 / 0


def with_children(pids: str, release: str) -> None:
    """Starts a child that starts a grandchild in a session of its own, then waits until `release` exists."""
    code = (
        "import subprocess, time\n"
        "child = subprocess.Popen(['sleep', '600'], start_new_session=True)\n"
        "print(child.pid, flush=True)\n"
        "time.sleep(600)"
    )
    child = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, start_new_session=True)
    assert child.stdout is not None
    grandchild = child.stdout.readline().strip()
    Path(f"{pids}.partial").write_text(f"{os.getpid()} {child.pid} {grandchild}", encoding="utf-8")
    Path(f"{pids}.partial").rename(pids)
    wait_for(release)


def meet(folder: str, name: str, others: int) -> None:
    """Enters a folder and stays until `others` have entered, then leaves a record of how many were inside together."""
    inside = Path(folder)
    (inside / f"{name}.in").touch()
    deadline = time.monotonic() + 20
    while len(list(inside.glob("*.in"))) < others and time.monotonic() < deadline:
        time.sleep(0.01)
    (inside / f"{name}.saw").write_text(str(len(list(inside.glob("*.in")))), encoding="utf-8")


def wait_for(release: str) -> None:
    """Waits until a file exists."""
    while not Path(release).exists():
        time.sleep(0.02)
