"""One engine: its processes started, awaited, watched, started again when they end unasked, and ended as a whole."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shlex
import time
import urllib.parse
from collections import deque
from dataclasses import replace
from pathlib import Path

from ns_eval.client import Client
from ns_eval.config import ServerConfig
from ns_eval.endpoint import Endpoint
from ns_eval.engines.server_info import NotReady, ServerInfo, probe
from ns_eval.engines.sockets import require_free
from ns_eval.errors import ServerError
from ns_eval.processes import Child, memory_hint, start

log = logging.getLogger(__name__)

_WINDOW_S = 3600.0


class Engine:
    """`commands` holds one argument list a node; the first is to answer at `endpoint`, on the chat or the text route."""

    def __init__(
        self, server: ServerConfig, commands: list[list[str]], endpoint: Endpoint, log_file: Path, *, chat: bool
    ) -> None:
        self._server, self._commands, self._log_file = server, commands, log_file
        self._endpoint, self._chat = endpoint, chat
        self._children: list[Child] = []
        self._watch: asyncio.Task[None] | None = None
        self._up = asyncio.Event()
        self._failure: ServerError | None = None
        self._deaths: deque[float] = deque()

    async def start(self) -> ServerInfo:
        """The first start: its failure is the user's to mend, so nothing is tried again.

        Raises:
            ServerError: it ended, was not ready in time, or refuses a one-token request.
        """
        try:
            info = await self._started()
        except BaseException:
            await self.stop()
            raise
        self._up.set()
        self._watch = asyncio.create_task(self._keep())
        return info

    async def alive(self) -> None:
        """Returns at once while it lives, after a restart once it answers again.

        Raises:
            ServerError: it was given up.
        """
        await self._up.wait()
        if self._failure is not None:
            raise self._failure

    async def stop(self) -> None:
        """Ends it; returns when all its processes are gone."""
        if self._watch is not None:
            self._watch.cancel()
            await asyncio.wait([self._watch])
        await self._end_children()

    async def _end_children(self) -> None:
        await asyncio.gather(*(child.stop() for child in self._children))
        self._children = []

    async def _started(self) -> ServerInfo:
        begun = time.monotonic()
        require_free(self._server.host, urllib.parse.urlsplit(self._endpoint.base_url).port or 0)
        for number, command in enumerate(self._commands):
            log.info("starting %s: %s", self._server.name, shlex.join(command))
            path = self._log_file.with_stem(f"{self._log_file.stem}-node{number}") if number else self._log_file
            self._children.append(await start(command, self._server.env, path))
        ready = asyncio.create_task(self._ready())
        ended = asyncio.create_task(self._ended())
        limit_s = self._server.ready_timeout_s
        try:
            await asyncio.wait({ready, ended}, timeout=limit_s, return_when=asyncio.FIRST_COMPLETED)
            if ended.done():
                raise self._explained("ended while starting", ended.result())
            if not ready.done():
                raise self._explained(f"did not answer within {limit_s:g} s")
            log.info("%s answers after %.2f s", self._server.name, time.monotonic() - begun)
            return ready.result()
        finally:
            ready.cancel()
            ended.cancel()

    async def _ready(self) -> ServerInfo:
        pause_s = 0.05
        while True:
            try:
                return await probe(self._endpoint, chat=self._chat)
            except NotReady as error:
                log.debug("not ready: %s", error.message)
            await asyncio.sleep(pause_s)
            pause_s = min(1.0, pause_s * 1.5)

    async def _ended(self) -> tuple[Child, int]:
        """Waits until the first of its processes ends, on whichever node."""
        waiting = {asyncio.create_task(child.ended()): child for child in self._children}
        try:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            first = next(task for task in waiting if task in done)
            return waiting[first], first.result()
        finally:
            for task in waiting:
                task.cancel()

    async def _keep(self) -> None:
        """Any end that nobody asked for is a failure, whatever its exit code: vLLM ends with 0 when its engine dies."""
        while self._failure is None:
            ended, silent = asyncio.create_task(self._ended()), asyncio.create_task(self._silent())
            try:
                await asyncio.wait({ended, silent}, return_when=asyncio.FIRST_COMPLETED)
                if ended.done():
                    died = self._explained("ended while it was needed", ended.result())
                else:
                    limit_s = self._server.health_timeout_s
                    died = self._explained(f"did not answer {self._server.health} for {limit_s:g} s")
            finally:
                ended.cancel()
                silent.cancel()
            self._up.clear()
            await self._again(died)
            self._up.set()

    async def _silent(self) -> None:
        """Returns when the health route has not answered for too long: a process that hangs never ends."""
        limit_s = self._server.health_timeout_s
        if not self._server.health:
            await asyncio.Event().wait()
        root = replace(self._endpoint, base_url=self._endpoint.base_url.removesuffix("/v1"))
        heard = time.monotonic()
        async with Client(root) as client:
            while time.monotonic() - heard < limit_s:
                await asyncio.sleep(min(15.0, limit_s / 4))
                with contextlib.suppress(ConnectionError):
                    await client.fetch(self._server.health, timeout_s=limit_s / 2)
                    heard = time.monotonic()

    async def _again(self, died: ServerError) -> None:
        """Starts it until it answers, or keeps why it is given up."""
        while True:
            await self._end_children()
            now = time.monotonic()
            while self._deaths and now - self._deaths[0] > _WINDOW_S:
                self._deaths.popleft()
            self._deaths.append(now)
            if len(self._deaths) > self._server.restarts:
                said = f"{died.message}; given up after {self._server.restarts} restarts within an hour"
                self._failure = ServerError(said, hint=died.hint)
                return
            pause_s = self._server.restart_pause_s * 2 ** (len(self._deaths) - 1)
            log.warning("%s; starting it again in %g s", died.message, pause_s)
            await asyncio.sleep(pause_s)
            try:
                await self._started()
            except ServerError as error:
                died = error
            else:
                return

    def _explained(self, what: str, ended: tuple[Child, int] | None = None) -> ServerError:
        child = ended[0] if ended else self._children[0]
        code = f" (exit code {ended[1]})" if ended else ""
        error = child.last_error()
        hint = memory_hint(error) or f"the whole log: {child.log}"
        return ServerError(f"{self._server.name} {what}{code}: {error}", hint=hint)
