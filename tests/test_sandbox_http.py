"""The sandbox behind NeMo-Skills' routes: their clients can use ours, and ours can use an external one."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Awaitable, Callable
from typing import TypeVar

import aiohttp
import pytest
from aiohttp import web

from ns_eval.errors import UsageError
from ns_eval.records import Json
from ns_eval.sandbox import Sandbox, SandboxConfig, SandboxError, open_sandbox
from ns_eval.sandbox.remote import RemoteSandbox
from ns_eval.sandbox.serve import ServeConfig, main, serving
from tests.paths import REPO

T = TypeVar("T")
BARE = SandboxConfig(preload=[])
Asked = tuple[int, dict[str, Json]]


def over_http(work: Callable[[aiohttp.ClientSession], Awaitable[T]], token: str = "", **options: Json) -> T:
    """What `work` makes of a served sandbox; its requests bring the token."""

    async def run() -> T:
        config = ServeConfig(port=0, sandbox=BARE, **options)
        async with Sandbox(BARE) as sandbox, serving(sandbox, config, token) as address:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            async with aiohttp.ClientSession(address, headers=headers) as session:
                return await work(session)

    return asyncio.run(run())


async def execute(session: aiohttp.ClientSession, code: str, name: str | None = "a", **more: Json) -> Asked:
    headers = {} if name is None else {"X-Session-ID": name}
    body = {"generated_code": code, "timeout": 10.0, "language": "ipython", **more}
    async with session.post("/execute", json=body, headers=headers) as response:
        return response.status, await response.json()


async def got(session: aiohttp.ClientSession, method: str, path: str) -> Asked:
    async with session.request(method, path) as response:
        return response.status, await response.json()


def test_a_session_keeps_its_state_and_says_when_it_is_new() -> None:
    async def work(session: aiohttp.ClientSession) -> list[Asked]:
        return [await execute(session, "x = 20"), await execute(session, "x + 1"), await execute(session, "x", name="b")]

    first, second, other = over_http(work)
    assert first == (200, {"process_status": "completed", "stdout": "", "stderr": "", "new_session_created": True})
    assert second == (200, {"process_status": "completed", "stdout": "21\n", "stderr": "", "new_session_created": False})
    assert other[1]["process_status"] == "error"
    assert "NameError: name 'x' is not defined" in other[1]["stdout"], "IPython's errors stand in stdout"


def test_a_script_reads_its_input_and_needs_no_session() -> None:
    async def work(session: aiohttp.ClientSession) -> Asked:
        return await execute(session, "print(int(input()) * 2)", name=None, language="python", std_input="21\n")

    assert over_http(work)[1]["stdout"] == "42\n"


def test_timeouts_and_long_outputs_are_marked() -> None:
    async def work(session: aiohttp.ClientSession) -> list[Asked]:
        late = await execute(session, "while True: pass", timeout=0.4)
        return [late, await execute(session, "print('a' * 100)", max_output_characters=5)]

    late, cut = over_http(work)
    assert late[1]["process_status"] == "timeout"
    assert cut[1]["stdout"] == "aaaaa<output cut>"


def test_sessions_are_listed_and_closed() -> None:
    async def work(session: aiohttp.ClientSession) -> list[Asked]:
        await execute(session, "x = 1")
        asked = [await got(session, "GET", "/health"), await got(session, "GET", "/sessions")]
        asked += [await got(session, "DELETE", "/sessions/a"), await got(session, "DELETE", "/sessions/a")]
        return [*asked, await execute(session, "x")]

    health, listed, closed, again, fresh = over_http(work)
    assert health[1]["status"] == "healthy"
    assert list(listed[1]["sessions"]) == ["a"]
    assert (closed[0], again[0]) == (200, 404)
    assert fresh[1]["new_session_created"] and "NameError" in fresh[1]["stdout"]


def test_an_idle_session_is_closed() -> None:
    async def work(session: aiohttp.ClientSession) -> list[str]:
        await execute(session, "x = 1")
        for _ in range(200):
            names = list((await got(session, "GET", "/sessions"))[1]["sessions"])
            if not names:
                break
            await asyncio.sleep(0.02)
        return names

    assert over_http(work, session_timeout_s=0.05) == []


@pytest.mark.parametrize(
    ("body", "name", "reason"),
    [
        ({"language": "ipython"}, None, "X-Session-ID"),
        ({"language": "lean4"}, "a", "lean4"),
        ({"timeout": "soon"}, "a", "numbers"),
        ({"timeout": -1}, "a", "out of range"),
        ({"generated_code": None}, "a", "generated_code"),
    ],
)
def test_a_request_that_is_none_is_refused_with_the_reason(body: dict[str, Json], name: str | None, reason: str) -> None:
    async def work(session: aiohttp.ClientSession) -> Asked:
        return await execute(session, **{"code": "1", "name": name, **body})

    status, answer = over_http(work)
    assert status == 400
    assert reason in answer["error"]


def test_without_the_token_nothing_runs() -> None:
    async def work(session: aiohttp.ClientSession) -> list[Asked]:
        right = await execute(session, "1 + 1")
        async with aiohttp.ClientSession(session._base_url, headers={"Authorization": "Bearer wrong"}) as stranger:
            return [right, await execute(stranger, "1 + 1"), await got(stranger, "GET", "/sessions")]

    right, wrong, listed = over_http(work, token="s3cret")
    assert (right[0], wrong[0], listed[0]) == (200, 401, 401)


def test_a_web_page_cannot_run_code_on_loopback() -> None:
    async def work(session: aiohttp.ClientSession) -> int:
        headers = {"Origin": "https://example.org", "Content-Type": "text/plain", "X-Session-ID": "a"}
        async with session.post("/execute", data='{"generated_code": "1"}', headers=headers) as response:
            return response.status

    assert over_http(work) == 403


def test_an_address_for_others_needs_a_token() -> None:
    with pytest.raises(UsageError, match="needs a token"):
        main(ServeConfig(host="0.0.0.0"))


def test_the_command_prints_its_address_serves_and_ends_on_a_signal() -> None:
    code = (
        f"import sys; sys.path.insert(0, {str(REPO)!r})\n"
        "from ns_eval.sandbox.serve import main, ServeConfig\nfrom ns_eval.sandbox import SandboxConfig\n"
        "sys.exit(main(ServeConfig(port=0, sandbox=SandboxConfig(preload=[]))))"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as served:
        assert served.stdout is not None and served.stderr is not None
        address = served.stdout.readline().strip()

        async def ask() -> Asked:
            async with aiohttp.ClientSession(address) as session:
                return await execute(session, "6 * 7")

        assert asyncio.run(ask())[1]["stdout"] == "42\n"
        served.send_signal(signal.SIGTERM)
        assert served.wait(10) == 0
        assert served.stderr.read().startswith("sandbox: ")


def _remotely(work: Callable[[RemoteSandbox], Awaitable[T]]) -> T:
    async def run() -> T:
        async with Sandbox(BARE) as sandbox, serving(sandbox, ServeConfig(port=0), "t0ken") as address:
            host, port = address.removeprefix("http://").split(":")
            os.environ["NS_TEST_TOKEN"] = "t0ken"
            remote = open_sandbox(SandboxConfig(host=host, port=int(port), token_env="NS_TEST_TOKEN"))
            assert isinstance(remote, RemoteSandbox)
            async with remote:
                return await work(remote)

    return asyncio.run(run())


def test_an_external_sandbox_has_the_same_doors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NS_TEST_TOKEN", raising=False)

    async def work(remote: RemoteSandbox) -> list[Json]:
        session = remote.session("s")
        await session.run("x = 6")
        ran, failed = await session.run("x * 7"), await session.run("1 / 0")
        await session.close()
        tested = await remote.program("def f(x): return x + 1", tests="assert f(1) == 2")
        wrong = await remote.program("def f(x): return x", tests="assert f(1) == 2")
        left = await remote.program("import sys\ndef f(x): sys.exit(0)", tests="assert f(1) == 2")
        read = await remote.program("print(int(input()) * 2)", stdin="21\n")
        return [
            ran.stdout,
            failed.status,
            tested.proved,
            wrong.proved,
            left.proved,
            read.stdout,
            "namespaces" in remote.walls,
        ]

    assert _remotely(work) == ["42\n", "error", True, False, False, "42\n", True]


def test_state_lost_at_an_external_sandbox_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NS_TEST_TOKEN", raising=False)

    async def work(remote: RemoteSandbox) -> bool:
        session = remote.session("s")
        await session.run("x = 6")
        return (await session.run("import ctypes; ctypes.string_at(0)")).state_lost

    assert _remotely(work)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (web.json_response({"process_status": "maybe"}), "process_status"),
        (web.Response(text="<html>"), "broke off"),
        (web.Response(status=502, text="bad gateway"), "said 502"),
    ],
)
def test_a_sandbox_that_answers_nonsense_is_one_clear_error(answer: web.Response, reason: str) -> None:
    async def run() -> None:
        async def execute(_: web.Request) -> web.Response:
            return answer

        async def health(_: web.Request) -> web.Response:
            return web.json_response({"status": "healthy"})

        application = web.Application()
        application.add_routes([web.post("/execute", execute), web.get("/health", health)])
        runner = web.AppRunner(application)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        config = SandboxConfig(host="127.0.0.1", port=runner.addresses[0][1])
        async with RemoteSandbox(config) as remote:
            await remote.session("s").run("1")

    with pytest.raises(SandboxError, match=reason):
        asyncio.run(run())


def test_where_no_sandbox_listens_the_error_says_so_with_a_hint() -> None:
    async def run() -> None:
        async with RemoteSandbox(SandboxConfig(host="127.0.0.1", port=9)):
            pass

    with pytest.raises(SandboxError, match="no sandbox answers at 127") as caught:
        asyncio.run(run())
    assert "ns sandbox serve" in (caught.value.hint or "")
