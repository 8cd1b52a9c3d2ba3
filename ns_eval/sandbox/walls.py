"""Finds out which walls this machine allows, by raising them and trying to get out."""

from __future__ import annotations

import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from ns_eval.errors import UsageError, suggest
from ns_eval.sandbox import kernel, landlock
from ns_eval.sandbox.calls import Call, Cost
from ns_eval.sandbox.config import SandboxConfig
from ns_eval.sandbox.containers import TOOLS
from ns_eval.sandbox.forks import SandboxError, Zygote

MODES = ("namespaces", "bwrap", "landlock")
_NAMED = ("auto", *MODES, *TOOLS)
_POSITIVE = (
    "timeout_s", "patience", "parallel", "memory_mb", "cpu_s", "processes", "tmp_mb", "open_files", "output_kb",
)  # fmt: skip
_NAMES = {
    "namespaces": "own user, mount, pid, net, ipc and uts namespaces, read-only root",
    "bwrap": "bubblewrap around all sessions",
    "landlock": "no namespaces: files by Landlock, network by seccomp",
    "none": "NO WALL: model-written code can read and change all that you can",
}
# Runs inside; prints what it could reach. What it is given is reachable from outside for certain.
_ATTEMPTS = """
import json, os, socket
def succeeds(attempt):
    try:
        attempt()
    except OSError:
        return False
    return True
def connect(family, address):
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.settimeout(1)
        probe.connect(address)
def status(name):
    try:
        return next(line.split()[1] for line in open("/proc/self/status") if line.startswith(name + ":"))
    except OSError:
        return "?"
print(json.dumps({
    "the host's files": succeeds(lambda: open(FILE).close()),
    "the host's network": succeeds(lambda: connect(socket.AF_INET, ("127.0.0.1", PORT))),
    "the host's sockets": succeeds(lambda: connect(socket.AF_UNIX, SOCKET)),
    "the host's processes": succeeds(lambda: os.kill(HOST, 0)) and os.getpid() != HOST,
    "capabilities": int(status("CapEff").replace("?", "0"), 16) != 0,
}))
"""


def check(config: SandboxConfig) -> None:
    """Refuses what no machine could do, before anything starts.

    Raises:
        UsageError: an unknown wall, a container without an image, no such interpreter, a limit that leaves nothing.
    """
    if config.walls not in _NAMED:
        raise UsageError(f"sandbox.walls: unknown `{config.walls}`, {suggest(config.walls, _NAMED)}")
    if config.walls in TOOLS and not config.image:
        raise UsageError(
            f"sandbox.walls={config.walls} needs an image", hint="++sandbox.image=python:3.12-slim, pulled before"
        )
    if config.python and config.walls not in TOOLS and shutil.which(config.python) is None:
        raise UsageError(f"sandbox.python={config.python}: there is no such program here")
    for name in _POSITIVE:
        value = getattr(config, name)
        if value is not None and value <= 0:
            raise UsageError(f"sandbox.{name}={value}: expected a positive number")


async def raise_walls(config: SandboxConfig) -> tuple[str, Zygote, str]:
    """(mode, the zygote for test programs, what stands in one line).

    Raises:
        SandboxError: no wall stands and `allow_unsafe` is not set; with the reason of each.
    """
    check(config)
    refused: list[str] = []
    for mode in MODES if config.walls == "auto" else (config.walls,):
        found = await _raised(config, mode)
        if isinstance(found, Zygote):
            return mode, found, _line(config, mode)
        refused.append(f"{mode}: {found}")
    if not config.allow_unsafe:
        raise SandboxError(
            "no wall can be raised between model-written code and this machine:\n  " + "\n  ".join(refused),
            hint="run `ns sandbox serve` where one stands and name it with ++sandbox.host, or accept the risk with "
            "++sandbox.allow_unsafe=true",
        )
    zygote = Zygote(config, "none", [])
    await _reachable(zygote)
    return "none", zygote, f"{_line(config, 'none')} ({'; '.join(refused)})"


async def _raised(config: SandboxConfig, mode: str) -> Zygote | str:
    """A zygote behind this wall, or why there is none."""
    reason = _impossible(mode)
    if reason is not None:
        return reason
    zygote = Zygote(config, mode, [])
    try:
        reached = await _reachable(zygote)
    except SandboxError as error:
        await zygote.close()
        return error.message
    if reached:
        await zygote.close()
        return f"it stands, but lets through: {', '.join(reached)}"
    return zygote


def _impossible(mode: str) -> str | None:
    if not kernel.SUPPORTED:
        return "only x86-64 and arm64 are known"
    if mode == "bwrap" and shutil.which("bwrap") is None:
        return "bubblewrap is not installed"
    if mode == "bwrap" and os.geteuid() == 0:
        return "started by root it is no wall"  # user 65534 inside is user 0 outside
    if mode in TOOLS and shutil.which(mode) is None:
        return f"{mode} is not installed"
    if mode != "namespaces" and landlock.abi() == 0:
        return f"Linux {os.uname().release} has no Landlock, so sessions could not be kept apart"
    return None


def _line(config: SandboxConfig, mode: str) -> str:
    if mode == "none":
        return _NAMES[mode]
    version = landlock.abi()
    parts = [_NAMES.get(mode, f"{mode} container of {config.image} around all sessions"), "seccomp"]
    if version:
        parts.append(f"Landlock {version}")
    parts.append(f"{config.memory_mb} MB and {config.processes} processes a session")
    if mode != "namespaces":
        parts.append("the size of its /tmp is not limited")
    return ", ".join(parts) + "; tried from inside: the host's files, network and processes are out of reach"


async def _reachable(zygote: Zygote) -> list[str]:
    """What code in a fresh session of this zygote gets at."""
    with _targets() as values:
        fork = await zygote.fork()
        try:
            code = "".join(f"{name} = {value!r}\n" for name, value in values.items()) + _ATTEMPTS
            execution = await Call(fork, Cost(20.0, 20.0, 1 << 16, zygote.limits)).cell(code, 0)
        finally:
            fork.kill()
    if execution.status != "ok":
        raise SandboxError(f"the first session failed: {execution.stderr.strip()[-300:]}")
    return [name for name, reached in json.loads(execution.stdout).items() if reached]


@contextmanager
def _targets() -> Iterator[dict[str, object]]:
    with ExitStack() as stack:
        file = stack.enter_context(tempfile.NamedTemporaryFile(prefix="ns-sandbox-probe-"))
        Path(file.name).chmod(0o644)
        tcp = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
        abstract = stack.enter_context(socket.socket(socket.AF_UNIX))
        name = f"\0ns-sandbox-{os.getpid()}-{id(file)}"
        abstract.bind(name)
        abstract.listen(8)
        yield {"FILE": file.name, "PORT": tcp.getsockname()[1], "SOCKET": name, "HOST": os.getpid()}
