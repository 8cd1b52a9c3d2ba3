"""The process that sessions are forked from: walled in, with the usual modules loaded. Standard library only.

It is executed with a clean environment and never forked from a process that holds keys: a fork would carry its heap
and its /proc/self/environ along.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import os
import resource
import shutil
import signal
import socket
import sys
from pathlib import Path
from typing import Any, NoReturn

from ns_eval.sandbox import cell, kernel, landlock, root, seccomp, wire

_SPACES = kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS | kernel.CLONE_NEWNET
_FLAGS = kernel.MS_NOSUID | kernel.MS_NODEV
# Lazily imported by nearly every program: 70 ms of each fresh session.
_ALWAYS = (
    "bisect", "collections", "copy", "datetime", "decimal", "fractions", "functools", "heapq", "itertools", "json",
    "math", "operator", "queue", "random", "re", "statistics", "string", "textwrap", "typing",
)  # fmt: skip
_INSIDE = 1000
_AVALANCHE = 16

Settings = dict[str, Any]  # Any: JSON from the host


def main(channel: str, settings_json: str) -> None:
    """Walls itself in, then forks a session for every message. Ends when the host closes the channel: a descriptor's number,
    or the path of a socket."""
    host = wire.connected(channel) if channel.startswith("/") else socket.socket(fileno=int(channel))
    settings: Settings = json.loads(settings_json)
    if settings["scratch"] is not None:
        kernel.adopt_orphans()  # no PID namespace ends them
    try:
        if settings["mode"] == "namespaces":
            _enter_namespaces(host)
        elif kernel.may_become_nobody() and _open_to_all(os.__file__):
            _become_nobody()
        missing = _load(settings["preload"])
    except BaseException as error:
        wire.send(host, {"fail": f"{type(error).__name__}: {error}"})
        os._exit(1)
    wire.send(host, {"ready": True, "missing": missing})
    _serve(host, settings)


def _serve(host: socket.socket, settings: Settings) -> None:
    while True:
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        try:
            message, descriptors, _ = wire.receive(host)
        except EOFError:
            if settings["scratch"] is None:  # the PID namespace ends with this process
                os._exit(0)
            _sweep(settings["scratch"])
        try:
            child = os.fork()
        except OSError:  # the host sees its channel close
            wire.close(descriptors)
            continue
        if child == 0:
            host.close()
            _begin(socket.socket(fileno=descriptors[0]), settings | message)
        wire.close(descriptors)


def _begin(channel: socket.socket, settings: Settings) -> None:
    try:
        if settings["mode"] == "namespaces":
            _in_namespaces(channel, settings)
        else:
            _confined(channel, settings)
    except BaseException as error:
        with contextlib.suppress(OSError):
            wire.send(channel, {"fail": f"{type(error).__name__}: {error}"})
    os._exit(70)


def _enter_namespaces(host: socket.socket) -> None:
    """Own namespaces and a new root. Root gives its rights up; a user becomes user 1000 of a user namespace, and so does a
    root that is the only user of its container."""
    is_root = kernel.may_become_nobody()
    if is_root:
        kernel.unshare(_SPACES)
    else:
        user, group = os.getuid(), os.getgid()
        kernel.unshare(_SPACES | kernel.CLONE_NEWUSER)
        kernel.map_ids(_INSIDE, user, group)
    if os.fork():
        host.close()
        _, status = os.wait()
        os._exit(os.waitstatus_to_exitcode(status) & 255)
    kernel.die_with_parent(signal.SIGKILL)
    root.build(root.readable())
    _mount_proc()
    root.seal()
    if is_root:
        _become_nobody()
        kernel.die_with_parent(signal.SIGKILL)  # changing the user has cleared it


def _mount_proc() -> None:
    try:
        kernel.mount("proc", "/proc", "proc", _FLAGS | kernel.MS_NOEXEC)
    except OSError:
        # Inside a container that masks parts of /proc a fresh one is refused. Sessions cover this one.
        kernel.mount("/old/proc", "/proc", None, kernel.MS_BIND | kernel.MS_REC)


def _become_nobody() -> None:
    os.setgroups([])
    os.setresgid(kernel.NOBODY, kernel.NOBODY, kernel.NOBODY)
    os.setresuid(kernel.NOBODY, kernel.NOBODY, kernel.NOBODY)
    kernel.prctl(kernel.PR_SET_DUMPABLE, 1)  # else /proc/self belongs to root, and a session cannot map its user


def _open_to_all(path: str) -> bool:
    """Whether a user without rights can read what lies there; an interpreter under /root, say, is not."""
    return all(parent.stat().st_mode & 1 for parent in Path(path).parents)


def _load(preload: list[str]) -> list[str]:
    """Imports what sessions find loaded; the names of `preload` that are not installed."""
    os.chdir("/")
    sys.path[:] = [path for path in sys.path if path and Path(path).exists()]
    missing = []
    for name in (*_ALWAYS, *preload):
        try:
            importlib.import_module(name)
        except ImportError:
            missing.append(name)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    gc.collect()
    gc.freeze()
    return missing


def _in_namespaces(channel: socket.socket, settings: Settings) -> None:
    """One set of namespaces for the session, whose process is their PID 1; this process waits for it."""
    user, group = os.getuid(), os.getgid()
    kernel.unshare(_SPACES | kernel.CLONE_NEWUSER)  # its own user namespace, so that processes are counted per session
    kernel.map_ids(_INSIDE, user, group)
    if os.fork():
        _, status = os.wait()
        _tell_end(channel, status)
        os._exit(0)
    kernel.die_with_parent(signal.SIGKILL)
    kernel.mount("tmpfs", "/tmp", "tmpfs", _FLAGS, f"size={settings['tmp_bytes']},nr_inodes=10000,mode=700")
    kernel.mount("tmpfs", "/dev/shm", "tmpfs", _FLAGS | kernel.MS_NOEXEC, "size=16m,nr_inodes=1000,mode=700")
    try:
        kernel.mount("proc", "/proc", "proc", _FLAGS | kernel.MS_NOEXEC)
    except OSError:
        kernel.mount("tmpfs", "/proc", "tmpfs", _FLAGS | kernel.MS_RDONLY, "size=4k")
    with contextlib.suppress(OSError):
        kernel.raise_loopback()
    _settle("/tmp", settings, processes=settings["processes"])
    kernel.drop_capabilities()
    if landlock.abi():
        landlock.apply(["/"], ["/tmp", "/dev", "/proc"], network=True)
    seccomp.apply(network=True, signals=True)
    _run(channel)


def _confined(channel: socket.socket, settings: Settings) -> None:
    """Without namespaces: files by Landlock, network and signals by seccomp. This process collects what is left over."""
    kernel.adopt_orphans()
    scratch = f"{settings['scratch']}/{settings['number']}"
    child = os.fork()
    if child:
        signal.signal(signal.SIGTERM, lambda *_: _sweep(scratch))
        kernel.die_with_parent(signal.SIGTERM)
        _, status = os.waitpid(child, 0)
        _tell_end(channel, status)
        _sweep(scratch)
    kernel.die_with_parent(signal.SIGKILL)
    Path(scratch).mkdir(0o700)
    running = sum(1 for entry in Path("/proc").iterdir() if entry.name.isdigit())
    # This limit counts all processes of the user, other sessions' too, so it only stops an avalanche: the host counts
    # each session's own.
    _settle(scratch, settings, processes=running + _AVALANCHE * settings["processes"])
    kernel.drop_capabilities()
    version = landlock.abi()
    if settings["mode"] != "none":
        landlock.apply(root.readable(), [scratch, *(f"/dev/{name}" for name in root.DEVICES)], network=False)
    seccomp.apply(network=False, signals=settings["mode"] != "none" and version >= landlock.SIGNALS_FROM)
    _run(channel)


def _tell_end(channel: socket.socket, status: int) -> None:
    with contextlib.suppress(OSError):
        wire.send(channel, {"exit": os.waitstatus_to_exitcode(status)})


def _sweep(scratch: str) -> NoReturn:
    """Kills every descendant, removes the folder of the session, or that of all, and ends."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    with contextlib.suppress(ChildProcessError, OSError):
        while True:
            for name in _children():
                os.kill(name, signal.SIGKILL)
            os.waitpid(-1, 0)
    shutil.rmtree(scratch, ignore_errors=True)
    os._exit(0)


