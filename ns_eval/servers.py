"""A model server for the length of a block: one of ours, started, or one that runs elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
import os
import urllib.parse
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, replace
from pathlib import Path

from ns_eval.config import ServerConfig
from ns_eval.endpoint import Endpoint, endpoint_of
from ns_eval.engines.embedded import embedded
from ns_eval.engines.engine import Engine
from ns_eval.engines.engine_commands import Start, engine_commands
from ns_eval.engines.server_info import NotReady, ServerInfo, probe
from ns_eval.engines.sockets import free_port, local_url
from ns_eval.errors import ServerError, UsageError

_PAUSES_S = (0.5, 1.0, 2.0, 4.0)


@dataclass(frozen=True, slots=True)
class Running:
    """A server that has answered a real request. `slots`: requests it decodes together, where known; `argv`: how it was
    started, empty for a remote one. `alive` returns at once while it lives, after a restart once it answers again, and
    raises ServerError when it is given up. `adapters` holds an endpoint for each adapter by name.
    """

    endpoint: Endpoint
    slots: int | None
    info: ServerInfo
    argv: tuple[str, ...]
    alive: Callable[[], Awaitable[None]] | None
    adapters: dict[str, Endpoint]

    @property
    def context(self) -> int | None:
        """Tokens of prompt and answer together, where known."""
        return self.endpoint.context


@contextlib.asynccontextmanager
async def serving(
    server: ServerConfig, model: str, log_file: Path, *, path: str | None = None, chat: bool = True
) -> AsyncIterator[Running]:
    """A server for `model`, started unless `server.base_url` names one, and gone when the block ends.

    `path` is where the weights lie (default: `model` itself), `model` the name they are served under, `chat` the route that
    must answer before anything else is sent.

    Raises:
        ServerError: it does not start, dies, refuses the key, or serves another model; GPUs or memory are missing.
        UsageError, DataError: a configuration, model or adapter that cannot be served.
    """
    if server.base_url or not server.argv:
        # A name of the registry stands for what the provider calls the model.
        endpoint = remote_endpoint(server, path if path and not Path(path).exists() else model)
        yield _running(server, endpoint, await _probed(endpoint, chat), (), None)
        return
    path = path or model
    if server.name == "llamacpp":
        server, path = embedded(server, path)
    port = server.port or free_port(server.host)
    name = server.served_name.format(name=model, folder=Path(path).name)
    endpoint = endpoint_of(server, local_url(server.host, port), name)
    commands = engine_commands(server, Start(name, path, port, log_file.parent, chat))
    engine = Engine(server, commands, endpoint, log_file, chat=chat)
    info = await engine.start()
    try:
        yield _running(server, endpoint, info, tuple(commands[0]), engine.alive)
    finally:
        await asyncio.shield(engine.stop())


async def _probed(endpoint: Endpoint, chat: bool) -> ServerInfo:
    """What a remote server says of itself; one that is there and stumbles is asked a few times."""
    for pause_s in _PAUSES_S:
        try:
            return await probe(endpoint, chat=chat)
        except NotReady as error:
            # Nobody behind the address is a typing mistake more often than a restart: said at once.
            if isinstance(error.__cause__, ConnectionRefusedError) or "refused" in str(error.__cause__ or "").lower():
                raise
            await asyncio.sleep(pause_s)
    return await probe(endpoint, chat=chat)


def _running(
    server: ServerConfig,
    endpoint: Endpoint,
    info: ServerInfo,
    argv: tuple[str, ...],
    alive: Callable[[], Awaitable[None]] | None,
) -> Running:
    endpoint = replace(endpoint, context=endpoint.context or info.context)
    adapters = {name: _adapter_endpoint(server, endpoint, name) for name in server.adapters}
    return Running(endpoint, server.max_num_seqs, info, argv, alive, adapters)


def _adapter_endpoint(server: ServerConfig, endpoint: Endpoint, name: str) -> Endpoint:
    """The same address, asked in that server's way for what one adapter answers."""
    number, path = list(server.adapters).index(name) + 1, str(Path(server.adapters[name]).resolve())
    extra = {
        field: {key: number if text == "{number}" else text.format(name=name, path=path) for key, text in parts.items()}
        for field, parts in server.adapter_request.items()
    }
    model = server.adapter_model.format(base=endpoint.model, name=name)
    return replace(endpoint, model=model, extra={**endpoint.extra, **extra})


def remote_endpoint(server: ServerConfig, model: str) -> Endpoint:
    """The endpoint of a server that runs already.

    Raises:
        UsageError: no address.
        ServerError: the variable that should hold the key is not set.
    """
    if not server.base_url:
        raise UsageError(f"server type `{server.name}` starts nothing", hint="add --server_address=http://host:port/v1")
    base_url, variable = normal_url(server.base_url), key_variable(server)
    key = os.environ.get(variable, "") if variable else ""
    if variable and not key:
        raise ServerError(f"{base_url} needs a key, and ${variable} is not set", hint=f"export {variable}=…")
    return replace(endpoint_of(server, base_url, model), api_key=key, api_key_env=variable)


def key_variable(server: ServerConfig) -> str:
    """The environment variable that holds the key of a remote server; empty where it needs none that is known."""
    if not server.base_url:
        return server.api_key_env
    host = urllib.parse.urlsplit(normal_url(server.base_url)).hostname or ""
    return server.api_key_env or server.api_keys.get(host, "")


def require_key(server: ServerConfig) -> None:
    """Refuses a remote server whose key is not set, before anything is submitted.

    Raises:
        ServerError: the variable that should hold the key is not set.
    """
    if server.base_url:
        remote_endpoint(server, "")


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
