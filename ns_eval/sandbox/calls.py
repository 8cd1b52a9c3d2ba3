"""One piece of code in one session process, from the first byte to the verdict, under every limit."""

from __future__ import annotations

import asyncio
import itertools
import time
from dataclasses import dataclass

from ns_eval.sandbox import wire
from ns_eval.sandbox.capture import Capture
from ns_eval.sandbox.execution import Execution, Status
from ns_eval.sandbox.forks import Fork, Limits, Message

_GRACE_S = 0.5
_ROUNDS, _PAUSE_S = 50, 0.002
_SHORT_S = 0.005  # most cells have ended by then, and nobody needs to look after them
_TICKS_S = (0.02, 0.05, 0.1)
GONE_BEFORE = "its process was gone before the code began"
_SIGNALS = {
    6: "aborted", 9: "killed", 11: "segmentation fault", 24: "out of CPU time", 25: "file too large",
    31: "a forbidden system call",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Cost:
    """What one piece of code may use."""

    cpu_s: float
    wall_s: float
    output_bytes: int
    limits: Limits


class Call:
    """Used once."""

    def __init__(self, fork: Fork, cost: Cost) -> None:
        self._fork = fork
        self._cost = cost
        self._out = Capture(cost.output_bytes)
        self._err = Capture(cost.output_bytes)
        self._start = time.monotonic()
        self._cpu_before: float | None = None
        self._over: str | None = None
        self._keeps_state = False
        self._killed = False

    async def cell(self, code: str, number: int, *, lost: bool = False) -> Execution:
        """One cell of a session. `lost`: its earlier state is gone already."""
        try:
            return await self._cell(code, number, lost)
        finally:
            self._close()

    async def program(self, code: str, tests: str | None, stdin: str, nonce: str) -> Execution:
        """A program with its tests, or a script with its input."""
        try:
            return await self._program(code, tests, stdin, nonce)
        finally:
            self._close()

    def _close(self) -> None:
        self._out.close()
        self._err.close()

    async def _cell(self, code: str, number: int, lost: bool) -> Execution:
        self._keeps_state = True
        if not self._sent({"op": "cell", "code": code, "number": number}):
            return self._told("killed", {}, reason=GONE_BEFORE, lost=True, ended=True)
        reply = await self._reply()
        for _ in range(_ROUNDS):  # a killed process needs a moment, and may have started another before
            if not self._fork.end_children():
                break
            await asyncio.sleep(_PAUSE_S)
        return self._judged(reply, lost=lost)

    async def _program(self, code: str, tests: str | None, stdin: str, nonce: str) -> Execution:
        message: Message = {"op": "program", "code": code, "tests": tests is not None}
        if not self._sent(message, stdin.encode()):
            return self._told("killed", {}, reason=GONE_BEFORE, lost=True, ended=True)
        reply = await self._reply()
        if tests is not None and reply.get("defined"):
            reply = await self._answered({"tests": tests})
            if reply.get("passed"):
                reply = await self._answered({"nonce": nonce})
                return self._judged(reply | {"proved": reply.get("nonce") == nonce})
        return self._judged(reply, script=tests is None)

    async def _answered(self, message: Message) -> Message:
        try:
            self._fork.send(message)
        except EOFError:
            return {"gone": True}
        return await self._reply()

    def _sent(self, message: Message, stdin: bytes | None = None) -> bool:
        handles = [] if stdin is None else [wire.file_of(stdin)]
        try:
            self._fork.send(message, [self._out.end, self._err.end, *handles])
        except EOFError:
            return False
        finally:
            wire.close(handles)
            self._out.hand_over()
            self._err.hand_over()
        return True

    async def _reply(self) -> Message:
        """The next message. Past a limit the code is interrupted, then killed; `gone` where its process is."""
        try:
            if await self._has_replied(_SHORT_S):
                return self._fork.receive()
            self._out.follow()
            self._err.follow()
            for pause_s in itertools.chain(_TICKS_S, itertools.repeat(_TICKS_S[-1])):
                if await self._has_replied(pause_s):
                    return self._fork.receive()
                self._over = self._past_a_limit()
                if self._over:
                    return await self._end()
        except EOFError:
            return {"gone": True}
        raise AssertionError("unreachable")

    async def _has_replied(self, within_s: float) -> bool:
        left_s = self._start + self._cost.wall_s - time.monotonic()
        return await self._fork.has_said(min(within_s, left_s))

    async def _end(self) -> Message:
        if self._over == "time":
            self._fork.interrupt()
            if await self._fork.has_said(_GRACE_S):
                return self._fork.receive()
        self._killed = True
        self._fork.kill()
        return {"gone": True}

    def _past_a_limit(self) -> str | None:
        cost = self._cost
        if time.monotonic() >= self._start + cost.wall_s:
            return "time"
        if self._out.flooded or self._err.flooded:
            return "it wrote without end"
        used = self._fork.usage(cost.limits)
        if used.memory_bytes > cost.limits.memory_bytes:
            return f"its processes together used more than {cost.limits.memory_bytes >> 20} MB"
        if used.tasks > cost.limits.processes:
            return f"more than {cost.limits.processes} processes"
        if self._cpu_before is None:
            # The first look comes after the first tick; what was used before belongs to earlier calls, but for that time.
            self._cpu_before = max(0.0, used.cpu_s - _SHORT_S - _TICKS_S[0])
        return "time" if used.cpu_s - self._cpu_before > cost.cpu_s else None

    def _judged(self, reply: Message, *, lost: bool = False, script: bool = False) -> Execution:
        if self._over == "time":
            return self._told("timeout", reply, lost=lost or self._killed, ended=self._killed)
        if self._over:
            return self._told("killed", reply, reason=self._over, lost=True, ended=True)
        if "exit" in reply or "gone" in reply:
            code = reply.get("exit")
            if not isinstance(code, int):  # nobody says: the zygote is gone too, or the code wrote to the channel
                return self._told("killed", reply, reason="its process is gone", lost=True, ended=True)
            if script and code == 0:  # os._exit(0): what it printed is judged, and that is all
                return self._told("ok", reply)
            named = _SIGNALS.get(-code, f"signal {-code}") if code < 0 else f"exit code {code}"
            return self._told("killed", reply, reason=f"its process ended: {named}", lost=True, ended=True)
        if reply.get("error") is not None:
            return self._told("error", reply, lost=lost)
        return self._told("ok", reply, lost=lost)

    def _told(
        self, status: Status, reply: Message, *, reason: str | None = None, lost: bool = False, ended: bool = False
    ) -> Execution:
        stdout, stderr = self._out.close(), self._err.close()
        if status == "timeout":
            stderr += f"Execution timed out after {self._cost.cpu_s:g} seconds.\n"
        elif reason is not None:
            stderr += f"Execution was ended: {reason}.\n"
        if lost and self._keeps_state:
            stderr += "The interpreter was restarted: all variables are lost.\n"
        error, cpu = reply.get("error"), reply.get("cpu")
        return Execution(
            status=status,
            stdout=stdout,
            stderr=stderr,
            seconds=time.monotonic() - self._start,
            cpu_seconds=float(cpu) if isinstance(cpu, int | float) else 0.0,
            state_lost=lost,
            truncated=self._out.truncated or self._err.truncated,
            error=str(error) if error is not None and status == "error" else None,
            phase=str(reply.get("phase")) if status == "error" else None,
            reason=reason,
            proved=status == "ok" and reply.get("proved") is True,
            ended=ended,
        )