def _children() -> list[int]:
    return [int(number) for number in Path(f"/proc/self/task/{os.getpid()}/children").read_text().split()]


def _settle(home: str, settings: Settings, *, processes: int) -> None:
    """The session's folder, environment and limits."""
    os.setsid()
    os.chdir(home)
    os.environ.clear()
    os.environ.update(
        HOME=home, TMPDIR=home, PATH="/usr/bin:/bin", LANG="C.UTF-8", MPLBACKEND="Agg", PYTHONHASHSEED="0",
        OPENBLAS_NUM_THREADS="1", OMP_NUM_THREADS="1", PYTHONDONTWRITEBYTECODE="1",
    )  # fmt: skip
    os.nice(5)  # the client that feeds the model goes first
    for name, value in (
        ("AS", settings["memory_bytes"]), ("CPU", settings["cpu_s"]), ("NPROC", processes),
        ("FSIZE", settings["file_bytes"]), ("NOFILE", settings["open_files"]), ("CORE", 0), ("MSGQUEUE", 0),
        ("MEMLOCK", 1 << 16),
    ):  # fmt: skip
        kind = getattr(resource, f"RLIMIT_{name}")
        _, most = resource.getrlimit(kind)
        value = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(kind, (value, value))


def _run(channel: socket.socket) -> None:
    """Leaves nothing open but the channel and the three standard streams, then serves."""
    nothing = os.open("/dev/null", os.O_RDWR)
    for target in (0, 1, 2):
        os.dup2(nothing, target)
    number = channel.detach()
    keep = os.dup2(number, 3, inheritable=False) if number != 3 else 3
    os.closerange(4, 4096)
    channel = socket.socket(fileno=keep)
    wire.send(channel, {"ready": True})
    cell.serve(channel)
    os._exit(0)
