"""Hosted APIs: each gets its key where it wants it, no more than it takes a minute, and no more than the budget."""

from __future__ import annotations

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ns_eval.backoff import Backoff
from ns_eval.client import Client, headers_of
from ns_eval.config import PriceConfig, ServerConfig
from ns_eval.engines.server_info import probe
from ns_eval.errors import ServerError
from ns_eval.pace import Pace, reset_s
from ns_eval.records import Generation, Request, Sampling
from ns_eval.resources import conf_file
from ns_eval.schema import build, load_yaml
from ns_eval.servers import remote_endpoint
from ns_eval.spending import Spending, read_spent
from tests.commands import ns
from tests.peers.proxied import openai_behind_a_proxy
from tests.peers.replying import Replying, listening
from tests.peers.scripted import Peer, Reply, answer, peer, reply
from tests.peers.simulated import simulated

QUICK = Backoff(first_s=0.001, longest_s=0.002)
CHAT = Request("q", 1, Sampling(max_tokens=64), ({"role": "user", "content": "2 + 2?"},))


def server(name: str, **values: Any) -> ServerConfig:
    return replace(build(ServerConfig, load_yaml(conf_file("server", name)), name), **values)


@pytest.mark.parametrize(
    ("name", "address", "variable", "sent"),
    [
        ("openai", "https://api.openai.com/v1", "OPENAI_API_KEY", {"Authorization": "Bearer sk-1"}),
        ("azure", "https://mine.openai.azure.com/openai/v1", "AZURE_OPENAI_API_KEY", {"api-key": "sk-1"}),
        ("openrouter", "", "OPENROUTER_API_KEY", {"Authorization": "Bearer sk-1", "X-Title": "ns-eval"}),
        ("gemini", "", "GEMINI_API_KEY", {"Authorization": "Bearer sk-1"}),
        (
            "anthropic",
            "",
            "ANTHROPIC_API_KEY",
            {"Authorization": "Bearer sk-1", "x-api-key": "sk-1", "anthropic-version": "2023-06-01"},
        ),
    ],
)
def test_each_api_gets_its_key_where_it_wants_it_and_names_the_variable_that_lacks(
    name: str, address: str, variable: str, sent: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = server(name, **({"base_url": address} if address else {}))
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(ServerError, match=rf"\${variable} is not set"):
        remote_endpoint(config, "m")
    monkeypatch.setenv(variable, "sk-1")
    assert headers_of(remote_endpoint(config, "m")) == sent


@pytest.mark.parametrize(
    ("name", "host", "address", "variable"),
    [
        ("openai", "api.openai.com", "https://api.openai.com/v1", "OPENAI_API_KEY"),
        ("azure", "mine.openai.azure.com", "https://mine.openai.azure.com/openai/v1", "AZURE_OPENAI_API_KEY"),
        ("openrouter", "openrouter.ai", "", "OPENROUTER_API_KEY"),
        ("gemini", "generativelanguage.googleapis.com", "", "GEMINI_API_KEY"),
        ("anthropic", "api.anthropic.com", "", "ANTHROPIC_API_KEY"),
    ],
)
def test_no_file_and_no_output_of_a_run_holds_the_key_of_its_api(
    tmp_path: Path, name: str, host: str, address: str, variable: str
) -> None:
    """A whole run against the provider's own name, answered on loopback behind a proxy: only the request holds the key."""
    argv = [f"--server_type={name}", "--model=gpt-4o", "--benchmarks=arithmetic:1", "--max_samples=2", "--output_dir=out"]
    argv += ["++inference.tokens_to_generate=8", *([f"--server_address={address}"] if address else [])]
    with openai_behind_a_proxy(tmp_path, "The answer is \\boxed{1}.", host) as api:
        told = ns("eval", *argv, cwd=tmp_path, env={**api.environment, variable: "sk-canary-0123456789"})
    assert {request.host for request in api.requests} == {f"{host}:443"}
    assert all("sk-canary" in str(request.headers) for request in api.requests)
    assert len((tmp_path / "out" / "eval-results" / "arithmetic" / "output-rs0.jsonl").read_text().splitlines()) == 2
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"sk-canary" in path.read_bytes()]
    assert "sk-canary" not in told.stdout + told.stderr


@pytest.mark.parametrize("status", [400, 401])
def test_a_refusal_that_repeats_the_key_does_not_bring_it_into_a_log(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MINE", "sk-canary-0123456789")

    async def run() -> str:
        async with peer(reply(status, {"error": {"message": "Incorrect key: sk-canary-0123456789."}})) as api:
            config = server("openai", base_url=api.base_url, api_key_env="MINE")
            async with Client(remote_endpoint(config, "m"), backoff=QUICK) as client:
                try:
                    return str((await client.complete(CHAT, timeout_s=5)).error)
                except ServerError as error:
                    return f"{error} {error.hint}"

    said = asyncio.run(run())
    assert "Incorrect key: (the key)." in said and "canary" not in said


def test_no_host_but_its_own_gets_a_providers_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENROUTER_API_KEY", "sk-1")
    found = headers_of(remote_endpoint(server("openrouter", base_url="http://127.0.0.1:9/v1"), "m"))
    assert found == {"X-Title": "ns-eval"}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("6m0s", 360.0), ("250ms", 0.25), ("1h2m", 3720.0), ("12", 12.0), ("soon", None), ("", None), (None, None)],
)
def test_a_reset_is_read_in_every_form(text: str | None, seconds: float | None) -> None:
    assert reset_s(text) == seconds


