"""The sandbox that a run starts for itself: sessions that keep their state, and test programs that leave none."""

from __future__ import annotations

import asyncio
import logging
import os
import re
import secrets
from types import TracebackType
from typing import TYPE_CHECKING, Protocol, Self

from ns_eval.sandbox.calls import GONE_BEFORE, Call, Cost
from ns_eval.sandbox.config import SandboxConfig
from ns_eval.sandbox.execution import Execution
from ns_eval.sandbox.forks import Fork, Zygote

if TYPE_CHECKING:
    from ns_eval.sandbox.remote import RemoteSandbox

logger = logging.getLogger(__name__)
_HEAVY = re.compile(r"^\s*(?:import|from)\s+(?:numpy|sympy|scipy|pandas|sklearn|matplotlib|mpmath)\b", re.MULTILINE)


class CodeSession(Protocol):
    """One conversation's interpreter, here or behind HTTP."""

    id: str

    async def run(self, code: str, timeout_s: float | None = None) -> Execution: ...

    async def close(self) -> None: ...


class Session:
    """Keeps its variables from one `run` to the next, as a notebook does; its process starts with the first."""

    def __init__(self, box: Sandbox, name: str) -> None:
        self.id = name
        self._box = box
        self._lock = asyncio.Lock()
        self._fork: Fork | None = None
        self._cells = 0

    async def run(self, code: str, timeout_s: float | None = None) -> Execution:
        """Runs one cell and waits for it; a last expression is printed. Nothing that the code does raises here.

        Raises:
            SandboxError: no session can be had any more.
        """
        async with self._lock, self._box.slots:
            limit_s = self._box.config.timeout_s if timeout_s is None else timeout_s
            self._cells += 1
            try:
                execution = await self._cell(code, limit_s)
            except BaseException:  # cancelled, say: the code may still be running
                self._drop()
                raise
            if execution.ended:
                self._drop()
            return execution

    async def _cell(self, code: str, limit_s: float) -> Execution:
        lost = False
        cost = self._box.cost(limit_s, limit_s)
        if self._fork is not None:
            execution = await Call(self._fork, cost).cell(code, self._cells)
            if execution.reason != GONE_BEFORE:
                return execution
            # It died between two cells, with the zygote or by the kernel's hand.
            self._drop()
            lost = True
        self._fork = await self._box.sessions_from.fork()
        return await Call(self._fork, cost).cell(code, self._cells, lost=lost)

    async def close(self) -> None:
        async with self._lock:
            self._drop()
            self._box.forget(self.id)

    def _drop(self) -> None:
        if self._fork is not None:
            self._fork.kill()
            self._fork = None


def open_sandbox(config: SandboxConfig) -> Sandbox | RemoteSandbox:
    """The one that the settings ask for: at `host`, else an own one."""
    from ns_eval.sandbox.remote import RemoteSandbox

    return RemoteSandbox(config) if config.host else Sandbox(config)


class Sandbox:
    """`async with Sandbox(config) as sandbox:` then `sandbox.session(id).run(code)` and `sandbox.program(code, ...)`.

    `walls` says in one line what really stands between the code and this machine.
    """

    def __init__(self, config: SandboxConfig | None = None) -> None:
        self.config = config or SandboxConfig()
        self.walls = ""
        self._sessions: dict[str, Session] = {}

    async def __aenter__(self) -> Self:
        from ns_eval.sandbox.walls import raise_walls

        mode, self._programs_from, self.walls = await raise_walls(self.config)
        self.slots = asyncio.Semaphore(self.config.parallel or len(os.sched_getaffinity(0)))
        self.sessions_from = Zygote(self.config, mode, self.config.preload)
        logger.info("sandbox: %s", self.walls)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for session in [*self._sessions.values()]:
            await session.close()
        await asyncio.gather(self.sessions_from.close(), self._programs_from.close())

    def session(self, name: str) -> Session:
        """The session of that name; a new one where there is none."""
        if name not in self._sessions:
            self._sessions[name] = Session(self, name)
        return self._sessions[name]

    @property
    def session_names(self) -> list[str]:
        return [*self._sessions]

    def forget(self, name: str) -> None:
        self._sessions.pop(name, None)

    async def program(
        self, code: str, *, tests: str | None = None, stdin: str = "", timeout_s: float | None = None, output_bytes: int = 0
    ) -> Execution:
        """Runs a program in a process of its own. With `tests` they run after it, in its scope, and `proved` says that
        they ran to their end; without, it is a script that reads `stdin`.

        `timeout_s` counts CPU seconds; by the clock it may take `patience` times as long.
        """
        limit_s = self.config.timeout_s if timeout_s is None else timeout_s
        source = self.sessions_from if _HEAVY.search(f"{code}\n{tests or ''}") else self._programs_from
        async with self.slots:
            fork = await source.fork()
            try:
                cost = self.cost(limit_s, limit_s * self.config.patience, output_bytes)
                return await Call(fork, cost).program(code, tests, stdin, secrets.token_hex(16))
            finally:
                fork.kill()

    def cost(self, cpu_s: float, wall_s: float, output_bytes: int = 0) -> Cost:
        return Cost(cpu_s, wall_s, output_bytes or self.config.output_kb << 10, self.sessions_from.limits)
