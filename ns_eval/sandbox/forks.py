"""The host's side of the zygote and of the sessions forked from it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ns_eval.errors import NsError
from ns_eval.sandbox import containers, kernel, starting, wire
from ns_eval.sandbox.config import SandboxConfig
from ns_eval.sandbox.containers import TOOLS
from ns_eval.sandbox.processes import Handle, Usage, end_descendants, usage

_START_S = 120.0
_BEGIN_S = 30.0

logger = logging.getLogger(__name__)
Message = dict[str, Any]  # Any: JSON


class SandboxError(NsError):
    """No wall stands, or the sandbox broke."""

    exit_code = 4


@dataclass(frozen=True, slots=True)
class Limits:
    """What of a session's limits the host keeps itself."""

    memory_bytes: int
    processes: int


class Fork:
    """One session process."""

    def __init__(self, channel: socket.socket, pid: int, *, confined: bool) -> None:
        self._channel = channel
        self._loop = asyncio.get_running_loop()
        self.pid = pid
        # Without a PID namespace orphans go to the waiter above the session, so the tree is looked at from there.
        self._top = _parent(pid) if confined else pid
        self._handle = Handle(pid)

    def send(self, message: Message, descriptors: Sequence[int] = ()) -> None:
        """Raises EOFError where the process is gone."""
        try:
            wire.send(self._channel, message, descriptors)
        except OSError as error:
            raise EOFError(str(error)) from error

    async def has_said(self, within_s: float) -> bool:
        """Waits until there is something to receive, but no longer than that."""
        heard: asyncio.Future[bool] = self._loop.create_future()
        number = self._channel.fileno()
        self._loop.add_reader(number, _settle, heard, True)
        timer = self._loop.call_later(within_s, _settle, heard, False)
        try:
            return await heard
        finally:
            timer.cancel()
            self._loop.remove_reader(number)

    def receive(self) -> Message:
        """Its next message, which is there. EOFError when it is gone."""
        message, descriptors, _ = wire.receive(self._channel)
        wire.close(descriptors)
        return message

    def usage(self, limits: Limits) -> Usage:
        return usage(self._top, limits.memory_bytes)

    def interrupt(self) -> None:
        """Ends what the code started and raises KeyboardInterrupt in it."""
        self.end_children()
        self._handle.signal(signal.SIGINT)

    def end_children(self) -> bool:
        """Kills what the code started; whether there was anything."""
        return end_descendants(self._top, self.pid)

    def kill(self) -> None:
        """Ends the process and all that descends from it."""
        self._handle.signal(signal.SIGKILL)
        self._handle.close()
        self._channel.close()