def test_a_reset_may_be_a_moment() -> None:
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 100))
    assert 90 < (reset_s(soon) or 0) <= 100
    assert 90 < (reset_s(str(int((time.time() + 100) * 1000))) or 0) <= 100


def limited(left: int, reset: str, whole: int) -> dict[str, str]:
    named = {"limit": whole, "remaining": left, "reset": reset}
    return {f"x-ratelimit-{what}-requests": str(value) for what, value in named.items()}


async def _taken(pace: Pace, tokens: int = 1) -> bool:
    """Whether a request would be let through at once."""
    task = asyncio.ensure_future(pace.ready(tokens))
    await asyncio.sleep(0)
    done = task.done()
    task.cancel()
    return done


def test_no_more_is_sent_than_a_minute_allows() -> None:
    now = [0.0]

    async def use() -> list[bool]:
        pace = Pace(lambda: now[0])
        found = [await _taken(pace)]  # nothing is known yet
        pace.seen(limited(2, "10s", 3))
        found += [await _taken(pace) for _ in range(3)]  # two are left
        now[0] = 10.5
        return [*found, *[await _taken(pace) for _ in range(4)]]  # a fresh minute has three

    assert asyncio.run(use()) == [True, True, True, False, True, True, True, False]


def test_tokens_count_too_and_a_large_request_waits_for_a_whole_minute() -> None:
    now = [0.0]

    async def use() -> list[bool]:
        pace = Pace(lambda: now[0])
        headers = {"anthropic-ratelimit-tokens-limit": "1000", "anthropic-ratelimit-tokens-remaining": "500"}
        pace.seen({**headers, "anthropic-ratelimit-tokens-reset": "30"})
        found = [await _taken(pace, 400), await _taken(pace, 400)]
        now[0] = 31.0
        return [*found, await _taken(pace, 5000), await _taken(pace, 5000)]

    assert asyncio.run(use()) == [True, False, True, False]


def test_what_is_under_way_comes_off_what_an_answer_says_is_left() -> None:
    """The header was made when its request arrived: what followed it is not counted there, what is long gone is."""
    now = [0.0]

    async def use() -> list[bool]:
        pace = Pace(lambda: now[0])
        marks = [await pace.ready(1) for _ in range(4)]
        pace.seen(limited(5, "30s", 9), marks[0])  # three came after it: two are left
        found = [await _taken(pace) for _ in range(3)]
        now[0] = 100.0
        last = await pace.ready(1)
        pace.seen(limited(2, "30s", 9), marks[0])  # of a minute ago: nobody counts what came between
        found += [await _taken(pace) for _ in range(2)]
        pace.seen(limited(1, "30s", 9), last)
        return found

    assert asyncio.run(use()) == [True, True, False, True, False]


def test_the_first_requests_keep_to_the_limits_that_the_probe_was_told() -> None:
    """Two are left until the reset: the third arrives after it, however many want to go at once."""
    arrived: list[float] = []

    class Limited(Replying):
        def do_GET(self) -> None:
            self.say(200, {"data": [{"id": "m"}]})

        def do_POST(self) -> None:
            self.asked()
            arrived.append(time.monotonic())
            left, choice = max(0, 3 - len(arrived)), {"finish_reason": "stop", "message": {"content": "4"}}
            usage = {"prompt_tokens": 7, "completion_tokens": 3}
            reset = f"{max(0, round(1000 * (arrived[0] + 1 - arrived[-1])))}ms"
            self.say(200, {"model": "m", "choices": [choice], "usage": usage}, limited(left, reset, 1000))

    async def run(address: str) -> None:
        endpoint = remote_endpoint(server("openai", base_url=f"{address}/v1"), "m")
        info = await probe(endpoint)
        async with Client(endpoint, backoff=QUICK, pace=info.pace) as client:
            found = await asyncio.gather(*[client.complete(CHAT, timeout_s=60) for _ in range(6)])
        assert [answer.error for answer in found] == [None] * 6

    with listening(Limited) as address:
        asyncio.run(run(address))
    assert len(arrived) == 7
    assert arrived[3] - arrived[0] >= 0.99


def test_limits_are_read_off_every_answer() -> None:
    async def use(client: Client, api: Peer) -> float:
        for _ in range(3):
            assert (await client.complete(CHAT, timeout_s=5)).error is None
        return client.pace.waited_s

    assert answered(use, with_headers(answer(), limited(0, "200ms", 1))) > 0.2


def with_headers(whole: Reply, headers: dict[str, str]) -> Reply:
    status, _, rest = whole.raw.partition(b"\r\n")
    named = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return replace(whole, raw=status + b"\r\n" + named.encode() + rest)


