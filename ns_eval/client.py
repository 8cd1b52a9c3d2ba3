"""One asynchronous client of OpenAI-compatible servers: it retries what may pass, records what does not, and ends early
what concerns every request."""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import time
import urllib.parse
import urllib.request
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from types import TracebackType

import aiohttp
from yarl import URL

from ns_eval.backoff import Backoff, retry_after_s
from ns_eval.context_limits import CUTS, cut
from ns_eval.endpoint import Endpoint, body
from ns_eval.errors import BudgetError, ServerError
from ns_eval.pace import Mark, Pace
from ns_eval.records import Generation, Json, Request
from ns_eval.replies import CONTEXT_EXCEEDED, Fault, is_html, read_answer, read_refusal, refusal, room_left, unreachable
from ns_eval.spending import Spending

# uvicorn, under vLLM and SGLang, closes a connection after 5 idle seconds; one that we still hold then is a reset.
_KEEPALIVE_S = 4.0
_CONNECT_S = 30.0
_REFUSED_ALL = 32
_LOOPBACK = ("127.0.0.1", "localhost", "::1", "0.0.0.0")


@dataclass(slots=True)
class Counters:
    """What one client did: requests asked for, attempts sent, retries by kind, errors recorded, tokens in answers."""

    requests: int = 0
    attempts: int = 0
    answers: int = 0
    errors: int = 0
    in_flight: int = 0
    peak_in_flight: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    retries: Counter[str] = field(default_factory=Counter)


