"""Before the first sample a server is asked for one real token; what is wrong with it is one sentence and what to do."""

from __future__ import annotations

import asyncio

import pytest

from ns_eval.endpoint import Endpoint
from ns_eval.engines.server_info import NotReady, ServerInfo, probe
from ns_eval.errors import ServerError
from tests.peers.scripted import HTML, RESET, Reply, answer, closed_port, peer, reply


def probed(
    chat_reply: Reply, listing: Reply | None = None, *, models: tuple[str, ...] = ("m",), chat: bool = True
) -> ServerInfo:
    """What a probe finds of a server that says these two things."""

    async def run() -> ServerInfo:
        async with peer(chat_reply, models=models, listing=listing) as server:
            found = await probe(Endpoint(server.base_url, "m", api_key_env="MY_KEY"), chat=chat, timeout_s=10)
            (body,) = server.bodies
            assert body["max_tokens"] == 1 and body["model"] == "m" and ("messages" in body) is chat
            return found

    return asyncio.run(run())


def test_what_a_server_says_of_itself_is_kept() -> None:
    assert probed(answer("4")) == ServerInfo(models=("m",), answered_as="m", context=2048)
    llama = reply(200, {"data": [{"id": "x.gguf", "aliases": ["m"], "meta": {"n_ctx": 512}}]})
    assert probed(answer("4"), llama).context == 512


def test_a_server_without_a_list_of_models_is_taken_by_its_answer() -> None:
    assert probed(answer("4"), reply(404, {"detail": "Not Found"})) == ServerInfo((), "m", None)
    assert probed(answer("4"), reply(200, {"object": "list", "data": []})).models == ()


def test_the_text_route_is_probed_where_text_will_be_asked() -> None:
    text = reply(200, {"model": "m", "choices": [{"text": " 4", "finish_reason": "length"}]})
    assert probed(text, chat=False).answered_as == "m"


@pytest.mark.parametrize(
    ("said", "listing", "message", "hint"),
    [
        (answer(), reply(401, {"error": {"message": "no key"}}), "answers 401: no key", "export MY_KEY=…"),
        (reply(403, {"error": {"message": "forbidden"}}), None, "answers 403: forbidden", "export MY_KEY=…"),
        (answer(), HTML, "a web page instead of JSON", "/v1"),
        (HTML, None, "a web page instead of JSON", "/v1"),
        (answer(), reply(302, b"", location="/login"), "redirects to", "--server_address"),
        (
            reply(404, {"error": {"message": "The model `m` does not exist."}}),
            reply(404, {}),
            "does not serve the model `m`",
            "/models",
        ),
        (reply(404, {"detail": "Not Found"}), reply(404, {}), "is no OpenAI-compatible API", "/v1"),
        (reply(200, {"hello": 1}), None, "does not answer like an OpenAI-compatible API", ""),
        (reply(400, {"message": "Cannot use chat template functions …"}), None, "refuses a one-token", "endpoint_type=text"),
        (reply(400, {"message": "The decoder prompt cannot be empty"}), None, "refuses a one-token", "tokenizer"),
        (
            reply(400, {"error": {"message": "Unsupported parameter: use 'max_completion_tokens' instead"}}),
            None,
            "refuses a one-token",
            "++server.renames.max_tokens=max_completion_tokens and '++server.refuses=[temperature,top_p]'",
        ),
        (
            reply(400, {"error": {"message": "Unsupported value: 'temperature' does not support 0 with this model."}}),
            None,
            "refuses a one-token",
            "'++server.refuses=[temperature,top_p]'",
        ),
    ],
)
def test_what_waiting_does_not_mend_is_raised(said: Reply, listing: Reply | None, message: str, hint: str) -> None:
    with pytest.raises(ServerError) as raised:
        probed(said, listing)
    assert not isinstance(raised.value, NotReady)
    assert message in raised.value.message and hint in (raised.value.hint or "")


def test_another_models_name_is_refused_with_the_names_that_are_served() -> None:
    with pytest.raises(ServerError, match="serves `qwen`, `llama`, not `m`") as raised:
        probed(answer(), models=("qwen", "llama"))
    assert raised.value.hint == "--model=qwen"


@pytest.mark.parametrize(
    "said", [RESET, reply(503, {"error": {"message": "Loading model"}}), reply(500, {}), reply(429, {"message": "later"})]
)
def test_what_may_pass_is_told_apart(said: Reply) -> None:
    with pytest.raises(NotReady):
        probed(said)


def test_nobody_at_the_address() -> None:
    url = f"http://127.0.0.1:{closed_port()}/v1"
    with pytest.raises(NotReady, match="no server answers at") as raised:
        asyncio.run(probe(Endpoint(url, "m"), timeout_s=10))
    assert f"curl {url}/models" in (raised.value.hint or "")
