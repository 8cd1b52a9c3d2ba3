"""Processes known by pid and start time, so that a reused number is never taken for them; and all that a job started."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

# Inherited by everything a job starts, whatever sessions it makes: the mark by which its processes are found again.
MARK = "NS_EVAL_JOB"
_PROC = Path("/proc")
_PR_SET_PDEATHSIG = 1


def started(pid: int) -> str | None:
    """When a living process began, as text that is only ever compared; None where it is gone, or a zombie."""
    if not _PROC.is_dir():
        told = subprocess.run(["ps", "-o", "stat=,lstart=", "-p", str(pid)], capture_output=True, text=True)
        state, _, since = told.stdout.strip().partition(" ")
        return since.strip() or None if told.returncode == 0 and not state.startswith("Z") else None
    try:
        # The name in the second field may hold blanks and brackets: what follows the last bracket is fixed.
        fields = (_PROC / str(pid) / "stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] in "ZX" else fields[19]


def alive(pid: int | None, since: str | None) -> bool:
    """Whether that very process still runs."""
    return pid is not None and since is not None and started(pid) == since


def marked(mark: str) -> list[int]:
    """The living processes of this user that carry the mark."""
    wanted = f"{MARK}={mark}".encode()
    found = []
    for path in _PROC.glob("[0-9]*/environ"):
        with contextlib.suppress(OSError):
            if wanted in path.read_bytes().split(b"\0") and started(int(path.parent.name)):
                found.append(int(path.parent.name))
    return found


def end_marked(mark: str, within_s: float = 10.0) -> list[int]:
    """Kills every process that carries the mark; those that are left after `within_s`."""
    deadline = time.monotonic() + within_s
    while (left := [pid for pid in marked(mark) if pid != os.getpid()]) and time.monotonic() < deadline:
        for pid in left:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(0.02)
    return left


def die_with_parent(parent: int | None = None) -> None:
    """Lets the kernel kill this process when its parent dies; at once where that was `parent` and is dead already."""
    tie = tied_to(os.getppid() if parent is None else parent)
    if tie is not None:
        tie()


def tied_to(parent: int) -> Callable[[], None] | None:
    """What a child runs to that end between fork and exec, prepared beforehand, because little is safe there."""
    if not sys.platform.startswith("linux"):
        return None
    prctl = ctypes.CDLL(None, use_errno=True).prctl

    def tie() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)

    return tie
