"""What a client does with a server that misbehaves: it asks again, records, or ends early; an error is never an answer."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import pytest

from ns_eval.backoff import Backoff
from ns_eval.client import Client
from ns_eval.endpoint import Endpoint
from ns_eval.errors import ServerError, UsageError
from ns_eval.records import Generation, Request, Sampling
from tests.peers.scripted import HTML, RESET, SILENT, Peer, Reply, answer, closed_port, cut, peer, reply

QUICK = Backoff(first_s=0.001, longest_s=0.002)
CHAT = Request("q", 3, Sampling(max_tokens=64), ({"role": "user", "content": "2 + 2?"},))
TEXT = Request("q", 3, Sampling(max_tokens=64), text="2 + 2 =")


def quick_client(server: Peer, on_limited: Callable[[float], None] | None = None) -> Client:
    return Client(Endpoint(server.base_url, "m"), on_limited=on_limited, backoff=QUICK)


def asked(*replies: Reply, request: Request = CHAT, timeout_s: float = 20.0) -> tuple[Generation, Client, Peer]:
    """One request against a peer that says `replies` in turn."""

    async def run() -> tuple[Generation, Client, Peer]:
        async with peer(*replies) as server, quick_client(server) as client:
            return await client.complete(request, timeout_s=timeout_s), client, server

    return asyncio.run(run())


def refused(*replies: Reply, times: int = 1, key: str = "", variable: str = "") -> tuple[ServerError, Peer]:
    """What `times` requests at once raise, all of them the same."""

    async def run() -> tuple[ServerError, Peer]:
        async with peer(*replies) as server:
            endpoint = Endpoint(server.base_url, "m", api_key=key, api_key_env=variable)
            async with Client(endpoint, backoff=QUICK) as client:
                one = (client.complete(CHAT, timeout_s=20) for _ in range(times))
                found = await asyncio.gather(*one, return_exceptions=True)
                with pytest.raises(ServerError) as raised:
                    await client.complete(CHAT, timeout_s=20)
            assert {str(error) for error in found} == {str(raised.value)}
            return raised.value, server

    return asyncio.run(run())


def test_an_answer_becomes_a_record() -> None:
    found, client, server = asked(answer("So 4.", reasoning_content="2 and 2"))
    assert (found.text, found.reasoning, found.finish_reason) == ("So 4.", "2 and 2", "stop")
    assert (found.prompt_tokens, found.completion_tokens, found.attempts, found.error) == (7, 3, 1, None)
    assert 0 < found.seconds < 20
    assert found.started + found.seconds == pytest.approx(found.ended)
    assert (client.counters.answers, client.counters.completion_tokens, client.counters.in_flight) == (1, 3, 0)
    assert server.asked[0][:2] == ("POST", "/v1/chat/completions")


def test_the_text_route_is_taken_for_a_text() -> None:
    body = {"choices": [{"text": " 4", "finish_reason": "length", "stop_reason": None}], "usage": None}
    found, _, server = asked(reply(200, body), request=TEXT)
    assert (found.text, found.finish_reason, found.completion_tokens) == (" 4", "length", None)
    assert server.asked[0][1] == "/v1/completions"
    assert server.bodies[0]["prompt"] == "2 + 2 ="


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (reply(429, {"error": {"message": "slow down"}}), "429"),
        (reply(503, {"error": {"message": "busy"}}, retry_after="0"), "429"),
        (reply(500, {"error": {"message": "engine died"}}), "http_500"),
        (reply(502, b"<html>Bad Gateway</html>"), "http_502"),
        (reply(408, {}), "http_408"),
        (RESET, "reset"),
        (cut(answer("four")), "cut"),
        (Reply(b"HTTP/1.1 200 OK\r\n", close=True), "reset"),
        (Reply(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", close=True), "bad_http"),
        (SILENT, "timeout"),
        (Reply(answer().raw[:-20], hang=True), "timeout"),
        (reply(200, b'{"choices": [{"mess'), "bad_json"),
        (reply(200, b"[]"), "bad_json"),
        (reply(200, {"choices": []}), "bad_json"),
        (reply(200, {"error": {"code": 529, "message": "upstream overloaded"}}), "http_529"),
        (answer("So far", finish="abort"), "aborted"),
    ],
)
def test_a_passing_fault_is_retried_and_counted(fault: Reply, kind: str) -> None:
    found, client, server = asked(fault, answer("4"), timeout_s=0.3)
    assert (found.text, found.error, found.attempts) == ("4", None, 2)
    assert dict(client.counters.retries) == {kind: 1}
    assert len(server.bodies) == 2 and server.bodies[0] == server.bodies[1]


@pytest.mark.parametrize(
    ("fault", "attempts", "error"),
    [
        (reply(500, {"error": {"message": "CUDA error"}}), 6, "http_500: CUDA error"),
        (SILENT, 2, "timeout: no answer within 0.05 s"),
        (reply(429, {"message": "rate limit"}), 40, "429: rate limit"),
    ],
)
def test_a_fault_that_stays_is_recorded_without_text(fault: Reply, attempts: int, error: str) -> None:
    found, client, server = asked(fault, timeout_s=0.05)
    assert (found.text, found.error, found.attempts) == ("", error, attempts)
    assert len(server.bodies) == attempts
    assert (client.counters.errors, client.counters.answers) == (1, 0)


# The servers' own words: llama.cpp, vLLM (too long; max_tokens over the context), SGLang (three), TensorRT-LLM, OpenAI.
@pytest.mark.parametrize(
    "body",
    [
        {"error": {"code": 400, "message": "request (4009 tokens) exceeds …", "type": "exceed_context_size_error"}},
        {"error": {"message": "This model's maximum context length is 2048 tokens. However, your prompt …", "code": 400}},
        {"error": {"message": "max_tokens=5000 cannot be greater than max_model_len=2048.", "code": 400}},
        {"object": "error", "message": "The input (4209 tokens) is longer than the model's context length (2048 tokens)."},
        {"message": "Input length (2047 tokens) exceeds the maximum allowed length (2042 tokens). Use a shorter input …"},
        {"message": "max_completion_tokens is too large: 5000.This model supports at most 2048 completion tokens."},
        {"message": "The sum of prompt length (50) and max_tokens (9999) should not exceed max_seq_len (2048)"},
        {"error": {"message": "too long", "type": "invalid_request_error", "code": "context_length_exceeded"}},
    ],
)
def test_a_context_overflow_is_recorded_and_never_an_answer(body: dict[str, object]) -> None:
    found, client, server = asked(reply(400, body))
    assert found.error is not None and found.error.startswith("context_window_exceeded: ")
    assert (found.text, found.attempts, len(server.bodies)) == ("", 1, 1)
    assert client.counters.errors == 1


@pytest.mark.parametrize("status", [400, 404, 413, 422, 403])
def test_a_refusal_after_good_answers_concerns_one_sample(status: int) -> None:
    async def run() -> Generation:
        said = reply(status, {"error": {"message": "bad field"}})
        async with peer(answer(), said) as server, quick_client(server) as client:
            await client.complete(CHAT, timeout_s=20)
            return await client.complete(CHAT, timeout_s=20)

    found = asyncio.run(run())
    assert (found.text, found.error) == ("", f"http_{status}: bad field")


def test_a_filtered_answer_has_its_own_state() -> None:
    found, _, _ = asked(reply(400, {"error": {"code": "content_filter", "message": "filtered"}}))
    assert (found.text, found.error, found.finish_reason) == ("", None, "content_filter")


def test_a_refused_key_ends_everything_and_names_its_variable() -> None:
    error, server = refused(
        reply(401, {"error": {"message": "Incorrect API key"}}), times=50, key="sk-secret", variable="MY_KEY"
    )
    assert "401: Incorrect API key" in error.message and "$MY_KEY" in str(error)
    assert "sk-secret" not in str(error)
    assert server.headers[0]["authorization"] == "Bearer sk-secret"
    # Those in flight got their own refusal; nobody asked twice, and the one after them was not sent.
    assert len(server.bodies) <= 50


def test_without_a_key_a_401_says_where_to_put_one() -> None:
    error, _ = refused(reply(401, {"message": "no key"}), variable="MY_KEY")
    assert error.hint == "export MY_KEY=…"
    error, _ = refused(reply(401, {"message": "no key"}))
    assert "++server.api_key_env" in (error.hint or "")


@pytest.mark.parametrize(
    ("said", "message", "hint"),
    [
        (
            reply(404, {"error": {"message": "The model `m` does not exist. Valid aliases: qwen.", "code": 404}}),
            "does not serve the model `m`",
            "/models",
        ),
        (reply(404, {"detail": "Not Found"}), "is no OpenAI-compatible API", "/v1"),
        (HTML, "a web page instead of JSON", "/v1"),
        (reply(302, b"", location="https://login.example/"), "redirects to https://login.example/", "--server_address"),
    ],
)
def test_what_befalls_every_request_is_raised_early(said: Reply, message: str, hint: str) -> None:
    error, _ = refused(said, times=8)
    assert message in error.message
    assert hint in (error.hint or "")


def test_a_server_that_refuses_everything_ends_the_run() -> None:
    async def run() -> None:
        said = reply(400, {"message": "Extra inputs are not permitted: min_p"})
        async with peer(said) as server, quick_client(server) as client:
            for _ in range(100):
                assert (await client.complete(CHAT, timeout_s=20)).text == ""
                assert len(server.bodies) < 40

    with pytest.raises(ServerError, match=r"refuses every request \(http_400\): Extra inputs are not permitted: min_p"):
        asyncio.run(run())


def test_nobody_at_the_address_is_raised_at_once() -> None:
    async def run() -> None:
        async with Client(Endpoint(f"http://127.0.0.1:{closed_port()}/v1", "m")) as client:
            await client.complete(CHAT, timeout_s=20)

    with pytest.raises(ServerError, match=r"no server answers at http://127\.0\.0\.1"):
        asyncio.run(run())


def test_a_web_page_in_the_middle_is_a_gateways_bad_moment() -> None:
    async def run() -> Generation:
        async with (
            peer(answer(), HTML, answer("4")) as server,
            Client(Endpoint(server.base_url, "m"), backoff=QUICK) as client,
        ):
            await client.complete(CHAT, timeout_s=20)
            return await client.complete(CHAT, timeout_s=20)

    assert asyncio.run(run()).text == "4"


def test_a_server_that_comes_back_is_awaited() -> None:
    waits = []

    async def alive() -> None:
        waits.append(1)

    found = asyncio.run(with_alive(alive, RESET, RESET, answer("4")))
    assert (found.text, found.attempts, len(waits)) == ("4", 3, 2)


def test_a_server_that_is_given_up_ends_the_run() -> None:
    async def alive() -> None:
        raise ServerError("vllm ended 6 times within an hour")

    with pytest.raises(ServerError, match="ended 6 times"):
        asyncio.run(with_alive(alive, RESET))


async def with_alive(alive: Callable[[], Awaitable[None]], *replies: Reply) -> Generation:
    async with peer(*replies) as server, Client(Endpoint(server.base_url, "m"), alive=alive, backoff=QUICK) as client:
        return await client.complete(CHAT, timeout_s=20)


def test_a_rate_limit_is_told_to_the_caller() -> None:
    pauses: list[float] = []

    async def run() -> None:
        limit = reply(429, {}, retry_after="0.02")
        async with peer(limit, answer()) as server, quick_client(server, pauses.append) as client:
            await client.complete(CHAT, timeout_s=20)

    asyncio.run(run())
    assert len(pauses) == 1 and 0.02 <= pauses[0] <= 0.03


def test_pauses_double_up_to_a_limit_and_are_never_less_than_the_server_asks() -> None:
    import random

    backoff, rng = Backoff(first_s=1.0, longest_s=10.0), random.Random(1)
    for attempt, longest in [(1, 1.0), (2, 2.0), (3, 4.0), (9, 10.0), (5000, 10.0)]:
        pauses = [backoff.pause_s(attempt, None, rng) for _ in range(50)]
        assert longest / 2 <= min(pauses) < max(pauses) <= longest
    assert 30.0 <= backoff.pause_s(1, 30.0, rng) <= 45.0
    assert backoff.pause_s(1, 1e9, rng) <= 150.0


def test_the_room_left_is_asked_again_where_a_server_counts_strictly() -> None:
    # SGLang refuses prompt + max_tokens > context, where others shorten.
    said = (
        "Requested token count exceeds the model's maximum context length of 2048 tokens. You requested a total of 2099 "
        "tokens: 51 tokens from the input messages and 2048 tokens for the completion."
    )
    unlimited = replace(TEXT, sampling=Sampling())

    async def run(request: Request, strategy: str = "") -> tuple[Generation, Peer]:
        body = {"choices": [{"text": "4", "finish_reason": "stop"}]}
        async with peer(reply(400, {"message": said}), reply(200, body)) as server:
            endpoint = Endpoint(server.base_url, "m", context=2048, text_limit=True, context_strategy=strategy)
            async with Client(endpoint, backoff=QUICK) as client:
                return await client.complete(request, timeout_s=20), server

    found, server = asyncio.run(run(unlimited))
    assert found.text == "4"
    assert [body["max_tokens"] for body in server.bodies] == [2048, 1995]
    found, server = asyncio.run(run(TEXT))
    assert found.error is not None and len(server.bodies) == 1, "a limit that the user set is never changed in silence"
    found, server = asyncio.run(run(TEXT, "reduce_generation"))
    assert (found.error, found.meta) == (None, {"max_tokens_lowered_to": 1995})


def test_a_text_route_that_stops_at_16_tokens_is_never_left_without_a_limit() -> None:
    async def run() -> None:
        async with peer(answer()) as server, Client(Endpoint(server.base_url, "m", text_limit=True)) as client:
            await client.complete(replace(TEXT, sampling=Sampling()), timeout_s=20)

    with pytest.raises(UsageError, match="stops at 16 tokens"):
        asyncio.run(run())


def test_a_key_is_never_shown() -> None:
    assert "sk-secret" not in repr(Endpoint("http://h/v1", "m", api_key="sk-secret", headers={"X-Key": "sk-secret"}))
