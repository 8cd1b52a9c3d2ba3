"""A sandbox that runs elsewhere, behind NeMo-Skills' HTTP routes: theirs, or `ns sandbox serve`."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import time
from collections.abc import Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from ns_eval.errors import UsageError
from ns_eval.sandbox.config import SandboxConfig
from ns_eval.sandbox.execution import Execution, Status
from ns_eval.sandbox.forks import SandboxError

if TYPE_CHECKING:
    import aiohttp

logger = logging.getLogger(__name__)
# What the other side may need beyond the code's own limit: the way, its grace time, a queue.
_MARGIN_S = 30.0
_ATTEMPTS = 3
_STATUS: dict[str, Status] = {"completed": "ok", "error": "error", "timeout": "timeout"}


class RemoteSession:
    """One session of a sandbox behind HTTP, under a name that no other run uses."""

    def __init__(self, sandbox: RemoteSandbox, name: str) -> None:
        self.id = name
        self._sandbox = sandbox
        self._remote_id = f"ns-{secrets.token_hex(8)}"
        self._used = False

    async def run(self, code: str, timeout_s: float | None = None) -> Execution:
        """Runs one cell there.

        Raises:
            SandboxError: it does not answer, or not in its own terms.
        """
        body = {"language": "ipython", "generated_code": code}
        execution, new = await self._sandbox.execute(body, timeout_s, self._remote_id)
        lost = new and self._used
        self._used = True
        return execution if not lost else _with_loss(execution)

    async def close(self) -> None:
        if self._used:
            await self._sandbox.end_session(self._remote_id)
        self._sandbox.forget(self.id)


class RemoteSandbox:
    """The same doors as `Sandbox`; `walls` says that the walls are somebody else's."""

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.walls = f"at {config.host}:{config.port}, whatever stands there"
        self._sessions: dict[str, RemoteSession] = {}
        self._http: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        import aiohttp

        token = os.environ.get(self.config.token_env, "") if self.config.token_env else ""
        if self.config.token_env and not token:
            raise UsageError(f"sandbox.token_env: the environment variable {self.config.token_env} is not set")
        self._http = aiohttp.ClientSession(
            f"http://{self.config.host}:{self.config.port}",
            headers={"Authorization": f"Bearer {token}"} if token else {},
            connector=aiohttp.TCPConnector(limit=0),
        )
        try:
            health = await self._asked("GET", "/health", None, {}, 10.0)
        except BaseException:
            await self._http.close()
            raise
        if isinstance(health.get("walls"), str):
            self.walls = f"at {self.config.host}:{self.config.port}: {health['walls']}"
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for session in [*self._sessions.values()]:
            await session.close()
        if self._http is not None:
            await self._http.close()

    def session(self, name: str) -> RemoteSession:
        """The session of that name; a new one where there is none."""
        if name not in self._sessions:
            self._sessions[name] = RemoteSession(self, name)
        return self._sessions[name]

    def forget(self, name: str) -> None:
        self._sessions.pop(name, None)

    async def program(
        self, code: str, *, tests: str | None = None, stdin: str = "", timeout_s: float | None = None, output_bytes: int = 0
    ) -> Execution:
        """Runs a program there. These routes cannot hold the nonce back until the program is defined, so that the proof
        is weaker than that of an own sandbox: it stands in the source, behind the last test."""
        nonce = secrets.token_hex(16)
        source = code if tests is None else f"{code}\n{tests}\nprint({nonce!r})\n"
        body: dict[str, object] = {"language": "python", "generated_code": source, "std_input": stdin}
        if output_bytes or tests is not None:
            body["max_output_characters"] = output_bytes or self.config.output_kb << 10
        execution, _ = await self.execute(body, timeout_s, None)
        if tests is None or execution.status != "ok":
            return execution
        proved = execution.stdout.rstrip().endswith(nonce)
        return Execution("ok", execution.stdout.replace(nonce, ""), execution.stderr, execution.seconds, proved=proved)

    async def execute(self, body: Mapping[str, object], timeout_s: float | None, name: str | None) -> tuple[Execution, bool]:
        """(what came of it, whether the session was made for it)."""
        limit_s = self.config.timeout_s if timeout_s is None else timeout_s
        headers = {} if name is None else {"X-Session-ID": name}
        whole = {"timeout": limit_s, "max_output_characters": self.config.output_kb << 10, **body}
        start = time.monotonic()
        reply = await self._asked("POST", "/execute", whole, headers, limit_s + _MARGIN_S)
        status = _STATUS.get(str(reply.get("process_status")))
        if status is None:
            raise SandboxError(f"the sandbox {self._where()} answered without a known process_status: {str(reply)[:200]}")
        stdout, stderr = str(reply.get("stdout") or ""), str(reply.get("stderr") or "")
        if status == "ok" and "Traceback (most recent call last)" in (stdout[:100] + stderr[:100]):
            status = "error"  # NeMo-Skills calls a cell that raised completed
        execution = Execution(status, stdout, stderr, time.monotonic() - start)
        return execution, bool(reply.get("new_session_created"))

    async def end_session(self, name: str) -> None:
        try:
            await self._asked("DELETE", f"/sessions/{name}", None, {}, 10.0)
        except SandboxError as error:  # it expires there by itself
            logger.debug("%s", error)

    async def _asked(
        self, method: str, path: str, body: dict[str, Any] | None, headers: dict[str, str], timeout_s: float
    ) -> dict[str, Any]:
        """Any: JSON. A refused connection is tried again, nothing else: code must not run twice."""
        import aiohttp

        assert self._http is not None, "use `async with RemoteSandbox(...)`"
        limit = aiohttp.ClientTimeout(total=timeout_s)
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                async with self._http.request(method, path, json=body, headers=headers, timeout=limit) as response:
                    return await self._read(response)
            except aiohttp.ClientConnectorError as error:
                if attempt == _ATTEMPTS:
                    hint = "start one with `ns sandbox serve`, or leave ++sandbox.host away"
                    raise SandboxError(f"no sandbox answers {self._where()}: {error}", hint=hint) from error
                await asyncio.sleep(0.5 * attempt)
            except TimeoutError as error:
                raise SandboxError(f"the sandbox {self._where()} did not answer within {timeout_s:g} s") from error
            except (aiohttp.ClientError, ValueError) as error:
                raise SandboxError(f"the sandbox {self._where()} broke off: {error}") from error
        raise AssertionError("unreachable")

    async def _read(self, response: aiohttp.ClientResponse) -> dict[str, Any]:
        if response.status >= 400:
            raise SandboxError(f"the sandbox {self._where()} said {response.status}: {(await response.text())[:300]}")
        reply = await response.json(content_type=None)
        return reply if isinstance(reply, dict) else {"reply": reply}

    def _where(self) -> str:
        return f"at {self.config.host}:{self.config.port}"


def _with_loss(execution: Execution) -> Execution:
    import dataclasses

    return dataclasses.replace(execution, state_lost=True)
