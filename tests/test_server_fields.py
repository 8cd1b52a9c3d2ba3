"""What a server does not honour is mapped, switched on or refused before the run; nothing is dropped in silence."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ns_eval.config import ServerConfig
from ns_eval.endpoint import body, endpoint_of
from ns_eval.engines.engine_argv import engine_argv, split_options
from ns_eval.engines.request_fields import check_fields
from ns_eval.errors import ServerError, UsageError
from ns_eval.records import Request, Sampling, loads
from ns_eval.resources import conf_names
from ns_eval.schema import build, load_yaml
from ns_eval.servers import normal_url, remote_endpoint

SERVERS = {name: build(ServerConfig, load_yaml(path), str(path)) for name, path in conf_names("server").items()}
CHAT = Request("q", 7, Sampling(temperature=0.6, top_p=0.95, max_tokens=100), ({"role": "user", "content": "hi"},))


def sent(name: str, request: Request = CHAT) -> dict[str, Any]:
    return loads(body(endpoint_of(SERVERS[name], "http://h/v1", "m"), request))


@pytest.mark.parametrize("name", SERVERS)
def test_every_server_type_bears_its_files_name_and_says_what_it_is(name: str) -> None:
    assert SERVERS[name].name == name
    assert SERVERS[name].about
    assert sent(name)["seed"] == 7


@pytest.mark.parametrize(("name", "off"), [("llamacpp", -1), ("vllm", -1), ("sglang", -1), ("trtllm", 0)])
def test_sampling_that_is_off_is_said_where_a_default_would_slip_in(name: str, off: int) -> None:
    found = sent(name)
    assert (found["top_k"], found["min_p"]) == (off, 0.0)
    assert found.get("repetition_penalty", found.get("repeat_penalty")) == 1.0


def test_a_foreign_api_gets_only_what_was_asked() -> None:
    found = sent("openai")
    assert found == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "temperature": 0.6,
        "top_p": 0.95,
        "max_tokens": 100,
        "seed": 7,
    }


def test_fields_go_under_the_servers_names() -> None:
    hard = replace(CHAT, sampling=Sampling(repetition_penalty=1.1, top_k=20, stop=("a",), top_logprobs=5))
    assert sent("llamacpp", hard)["repeat_penalty"] == 1.1
    assert "repetition_penalty" not in sent("llamacpp", hard)
    assert sent("vllm", hard)["repetition_penalty"] == 1.1
    assert (sent("vllm", hard)["logprobs"], sent("vllm", hard)["top_logprobs"]) == (True, 5)
    assert sent("llamacpp", replace(hard, messages=None, text="x"))["logprobs"] == 5
    renamed = replace(SERVERS["openai"], renames={"max_tokens": "max_completion_tokens"})
    assert loads(body(endpoint_of(renamed, "http://h/v1", "m"), CHAT))["max_completion_tokens"] == 100


def test_the_greedy_answer_has_no_seed_and_no_temperature() -> None:
    found = sent("vllm", replace(CHAT, seed=None, sampling=Sampling()))
    assert found["temperature"] == 0.0 and "seed" not in found and "max_tokens" not in found


def test_further_fields_are_sent_as_they_are() -> None:
    extra = Sampling(extra_body={"chat_template_kwargs": {"enable_thinking": False}, "top_k": 3})
    found = sent("vllm", replace(CHAT, sampling=extra))
    assert found["chat_template_kwargs"] == {"enable_thinking": False} and found["top_k"] == 3


@pytest.mark.parametrize(
    ("name", "field", "said"),
    [
        ("vllm", "guided_json", "it takes response_format or structured_outputs"),
        ("vllm", "repetition_penaltyy", "did you mean `repetition_penalty`"),
        ("llamacpp", "bad_words", "llamacpp does not know the request field `bad_words`"),
        ("sglang", "prompt_logprobs", "sglang does not know"),
        ("trtllm", "top_kk", "did you mean `top_k`"),
    ],
)
def test_a_field_that_would_be_dropped_is_refused(name: str, field: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        check_fields(SERVERS[name], Sampling(extra_body={field: 1}), seeded=True)


def test_seeds_that_do_nothing_are_said_and_switched_on_by_default() -> None:
    sglang = SERVERS["sglang"]
    assert check_fields(sglang, Sampling(), seeded=True) == ()
    fast = replace(sglang, args={**sglang.args, "enable-deterministic-inference": False})
    assert "sglang ignores seeds" in check_fields(fast, Sampling(), seeded=True)[0]
    assert check_fields(fast, Sampling(), seeded=False) == ()
    assert check_fields(replace(fast, server_args="--enable-deterministic-inference"), Sampling(), seeded=True) == ()


def test_a_value_that_a_server_ignores_is_refused_only_where_it_is_on() -> None:
    dropping = replace(SERVERS["openai"], ignores={"min_p": ""})
    assert check_fields(dropping, Sampling(min_p=0.0), seeded=True) == ()
    with pytest.raises(UsageError, match="ignores `min_p` in silence"):
        check_fields(dropping, Sampling(min_p=0.1), seeded=True)


@pytest.mark.parametrize(
    ("text", "argv"),
    [
        ("--b 3", ["--a", "1", "--b", "3"]),
        ("--a_x 3", ["--a", "1", "--b", "2", "--a_x", "3"]),
        ("--a=9", ["--b", "2", "--a=9"]),
        ("-bee 5 --flag", ["--a", "1", "-bee", "5", "--flag"]),
        ("--a -1 --list x y", ["--b", "2", "--a", "-1", "--list", "x", "y"]),
        ("--a '{\"k\": [1, 2]}'", ["--b", "2", "--a", '{"k": [1, 2]}']),
    ],
)
def test_a_later_option_replaces_an_earlier_one(text: str, argv: list[str]) -> None:
    server = ServerConfig(name="x", argv=["run"], args={"a": 1, "b": 2}, aliases={"-bee": "--b"}, server_args=text)
    assert engine_argv(server, {}) == ["run", *argv]


def test_options_are_left_out_where_nothing_is_set() -> None:
    args = {"yes": True, "no": False, "none": None, "unset": "{gpus}", "list": ["{model}", "b"], "many": "{adapters}"}
    server = ServerConfig(name="x", argv=["run", "{model}"], args=args)
    found = engine_argv(server, {"gpus": None, "model": "/m", "adapters": ["p=1", "q=2"]})
    assert found == ["run", "/m", "--yes", "--list", "/m", "b", "--many", "p=1", "q=2"]


@pytest.mark.parametrize("text", ["value", "--a 'open"])
def test_server_args_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--server_args"):
        split_options(text)


def test_a_placeholder_that_does_not_exist_is_named() -> None:
    with pytest.raises(UsageError, match=r"unknown placeholder {gpu}; known: .*gpus"):
        engine_argv(ServerConfig(name="x", argv=["run"], args={"tp": "{gpu}"}), {"gpus": 1})


@pytest.mark.parametrize(
    ("address", "url"),
    [
        ("localhost:8000", "http://localhost:8000/v1"),
        ("http://h:1/", "http://h:1/v1"),
        ("http://h:1/v1/", "http://h:1/v1"),
        ("https://h/api/v3", "https://h/api/v3"),
        ("http://h/v1/chat/completions", "http://h/v1"),
        ("[::1]:8000", "http://[::1]:8000/v1"),
    ],
)
def test_addresses_are_taken_as_people_write_them(address: str, url: str) -> None:
    assert normal_url(address) == url


@pytest.mark.parametrize("address", ["ftp://h/v1", "http://", "/v1"])
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(UsageError, match="is no address"):
        normal_url(address)


def test_a_key_goes_to_its_own_host_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
    openai = SERVERS["openai"]
    assert remote_endpoint(replace(openai, base_url="https://api.openai.com/v1"), "m").api_key == "sk-1"
    assert remote_endpoint(replace(openai, base_url="http://10.0.0.7:8000/v1"), "m").api_key == ""
    mine = replace(openai, base_url="http://10.0.0.7:8000/v1", api_key_env="MY_KEY")
    with pytest.raises(ServerError, match=r"\$MY_KEY is not set"):
        remote_endpoint(mine, "m")
    monkeypatch.setenv("MY_KEY", "k")
    assert remote_endpoint(mine, "m").api_key == "k"


def test_a_server_type_that_starts_nothing_needs_an_address() -> None:
    with pytest.raises(UsageError, match="starts nothing"):
        remote_endpoint(SERVERS["openai"], "m")


def test_every_yaml_of_a_server_is_known_here() -> None:
    assert {"llamacpp", "vllm", "vllm-cpu", "sglang", "trtllm", "openai", "generic"} <= SERVERS.keys()
    assert all(Path(path).is_file() for path in conf_names("server").values())


def test_what_a_model_refuses_is_left_out_and_said() -> None:
    reasoning = replace(SERVERS["openai"], refuses=["temperature", "top_p"], renames={"max_tokens": "max_completion_tokens"})
    found = loads(body(endpoint_of(reasoning, "http://h/v1", "m"), CHAT))
    assert set(found) == {"model", "messages", "max_completion_tokens", "seed"}
    (note,) = check_fields(reasoning, CHAT.sampling, seeded=True)
    assert note == "the model refuses temperature, top_p: its own default applies"
    assert check_fields(replace(reasoning, refuses=["stop"]), CHAT.sampling, seeded=True) == ()
