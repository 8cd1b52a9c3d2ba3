"""Runs one command in a session of its own and ends all of it when asked, or when the process that started it is gone.

`python -I keeper.py GRACE_S command …`; stdin is a pipe that the owner holds open. Its end, or the owner's death by
whatever means, is the order to stop: SIGTERM to the command's group, SIGKILL after GRACE_S. What the command leaves behind
when it ends by itself (vLLM its engine, when the API server is killed) is killed as well. The exit code is the command's.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

# A forked worker of the owner may hold the pipe open after the owner's death, so the parent's id is looked at as well.
_LOOK_S = 0.5
_ORPHANS_S = 10.0
_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h


def main() -> int:
    grace_s, command = float(sys.argv[1]), sys.argv[2:]
    owner = os.getppid()
    _adopt_orphans()
    wakeup, write_end = socket.socketpair()
    write_end.setblocking(False)
    signal.set_wakeup_fd(write_end.fileno())
    for name in (signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(name, _note)
    server = subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)
    while server.poll() is None:
        ready, _, _ = select.select([sys.stdin, wakeup], [], [], _LOOK_S)
        told = wakeup in ready and set(wakeup.recv(64)) - {signal.SIGCHLD}
        if sys.stdin in ready or told or os.getppid() != owner:
            _stop(server, grace_s)
    _signal_group(server.pid, signal.SIGKILL)
    _end_orphans()
    code = server.returncode
    return code if code >= 0 else 128 - code


def _note(number: int, frame: object) -> None:
    """Its arrival is in the wakeup socket; a handler, unlike SIG_IGN, is not inherited by the command."""


def _stop(server: subprocess.Popen[bytes], grace_s: float) -> None:
    _signal_group(server.pid, signal.SIGTERM)
    deadline = time.monotonic() + grace_s
    while server.poll() is None and time.monotonic() < deadline:
        time.sleep(0.02)
    _signal_group(server.pid, signal.SIGKILL)
    server.wait()


def _adopt_orphans() -> None:
    """Makes what the command leaves behind our children, so that we can tell when they are gone; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _end_orphans() -> None:
    """Waits until the last of them is gone, for its GPU memory is free only then; one in a session of its own is killed."""
    deadline = time.monotonic() + _ORPHANS_S
    while time.monotonic() < deadline:
        try:
            found, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not found:
            _kill_children()
            time.sleep(0.01)


def _kill_children() -> None:
    listed = Path(f"/proc/self/task/{os.getpid()}/children")
    for pid in listed.read_text().split() if listed.exists() else ():
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(int(pid), signal.SIGKILL)


def _signal_group(group: int, number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, number)


if __name__ == "__main__":
    sys.exit(main())