class Zygote:
    """The process that sessions are forked from. `open` starts it; a dead one is started again by the next fork."""

    def __init__(self, config: SandboxConfig, mode: str, preload: list[str]) -> None:
        self._config = config
        self._mode = mode
        self._preload = preload
        self._lock = asyncio.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._channel: socket.socket | None = None
        self._scratch: tempfile.TemporaryDirectory[str] | None = None
        self._count = 0
        self.limits = Limits(config.memory_mb << 20, config.processes)

    async def fork(self) -> Fork:
        """A fresh session.

        Raises:
            SandboxError: the zygote cannot be started, or walls that stood are refused now.
        """
        for attempt in (1, 2):
            async with self._lock:
                channel = await self._alive()
            try:
                async with asyncio.timeout(_BEGIN_S):  # wait_for of Python 3.11 can swallow a cancellation
                    return await self._fork_from(channel)
            except EOFError as error:
                if attempt == 2:
                    raise SandboxError(f"the sandbox gave no session: {error}", hint=_LIMITS_HINT) from error
                await asyncio.sleep(0.05)
            except TimeoutError as error:
                raise SandboxError(f"the sandbox gave no session within {_BEGIN_S:.0f} s") from error
        raise AssertionError("unreachable")

    async def close(self) -> None:
        """Ends the zygote, and with it every session of it."""
        channel, self._channel = self._channel, None
        if channel is not None:
            channel.close()
        if self._process is not None:
            await asyncio.to_thread(_reap, self._process)
            self._process = None
        if self._scratch is not None:
            await asyncio.to_thread(self._scratch.cleanup)
            self._scratch = None

    @property
    def pid(self) -> int | None:
        return None if self._process is None else self._process.pid

    async def _fork_from(self, zygote: socket.socket) -> Fork:
        ours, theirs = wire.pair()
        ours.setblocking(False)
        self._count += 1
        try:
            wire.send(zygote, {"number": self._count}, [theirs.fileno()])
        except OSError as error:
            ours.close()
            self._channel = None
            raise EOFError(f"the zygote is gone ({error})") from error
        finally:
            theirs.close()
        try:
            message, sender = await _receive(ours)
            if "fail" in message:
                raise EOFError(message["fail"])
        except BaseException:
            ours.close()
            raise
        return Fork(ours, sender, confined=self._mode != "namespaces")

    async def _alive(self) -> socket.socket:
        if self._channel is not None and self._process is not None and self._process.poll() is None:
            return self._channel
        await self.close()
        if self._mode != "namespaces":
            self._scratch = tempfile.TemporaryDirectory(prefix="ns-sandbox-", ignore_cleanup_errors=True)
            if kernel.may_become_nobody():
                # Sessions may belong to that user, and their zygote takes the folder away where this process is killed.
                os.chown(self._scratch.name, kernel.NOBODY, kernel.NOBODY)
                Path(self._scratch.name).chmod(0o1733)
        ours: socket.socket | None = None
        with tempfile.TemporaryFile() as log:
            try:
                async with asyncio.timeout(_START_S):
                    ours = await self._started(log)
                    message, _ = await _receive(ours)
            except TimeoutError:
                message = {"fail": _last_line(log) or f"no answer within {_START_S:.0f} s"}
            except OSError as error:
                message = {"fail": str(error)}
            except EOFError as error:
                ended = (
                    str(error)
                    if self._mode in TOOLS
                    else f"{starting.interpreter(self._config, self._mode)} ended without a word"
                )
                message = {"fail": _last_line(log) or ended}
        if "fail" in message or ours is None:
            if ours is not None:
                ours.close()
            await self.close()
            raise SandboxError(f"sandbox ({self._mode}): {message['fail']}")
        if message["missing"]:
            logger.warning("sandbox: not installed, so code cannot import it: %s", ", ".join(message["missing"]))
        self._channel = ours
        return ours

    async def _started(self, log: IO[bytes]) -> socket.socket:
        """Our end of the channel to a zygote that is being started. EOFError where its container ends at once."""
        if self._mode not in TOOLS:
            ours, theirs = wire.pair()
            with theirs:
                self._process = self._run(self._command(str(theirs.fileno())), starting.ENVIRONMENT, log, theirs.fileno())
        else:
            assert self._scratch is not None
            path = f"{self._scratch.name}/zygote"
            with wire.listener(path) as waiting:
                waiting.setblocking(False)
                self._process = self._run(self._command(path), containers.environment(), log)
                ours = await self._taken_up(waiting)
            Path(path).unlink()
        ours.setblocking(False)
        return ours

    async def _taken_up(self, waiting: socket.socket) -> socket.socket:
        accepting = asyncio.ensure_future(asyncio.get_running_loop().sock_accept(waiting))
        try:
            while not (await asyncio.wait([accepting], timeout=_LOOK_S))[0]:
                code = self._process.poll() if self._process is not None else None
                if code is not None:
                    raise EOFError(f"{self._mode} ended with {code}")
            return accepting.result()[0]
        finally:
            accepting.cancel()

    def _command(self, channel: str) -> list[str]:
        scratch = None if self._scratch is None else self._scratch.name
        return starting.command(self._config, self._mode, self._preload, channel, scratch)

    def _run(self, words: list[str], env: dict[str, str], log: IO[bytes], *handed: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(words, env=env, pass_fds=handed, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd="/")


_LOOK_S = 0.1
_LIMITS_HINT = "`ulimit -u` and `sysctl user.max_user_namespaces` bound the number of sessions"


def _last_line(log: IO[bytes]) -> str:
    log.seek(0)
    said = log.read().decode(errors="replace").strip().splitlines()
    return said[-1] if said else ""


async def _receive(channel: socket.socket) -> tuple[Message, int]:
    loop = asyncio.get_running_loop()
    ready: asyncio.Future[bool] = loop.create_future()
    loop.add_reader(channel, _settle, ready, True)
    try:
        await ready
        message, descriptors, sender = wire.receive(channel)
    finally:
        if channel.fileno() >= 0:
            loop.remove_reader(channel)
    wire.close(descriptors)
    return message, sender


def _settle(future: asyncio.Future[bool], value: bool) -> None:
    if not future.done():
        future.set_result(value)


def _parent(pid: int) -> int:
    with contextlib.suppress(OSError):
        return int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
    return pid


def _reap(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
