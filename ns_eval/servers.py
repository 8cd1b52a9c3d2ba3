"""Start, await, watch, restart and stop a model server; or point at one that runs elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import shlex
import socket
import time
import urllib.parse
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

from ns_eval.config import ServerConfig
from ns_eval.embedded import embedded
from ns_eval.endpoint import Endpoint
from ns_eval.engine_argv import engine_argv
from ns_eval.errors import ServerError, UsageError
from ns_eval.processes import Child, memory_hint, start
from ns_eval.server_info import NotReady, ServerInfo, probe

log = logging.getLogger(__name__)

# A server that ends by itself is restarted this often within an hour; the pause before it doubles each time.
_RESTARTS = 5
_WINDOW_S = 3600.0
_FIRST_PAUSE_S = 1.0


@dataclass(frozen=True, slots=True)
class Running:
    """A server that has answered a real request. `slots`: requests it decodes together, where known; `argv`: how it was
    started, empty for a remote one. `alive` returns at once while it lives, after a restart once it answers again, and
    raises ServerError when it is given up.
    """

    endpoint: Endpoint
    slots: int | None
    info: ServerInfo
    argv: tuple[str, ...]
    alive: Callable[[], Awaitable[None]] | None

    @property
    def context(self) -> int | None:
        """Tokens of prompt and answer together, where known."""
        return self.endpoint.context or self.info.context


@contextlib.asynccontextmanager
async def serving(
    server: ServerConfig, model: str, log_file: Path, *, path: str | None = None, chat: bool = True
) -> AsyncIterator[Running]:
    """A server for `model`, started unless `server.base_url` names one, and gone when the block ends.

    `path` is where the weights lie (default: `model` itself), `model` the name they are served under, `chat` the route that
    must answer before anything else is sent.

    Raises:
        ServerError: it does not start, dies, refuses the key, or serves another model.
        UsageError: a configuration that cannot be started.
    """
    if server.base_url or not server.argv:
        endpoint = remote_endpoint(server, model)
        info = await probe(endpoint, chat=chat)
        yield Running(endpoint, server.max_num_seqs, info, (), None)
        return
    if server.name == "llamacpp":
        server, path = embedded(server, path or model)
    engine = _Engine(server, model, path or model, log_file, chat)
    info = await engine.start()
    try:
        yield Running(engine.endpoint, server.max_num_seqs, info, tuple(engine.argv), engine.alive)
    finally:
        await asyncio.shield(engine.stop())


def remote_endpoint(server: ServerConfig, model: str) -> Endpoint:
    """The endpoint of a server that runs already.

    Raises:
        UsageError: no address.
        ServerError: the variable that should hold the key is not set.
    """
    if not server.base_url:
        raise UsageError(f"server type `{server.name}` starts nothing", hint="add --server_address=http://host:port/v1")
    base_url = normal_url(server.base_url)
    host = urllib.parse.urlsplit(base_url).hostname or ""
    variable = server.api_key_env or server.api_keys.get(host, "")
    key = os.environ.get(variable, "") if variable else ""
    if variable and not key:
        raise ServerError(f"{base_url} needs a key, and ${variable} is not set", hint=f"export {variable}=…")
    return _endpoint(server, base_url, model, variable, key)


def normal_url(address: str) -> str:
    """`host:port` and `http://host:port` mean the /v1 below it; a path that is given stands.

    Raises:
        UsageError: no host in it.
    """
    url = address if "://" in address else f"http://{address}"
    parts = urllib.parse.urlsplit(url.rstrip("/"))
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"--server_address={address} is no address", hint="--server_address=http://host:port/v1")
    route = parts.path
    for ending in ("/chat/completions", "/completions"):
        route = route.removesuffix(ending)
    return f"{parts.scheme}://{parts.netloc}{route or '/v1'}"


def _endpoint(server: ServerConfig, base_url: str, model: str, variable: str = "", key: str = "") -> Endpoint:
    return Endpoint(
        base_url=base_url,
        model=model,
        api_key=key,
        api_key_env=variable,
        renames=server.renames,
        neutral=server.neutral,
        context=server.context,
        text_limit=server.text_limit,
    )


class _Engine:
    """One engine process on this machine, started again when it ends unasked."""

    def __init__(self, server: ServerConfig, model: str, path: str, log_file: Path, chat: bool) -> None:
        self._server, self._log_file, self._chat = server, log_file, chat
        self._port = server.port or free_port(server.host)
        self.argv = engine_argv(server, _values(server, model, path, self._port))
        self.endpoint = _endpoint(server, f"http://{_reachable(server.host)}:{self._port}/v1", model)
        self._child: Child | None = None
        self._watch: asyncio.Task[None] | None = None
        self._up = asyncio.Event()
        self._failure: ServerError | None = None
        self._deaths: deque[float] = deque()

    async def start(self) -> ServerInfo:
        """The first start: its failure is the user's to mend, so nothing is tried again."""
        try:
            info = await self._started()
        except BaseException:
            await self.stop()
            raise
        self._up.set()
        self._watch = asyncio.create_task(self._keep())
        return info

    async def alive(self) -> None:
        await self._up.wait()
        if self._failure is not None:
            raise self._failure

    async def stop(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        if self._child is not None:
            await self._child.stop()

    async def _started(self) -> ServerInfo:
        require_free(self._server.host, self._port)
        log.info("starting %s: %s", self._server.name, shlex.join(self.argv))
        child = self._child = await start(self.argv, self._server.env, self._log_file)
        ready = asyncio.create_task(self._ready())
        ended = asyncio.create_task(child.ended())
        try:
            limit_s = self._server.ready_timeout_s
            await asyncio.wait({ready, ended}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                raise self._explained(f"{self._server.name} ended while starting (exit code {ended.result()})")
            if not ready.done():
                raise self._explained(f"{self._server.name} did not answer within {limit_s:g} s")
            return ready.result()
        finally:
            ready.cancel()
            ended.cancel()

    async def _ready(self) -> ServerInfo:
        pause_s = 0.05
        while True:
            try:
                return await probe(self.endpoint, chat=self._chat)
            except NotReady as error:
                log.debug("not ready: %s", error.message)
            await asyncio.sleep(pause_s)
            pause_s = min(1.0, pause_s * 1.5)

    async def _keep(self) -> None:
        """Any end that nobody asked for is a failure, whatever its exit code: vLLM ends with 0 when its engine dies."""
        while self._failure is None:
            assert self._child is not None
            code = await self._child.ended()
            self._up.clear()
            died = self._explained(f"{self._server.name} ended while it was needed (exit code {code})")
            await self._again(died)
            self._up.set()

    async def _again(self, died: ServerError) -> None:
        """Starts it until it answers, or keeps why it is given up."""
        while True:
            now = time.monotonic()
            while self._deaths and now - self._deaths[0] > _WINDOW_S:
                self._deaths.popleft()
            self._deaths.append(now)
            if len(self._deaths) > _RESTARTS:
                times = len(self._deaths)
                self._failure = ServerError(f"{died.message}; it ended {times} times within an hour", hint=died.hint)
                return
            pause_s = _FIRST_PAUSE_S * 2 ** (len(self._deaths) - 1)
            log.warning("%s; starting it again in %g s", died.message, pause_s)
            await asyncio.sleep(pause_s)
            try:
                await self._started()
            except ServerError as error:
                died = error
                if self._child is not None:
                    await self._child.stop()
            else:
                return

    def _explained(self, what: str) -> ServerError:
        assert self._child is not None
        error = self._child.last_error()
        return ServerError(f"{what}: {error}", hint=memory_hint(error) or f"the whole log: {self._log_file}")


def _values(server: ServerConfig, model: str, path: str, port: int) -> dict[str, object]:
    """What the placeholders of a server's YAML stand for."""
    return {
        "model": path,
        "name": model,
        "host": server.host,
        "port": port,
        "gpus": server.gpus,
        "nodes": server.nodes,
        "max_num_seqs": server.max_num_seqs,
        "context": server.context,
        "threads": server.threads,
        "gpu_layers": server.gpu_layers,
    }


def _reachable(host: str) -> str:
    """Where to ask a server that listens on all interfaces."""
    return "127.0.0.1" if host in ("0.0.0.0", "::", "") else host


def free_port(host: str) -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probing:
        probing.bind((_reachable(host), 0))
        return int(probing.getsockname()[1])


def require_free(host: str, port: int) -> None:
    """ServerError where a port is taken: SGLang finds out only after it has loaded the model."""
    with socket.socket() as probing:
        probing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probing.bind((host, port))
        except OSError as error:
            raise ServerError(
                f"port {port} is taken on this machine ({error.strerror})",
                hint=f"`ss -ltnp 'sport = :{port}'` shows by whom; leave ++server.port out to get a free one",
            ) from error