def answered(use: Callable[[Client, Peer], Awaitable[Any]], *replies: Reply, spending: Spending | None = None) -> Any:
    async def run() -> Any:
        async with peer(*replies) as api:
            endpoint = remote_endpoint(server("openai", base_url=api.base_url), "m")
            async with Client(endpoint, backoff=QUICK, spending=spending) as client:
                return await use(client, api)

    return asyncio.run(run())


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"error": {"code": 402, "message": "no credits"}}, "http_402: no credits"),
        ({"choices": [{"finish_reason": "error", "error": {"code": 400, "message": "bad tool"}}]}, "http_400: bad tool"),
        ({"choices": [{"finish_reason": "error", "error": {"code": 502, "message": "down"}}]}, None),
    ],
)
def test_a_providers_error_inside_a_200_is_an_error(body: dict[str, Any], error: str | None) -> None:
    async def use(client: Client, api: Peer) -> Generation:
        return await client.complete(CHAT, timeout_s=5)

    found = answered(use, reply(200, body), answer())
    assert found.error == error
    assert found.text == ("" if error else "4")


PRICE = PriceConfig(input=10.0, output=100.0)  # an answer of the peer: 7 and 3 tokens, 0.00037 dollars


def test_what_answers_cost_is_counted_and_kept(tmp_path: Path) -> None:
    path = tmp_path / "generate.spent.json"

    async def use(client: Client, api: Peer) -> None:
        for _ in range(2):
            await client.complete(CHAT, timeout_s=5)

    answered(use, reply(429, {"error": {"message": "slow"}}), answer(), spending=Spending(PRICE, path))
    found = read_spent(path)
    assert (found.prompt_tokens, found.completion_tokens, found.requests) == (14, 6, 2)
    assert found.usd == pytest.approx(2 * 0.00037) and found.unknown == 0
    answered(use, answer(), spending=Spending(PRICE, path))
    assert read_spent(path).usd == pytest.approx(4 * 0.00037)


def test_no_request_is_sent_that_could_pass_the_budget(tmp_path: Path) -> None:
    """Each may cost 0.008 (64 tokens and its bytes) and costs 0.00037: the last two wait for what was set aside."""

    async def use(client: Client, api: Peer) -> tuple[int, list[Generation]]:
        found = await asyncio.gather(*(client.complete(CHAT, timeout_s=5) for _ in range(40)))
        return len(api.bodies), found

    spending = Spending(PRICE, tmp_path / "x.spent.json", most_usd=0.012)
    sent, found = answered(use, answer(), spending=spending)
    errors = [item.error for item in found if item.error]
    assert 0 < sent == 40 - len(errors)
    assert set(errors) == {"not asked: the budget of $0.0120 is reached"}
    assert sent * 0.00037 == pytest.approx(spending.spent.usd) and spending.spent.usd <= 0.012


def test_an_answer_that_never_came_is_booked_at_the_most_it_can_have_cost(tmp_path: Path) -> None:
    async def use(client: Client, api: Peer) -> Generation:
        return await client.complete(CHAT, timeout_s=5)

    spending = Spending(PRICE, tmp_path / "x.spent.json")
    answered(use, Reply(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{", close=True), answer(), spending=spending)
    assert spending.spent.unknown > 64 * 100 / 1e6
    assert spending.spent.usd == pytest.approx(spending.spent.unknown + 0.00037)


def test_a_run_ends_at_its_budget_and_goes_on_with_a_larger_one(tmp_path: Path) -> None:
    with simulated("--fixed-latency-ms", "1") as engine:
        argv = [f"--server_address={engine.url}/v1", "--model=sim", "--benchmarks=arithmetic:1", "--max_samples=20"]
        argv += ["--output_dir=out", "++inference.tokens_to_generate=4", "--max_concurrent_requests=1"]
        told = ns("eval", *argv, "++budget_usd=1", cwd=tmp_path, code=2)
        assert "++budget_usd needs the model's price" in told.stderr
        # 4 tokens an answer, a thousand dollars a million: half a cent each.
        sold = [*argv, "++price.output=1000"]
        told = ns("eval", *sold, "++budget_usd=0.021", cwd=tmp_path, code=5)
        assert "the budget of $0.0210 is reached: $0.0200 are spent" in told.stderr
        assert "the same command with a larger ++budget_usd goes on where it stopped" in told.stderr
        folder = tmp_path / "out" / "eval-results" / "arithmetic"
        assert "5/20" in told.stdout and "15 failed" in told.stdout
        rows = [json.loads(line) for line in (folder / "output-rs0.jsonl").read_text().splitlines()]
        assert Counter(row.get("error") for row in rows) == {None: 5, "not asked: the budget of $0.0210 is reached": 15}
        assert json.loads((tmp_path / "out" / "run.json").read_text())["commands"][-1]["outcome"] == "BudgetError"
        ns("eval", *sold, "++budget_usd=1", "--min_coverage=0", cwd=tmp_path)
    assert all("error" not in json.loads(line) for line in (folder / "output-rs0.jsonl").read_text().splitlines())
    assert read_spent(tmp_path / "out" / "eval-logs" / "generate.spent.json").usd == pytest.approx(0.08)
