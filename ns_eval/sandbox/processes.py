"""A session's processes as the host sees them: what they use, and ending them without hitting another."""

from __future__ import annotations

import contextlib
import io
import os
import re
import signal
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

_PAGE = os.sysconf("SC_PAGE_SIZE")
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Usage:
    """What a process and its descendants use now; `cpu_s` includes children that have ended and been waited for."""

    tasks: int = 0
    memory_bytes: int = 0
    cpu_s: float = 0.0


class Handle:
    """One process, by a descriptor where the kernel has them (5.3), so that a reused number is never signalled."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._open = True
        try:
            self._descriptor: int | None = os.pidfd_open(pid)
        except OSError:
            self._descriptor = None

    def signal(self, number: int) -> None:
        if not self._open:
            return
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self._descriptor is None:
                os.kill(self._pid, number)
            else:
                signal.pidfd_send_signal(self._descriptor, number)

    def close(self) -> None:
        self._open = False
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


def descendants(pid: int) -> list[tuple[int, int]]:
    """(process, parent) of all that descend from `pid`; those that end meanwhile are left out."""
    found: list[tuple[int, int]] = []
    queue = [pid]
    while queue:
        parent = queue.pop()
        children = _children(parent)
        found += [(child, parent) for child in children]
        queue += children
    return found


def usage(pid: int, memory_limit: int) -> Usage:
    """Sums over `pid` and its descendants. Memory that forks share is counted once, at the price of a slower look,
    but only where the simple sum is past `memory_limit`."""
    pids = [pid, *(child for child, _ in descendants(pid))]
    stats = [stat for stat in map(_stat, pids) if stat is not None]
    memory = sum(map(_anonymous, pids))
    if memory > memory_limit and len(pids) > 1:
        memory = sum(map(_proportional, pids))
    return Usage(sum(stat.threads for stat in stats), memory, sum(stat.cpu_s for stat in stats))


def end_descendants(pid: int, spare: int) -> bool:
    """Kills all that descend from `pid`, but not `spare`; whether there was anything that lived."""
    living = False
    for child, parent in descendants(pid):
        if child == spare:
            continue
        handle = Handle(child)
        stat = _stat(child)
        # Looked at once the descriptor is held: the number could have been given to another process meanwhile.
        if stat is not None and stat.parent in (parent, pid) and stat.state != "Z":
            living = True
            handle.signal(signal.SIGKILL)
        handle.close()
    return living


def _children(pid: int) -> list[int]:
    children: list[int] = []
    # As raw as this because it is done after every cell.
    with contextlib.suppress(OSError), os.scandir(f"/proc/{pid}/task") as tasks:
        for task in tasks:
            with contextlib.suppress(OSError), io.FileIO(f"{task.path}/children") as file:
                children += map(int, file.readall().split())
    return children


class _Stat(NamedTuple):
    state: str
    parent: int
    threads: int
    cpu_s: float


def _stat(pid: int) -> _Stat | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except (OSError, IndexError):
        return None
    return _Stat(fields[0], int(fields[1]), int(fields[17]), sum(map(int, fields[11:15])) / _TICKS)


def _anonymous(pid: int) -> int:
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0
    return (int(fields[1]) - int(fields[2])) * _PAGE


def _proportional(pid: int) -> int:
    try:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:
        return _anonymous(pid)
    found = re.search(r"^Pss_Anon:\s+(\d+) kB", text, re.MULTILINE)
    return int(found[1]) * 1024 if found else _anonymous(pid)
