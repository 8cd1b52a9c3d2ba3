"""`ns sandbox serve`: the sandbox behind NeMo-Skills' HTTP routes, for its clients and for other harnesses.

POST /execute   {generated_code, language, timeout, std_input, max_output_characters} and the header X-Session-ID
                -> {process_status: completed | error | timeout, stdout, stderr, new_session_created}
GET /health   GET /sessions   DELETE /sessions/<id>

Source of the routes: NeMo-Skills, nemo_skills/code_execution/local_sandbox/local_sandbox_server.py at 6f8305d0.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import os
import signal
import sys
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from ns_eval.errors import UsageError
from ns_eval.sandbox.box import Sandbox
from ns_eval.sandbox.config import SandboxConfig
from ns_eval.sandbox.execution import Execution, clip
from ns_eval.sandbox.forks import SandboxError

if TYPE_CHECKING:
    from aiohttp import web

_LOOPBACK = ("127.0.0.1", "::1", "localhost")
_SCRIPTS = ("python", "python3")
_STATUS = {"ok": "completed", "error": "error", "timeout": "timeout", "killed": "error"}
_MOST_BYTES = 64 << 20
_SWEEP_S = 60.0


@dataclass
class ServeConfig:
    """Serve the sandbox over HTTP, with NeMo-Skills' routes.

    Examples:
        ns sandbox serve
        ns sandbox serve --port=6001 --sandbox.memory_mb=4096
        NS_SANDBOX_TOKEN=… ns sandbox serve --host=0.0.0.0 --token=NS_SANDBOX_TOKEN
    """

    host: str = "127.0.0.1"
    """Address to listen on. Any other than loopback needs --token."""
    port: int = 6000
    """Port to listen on; 0 takes a free one."""
    token: str = ""
    """The environment variable that holds the token which every request must bring as `Authorization: Bearer …`."""
    session_timeout_s: float = 3600.0
    """Seconds without a request after which a session is closed."""
    sandbox: SandboxConfig = field(default_factory=SandboxConfig)
    """What the code may use."""


def main(config: ServeConfig) -> int:
    """Serves until it is interrupted; prints the address once it answers."""
    token = _token(config)
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve(config, token))
    return 0


def _token(config: ServeConfig) -> str:
    if not config.token:
        if config.host not in _LOOPBACK:
            raise UsageError(
                f"--host={config.host}: whoever reaches this address could run code here, so it needs a token",
                hint="export NS_SANDBOX_TOKEN=$(openssl rand -hex 16), then add --token=NS_SANDBOX_TOKEN",
            )
        return ""
    token = os.environ.get(config.token, "")
    if not token:
        raise UsageError("--token names an environment variable, and there is none of this name")
    return token


async def _serve(config: ServeConfig, token: str) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    async with Sandbox(config.sandbox) as sandbox, serving(sandbox, config, token) as address:
        print(f"sandbox: {sandbox.walls}", file=sys.stderr)  # a command's own words
        print(address, flush=True)
        await stop.wait()


@contextlib.asynccontextmanager
async def serving(sandbox: Sandbox, config: ServeConfig, token: str) -> Any:
    """Answers requests while it is open; gives the address.

    Raises:
        UsageError: the port is taken.
    """
    from aiohttp import web

    routes = _Routes(sandbox, token)
    application = web.Application(client_max_size=_MOST_BYTES, middlewares=[routes.guard])
    application.add_routes(
        [
            web.post("/execute", routes.execute),
            web.get("/health", routes.health),
            web.get("/sessions", routes.sessions),
            web.delete("/sessions/{name}", routes.close_session),
        ]
    )
    runner = web.AppRunner(application, access_log=None)
    await runner.setup()
    sweeper = asyncio.create_task(routes.close_idle(config.session_timeout_s))
    try:
        site = web.TCPSite(runner, config.host, config.port)
        try:
            await site.start()
        except OSError as error:
            raise UsageError(f"cannot listen on {config.host}:{config.port}: {error.strerror}", hint="--port=0") from error
        address, port = runner.addresses[0][:2]
        yield f"http://{address}:{port}"
    finally:
        sweeper.cancel()
        await runner.cleanup()


class _Routes:
    def __init__(self, sandbox: Sandbox, token: str) -> None:
        self._sandbox = sandbox
        self._token = token
        self._seen: dict[str, float] = {}

    @property
    def guard(self) -> Any:
        from aiohttp import web

        @web.middleware
        async def guard(request: web.Request, handler: Any) -> web.StreamResponse:
            given = request.headers.get("Authorization", "").removeprefix("Bearer ")
            if self._token and not hmac.compare_digest(given.encode(), self._token.encode()):
                return web.json_response({"error": "a token is needed: Authorization: Bearer …"}, status=401)
            if not self._token and "Origin" in request.headers:  # a web page in a browser on this machine
                return web.json_response({"error": "requests from web pages need a token"}, status=403)
            answer: web.StreamResponse = await handler(request)
            return answer

        return guard

    async def execute(self, request: web.Request) -> web.Response:
        from aiohttp import web

        name = request.headers.get("X-Session-ID")
        try:
            order = _order(await request.json(), name)
        except ValueError as error:
            return web.json_response({"error": str(error)}, status=400)
        is_new = order.cell and name not in self._seen
        try:
            execution = await self._run(order, name)
        except SandboxError as error:
            return web.json_response({"error": str(error)}, status=503)
        return web.json_response(_reply(execution, order, new=is_new or (order.cell and execution.state_lost)))

    async def _run(self, order: _Order, name: str | None) -> Execution:
        if not order.cell or name is None:
            return await self._sandbox.program(order.code, stdin=order.stdin, timeout_s=order.timeout_s)
        self._seen[name] = time.monotonic()
        return await self._sandbox.session(name).run(order.code, order.timeout_s)

    async def health(self, _: web.Request) -> web.Response:
        from aiohttp import web

        return web.json_response({"status": "healthy", "walls": self._sandbox.walls})

    async def sessions(self, _: web.Request) -> web.Response:
        from aiohttp import web

        now = time.monotonic()
        table = {name: {"idle_seconds": round(now - seen, 1)} for name, seen in self._seen.items()}
        return web.json_response({"sessions": table})

    async def close_session(self, request: web.Request) -> web.Response:
        from aiohttp import web

        name = request.match_info["name"]
        if self._seen.pop(name, None) is None:
            return web.json_response({"error": f"no session {name}"}, status=404)
        await self._sandbox.session(name).close()
        return web.json_response({"message": f"session {name} is closed"})

    async def close_idle(self, limit_s: float) -> None:
        """Closes what nobody has used for so long; runs until cancelled."""
        while True:
            await asyncio.sleep(min(limit_s, _SWEEP_S))
            now = time.monotonic()
            for name in [name for name, seen in self._seen.items() if now - seen > limit_s]:
                del self._seen[name]
                await self._sandbox.session(name).close()


@dataclass(frozen=True, slots=True)
class _Order:
    code: str
    stdin: str
    timeout_s: float
    most_characters: int
    cell: bool


def _order(body: Any, name: str | None) -> _Order:
    """ValueError where the request is not one."""
    if not isinstance(body, dict) or not isinstance(body.get("generated_code"), str):
        raise ValueError("expected a JSON object with `generated_code`")
    language = body.get("language", "ipython")
    if language != "ipython" and language not in _SCRIPTS:
        raise ValueError(f"language `{language}` is not offered here; known: ipython, {', '.join(_SCRIPTS)}")
    if language == "ipython" and not name:
        raise ValueError("language ipython needs the header X-Session-ID")
    try:
        timeout_s = float(body.get("timeout", 10.0))
        most = int(body.get("max_output_characters", 1000))
    except (TypeError, ValueError) as error:
        raise ValueError(f"timeout and max_output_characters are numbers: {error}") from error
    if not 0 < timeout_s <= 86400 or most < 0:
        raise ValueError(f"timeout {timeout_s} or max_output_characters {most} is out of range")
    return _Order(body["generated_code"], str(body.get("std_input") or ""), timeout_s, most, language == "ipython")


def _reply(execution: Execution, order: _Order, *, new: bool) -> dict[str, object]:
    stdout, stderr = execution.stdout, execution.stderr
    if order.cell and execution.status == "error":
        stdout, stderr = stdout + stderr, ""  # as IPython does, and the clients expect it
    return {
        "process_status": _STATUS[execution.status],
        "stdout": clip(stdout, order.most_characters),
        "stderr": clip(stderr, order.most_characters),
        "new_session_created": new,
    }