class Client:
    """`async with Client(endpoint) as client: await client.complete(request, timeout_s=600)`.

    `alive`, where the server is ours, returns once it answers again after a restart and raises when it is given up.
    `on_limited` is called with the pause in seconds at every 429, so that the caller can send less. `spending` keeps the
    account where requests cost something. Clients of one server share its `pace`.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        alive: Callable[[], Awaitable[None]] | None = None,
        on_limited: Callable[[float], None] | None = None,
        backoff: Backoff | None = None,
        spending: Spending | None = None,
        pace: Pace | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.counters = Counters()
        self._alive = alive
        self._on_limited = on_limited
        self._backoff = backoff or Backoff()
        self._spending = spending
        self.pace = pace or Pace()
        self._rng = random.Random(0)
        self._fatal: ServerError | None = None
        self._refused = 0
        self._timeouts: dict[float, aiohttp.ClientTimeout] = {}
        self._urls = {chat: URL(endpoint.base_url + path) for chat, path in _PATHS.items()}
        self._proxy = proxy_of(endpoint.base_url)
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Client:
        _allow_many_sockets()
        connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S, socket_factory=_kept_alive)
        headers = {"Content-Type": "application/json", **headers_of(self.endpoint)}
        jar = aiohttp.DummyCookieJar()
        self._session = aiohttp.ClientSession(connector=connector, headers=headers, cookie_jar=jar, read_bufsize=2**18)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._session is not None:
            await self._session.close()

    async def fetch(self, path: str, content: bytes | None = None, *, timeout_s: float) -> tuple[int, bytes]:
        """(status, body) of one GET below the base URL, or of one POST where there is content; nothing is retried.

        Raises:
            ConnectionError: nobody answers in time, or the connection breaks; its text says how.
        """
        assert self._session is not None, "use `async with Client(...)`"
        url, timeout = URL(self.endpoint.base_url + path), aiohttp.ClientTimeout(total=timeout_s)
        method = "GET" if content is None else "POST"
        try:
            async with self._session.request(
                method, url, data=content, timeout=timeout, allow_redirects=False, proxy=self._proxy
            ) as response:
                self.pace.seen(response.headers)
                return response.status, await self._read(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ConnectionError(str(error) or f"silent for {timeout_s:g} s") from error

    async def complete(self, request: Request, *, timeout_s: float) -> Generation:
        """The answer to one request, or a Generation with `error` where this one cannot be answered.

        Raises:
            ServerError: what would befall every request: no such host, key refused, model unknown, a web page.
            UsageError: a request that this endpoint cannot be asked.
        """
        counters = self.counters
        counters.requests += 1
        counters.in_flight += 1
        counters.peak_in_flight = max(counters.peak_in_flight, counters.in_flight)
        try:
            generation = await self._answered(request, timeout_s)
        finally:
            counters.in_flight -= 1
        if generation.error is not None:
            counters.errors += 1
            return generation
        counters.answers += 1
        counters.prompt_tokens += generation.prompt_tokens or 0
        counters.completion_tokens += generation.completion_tokens or 0
        return generation

    async def _answered(self, request: Request, timeout_s: float) -> Generation:
        url, content = self._urls[request.messages is not None], body(self.endpoint, request)
        attempt, refitted = 0, False
        changed: dict[str, Json] = {}
        while True:
            attempt += 1
            started, clock = time.time(), time.perf_counter()
            found = await self._paid(url, content, timeout_s, request.sampling.max_tokens)
            if isinstance(found, Generation):
                found = replace(found, meta={**found.meta, **changed}) if changed else found
                return _stamped(found, attempt, started, time.perf_counter() - clock)
            if found.kind == CONTEXT_EXCEEDED and not refitted:
                refitted = True
                smaller = await self._smaller(request, found)
                if smaller is not None:
                    content, changed = smaller
                    continue
            watched = self._alive is not None
            if found.final or attempt >= self._backoff.allowed(found.kind, watched=watched):
                failed = Generation(text="", error=f"{found.kind}: {found.message}")
                return _stamped(failed, attempt, started, time.perf_counter() - clock)
            await self._pause(found, attempt)

    async def _smaller(self, request: Request, fault: Fault) -> tuple[bytes, dict[str, Json]] | None:
        """A request that should fit, and what the sample says of the change; None where nothing is to be changed.

        An answer without a limit gets the room that is left: that is what was asked for, so nothing is said of it.
        """
        open_end, strategy = request.sampling.max_tokens is None, self.endpoint.context_strategy
        if open_end or strategy == "reduce_generation":
            room = room_left(fault.message)
            if room is not None:
                return body(self.endpoint, request, limit=room), {} if open_end else {"max_tokens_lowered_to": room}
        if strategy not in CUTS:
            return None
        found = await cut(request, self.endpoint, fault.message, self._beside)
        return None if found is None else (body(self.endpoint, found[0]), {"prompt_tokens_cut": found[1], "cut": strategy})

    async def _beside(self, route: str, content: bytes) -> tuple[int, bytes]:
        """(status, body) of one POST to a route beside /v1."""
        assert self._session is not None, "use `async with Client(...)`"
        url = URL(self.endpoint.base_url.removesuffix("/v1") + route)
        timeout = aiohttp.ClientTimeout(total=_CONNECT_S)
        try:
            async with self._session.post(url, data=content, timeout=timeout, proxy=self._proxy) as response:
                return response.status, await self._read(response)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            raise ConnectionError(str(error)) from error

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """The body. A refusal that repeats the key would carry it into logs and outputs; an answer is left as it is."""
        raw = await response.read()
        key = self.endpoint.api_key.encode()
        # A shorter one protects nothing (`EMPTY`), and may be a word of the message.
        return raw if response.status == 200 or len(key) < _KEY_LENGTH else raw.replace(key, b"(the key)")

    async def _pause(self, fault: Fault, attempt: int) -> None:
        self.counters.retries[fault.kind] += 1
        pause_s = self._backoff.pause_s(attempt, fault.retry_after_s, self._rng)
        if fault.kind == "429" and self._on_limited is not None:
            self._on_limited(pause_s)
        await asyncio.sleep(pause_s)
        if self._alive is not None:
            await self._alive()

    async def _paid(self, url: URL, content: bytes, timeout_s: float, max_tokens: int | None) -> Generation | Fault:
        """One attempt within the API's limits and the budget; an answer without a limit can fill the context."""
        spending = self._spending
        if spending is None:
            mark = await self.pace.ready(len(content) // 4 + (max_tokens or 0))
            return await self._sent(url, content, timeout_s, mark)
        try:
            spending.check()
            mark = await self.pace.ready(len(content) // 4 + (max_tokens or 0))
            reserved = await spending.reserve(len(content), max_tokens or self.endpoint.context)
        except BudgetError as error:
            return Fault("not asked", error.message.partition(":")[0], final=True)
        try:
            found = await self._sent(url, content, timeout_s, mark)
        except ServerError:
            spending.release(reserved)
            raise
        except BaseException:  # cancelled on the way: what was sent may be billed
            spending.settle(reserved, None)
            raise
        if isinstance(found, Fault) and found.kind not in _PERHAPS_BILLED:
            spending.release(reserved)
        else:
            spending.settle(reserved, found if isinstance(found, Generation) else None)
        return found

    async def _sent(self, url: URL, content: bytes, timeout_s: float, mark: Mark) -> Generation | Fault:
        """One attempt. A fault that concerns every request is kept and raised for all."""
        if self._fatal is not None:
            raise self._fatal
        assert self._session is not None, "use `async with Client(...)`"
        self.counters.attempts += 1
        timeout = self._timeouts.get(timeout_s)
        if timeout is None:
            timeout = self._timeouts[timeout_s] = aiohttp.ClientTimeout(total=timeout_s, sock_connect=_CONNECT_S)
        try:
            async with self._session.post(
                url, data=content, timeout=timeout, allow_redirects=False, proxy=self._proxy
            ) as response:
                raw = await self._read(response)
                self.pace.seen(response.headers, mark)
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            return self._transport_fault(error, timeout_s)
        if response.status == 200 and not is_html(raw):
            return read_answer(raw)
        self._refuse_for_all(response.status, raw, response.headers.get("Location"))
        if response.status == 200:
            return Fault("bad_json", "a web page instead of JSON")
        found = read_refusal(response.status, raw, retry_after_s(response.headers.get("Retry-After")))
        if isinstance(found, Fault):
            self._count_refusal(found)
        return found

    def _count_refusal(self, fault: Fault) -> None:
        """A server that has refused so many requests and answered none refuses all of them."""
        if not fault.final or fault.kind == CONTEXT_EXCEEDED or self.counters.answers:
            return
        self._refused += 1
        if self._refused >= _REFUSED_ALL:
            said = f"{self.endpoint.base_url} refuses every request ({fault.kind}): {fault.message}"
            self._fatal = ServerError(said, hint="see which field it names; ++server.renames.OURS=THEIRS, or leave it out")
            raise self._fatal

    def _transport_fault(self, error: Exception, timeout_s: float) -> Fault:
        kind = _kind_of(error)
        first = self.counters.answers == 0 and self._alive is None
        if kind == "certificate" or (kind == "refused" and first):
            self._fatal = unreachable(self.endpoint, error)
            raise self._fatal from error
        if kind == "timeout":
            return Fault(kind, f"no answer within {timeout_s:g} s")
        return Fault(kind, str(error) or type(error).__name__)

    def _refuse_for_all(self, status: int, raw: bytes, location: str | None) -> None:
        """Keeps and raises what no other request would be spared; a page after good answers is a gateway's bad moment."""
        early = self.counters.answers == 0
        if status == 401 or (early and status in _EARLY):
            self._fatal = refusal(self.endpoint, status, raw, location)
            raise self._fatal


# Before the first answer these mean the address, the key or the model; later one of them is a single sample's bad luck
# (a gateway's page, a 403 by content moderation).
_EARLY = (200, 301, 302, 303, 307, 308, 403, 404, 405)
_KEY_LENGTH = 8
# Faults behind which an answer may have been written, and billed, all the same.
_PERHAPS_BILLED = ("timeout", "cut", "reset", "bad_json", "aborted")
_PATHS = {True: "/chat/completions", False: "/completions"}


def _allow_many_sockets() -> None:
    """Lifts the soft limit of open files to the hard one: 1024 is a common default, and a connection is a file."""
    try:
        import resource
    except ImportError:
        return
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = 65536 if hard == resource.RLIM_INFINITY else hard
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _kept_alive(address: aiohttp.AddrInfoType) -> socket.socket:
    """A socket that the kernel probes once a minute: firewalls forget a connection that waits an hour for its answer, and
    without probes nobody would notice that it will never come.
    """
    family, kind, protocol = address[:3]
    made = socket.socket(family=family, type=kind, proto=protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 8)):
        if hasattr(socket, name):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made


def _stamped(generation: Generation, attempts: int, started: float, seconds: float) -> Generation:
    return replace(generation, attempts=attempts, started=started, ended=started + seconds, seconds=seconds)


def _kind_of(error: Exception) -> str:
    """The name of a transport fault; only what is named here is retried as such."""
    if isinstance(error, TimeoutError):
        return "timeout"
    if isinstance(error, aiohttp.ClientSSLError):
        return "certificate"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "refused"
    if isinstance(error, aiohttp.ClientPayloadError):
        return "cut"
    if isinstance(error, (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError, OSError)):
        return "reset"
    return "bad_http"


def headers_of(endpoint: Endpoint) -> dict[str, str]:
    """The headers of every request, the key among them."""
    names = endpoint.key_headers if endpoint.api_key else ()
    key = {name: f"Bearer {endpoint.api_key}" if name == "Authorization" else endpoint.api_key for name in names}
    return {**endpoint.headers, **key}


def proxy_of(url: str) -> str | None:
    """The proxy that the environment names for an address; never for this machine."""
    parts = urllib.parse.urlsplit(url)
    if parts.hostname in _LOOPBACK or urllib.request.proxy_bypass(parts.hostname or ""):
        return None
    return urllib.request.getproxies().get(parts.scheme)
