"""The text route: the checkpoint's own chat template rendered here, and what is done where prompt and answer do not fit."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ns_eval.chat_template import ChatTemplate, chat_template, render
from ns_eval.client import Client
from ns_eval.config import ServerConfig
from ns_eval.endpoint import Endpoint
from ns_eval.errors import UsageError
from ns_eval.prompts import Prompt, request
from ns_eval.records import Generation, Question, Request, Sampling
from ns_eval.resources import conf_file
from ns_eval.schema import build, load_yaml
from ns_eval.servers import serving
from tests.models import TINYMATH
from tests.peers.scripted import peer, reply

MESSAGES = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "1 + 1?"}]
LLAMA = (
    "{{ bos_token }}{% for m in messages %}<|{{ m.role }}|>{{ m.content | trim }}{% endfor %}"
    "{% if add_generation_prompt %}<|a|>{% endif %}"
)


def folder(path: Path, template: str, **config: Any) -> Path:
    path.mkdir(parents=True)
    (path / "tokenizer_config.json").write_text(json.dumps({"chat_template": template, "bos_token": "<s>", **config}))
    return path


def test_the_first_token_stands_there_once_whoever_puts_it(tmp_path: Path) -> None:
    adds = folder(tmp_path / "adds", LLAMA, add_bos_token=True)
    assert render(chat_template(adds, {}), MESSAGES) == "<|system|>Be brief.<|user|>1 + 1?<|a|>"
    assert render(chat_template(adds, {}, raw=True), MESSAGES).startswith("<s><|system|>")
    plain = folder(tmp_path / "plain", LLAMA)
    assert render(chat_template(plain, {}), MESSAGES).startswith("<s><|system|>"), "its tokenizer adds none"


def test_templates_have_what_tokenizers_give_them(tmp_path: Path) -> None:
    text = (
        "{%- for m in messages %}\n    {%- if m.role == 'system' %}{% continue %}{% endif %}\n"
        "{{- m.content | tojson }}\n{%- endfor %}{{ '<think>' if enable_thinking else '</think>' }}"
    )
    found = chat_template(folder(tmp_path / "a", text), {"enable_thinking": True})
    assert render(found, [{"role": "user", "content": "é & <b>"}]) == '"é & <b>"<think>'
    named = folder(
        tmp_path / "b", "", chat_template=[{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]
    )
    assert render(chat_template(named, {}), MESSAGES) == "d"


def test_a_template_that_refuses_or_is_broken_or_missing_says_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="refuses the messages: no system message, please"):
        render(ChatTemplate("{{ raise_exception('no system message, please') }}"), MESSAGES)
    with pytest.raises(UsageError, match="broken, line 1"):
        render(ChatTemplate("{% if %}"), MESSAGES)
    with pytest.raises(UsageError, match=r"renders the chat template of the tokenizer, and .* has none"):
        chat_template(tmp_path, {})


def engine(context: int) -> ServerConfig:
    path = conf_file("server", "llamacpp")
    return replace(build(ServerConfig, load_yaml(path), str(path)), context=context)


def test_on_a_real_engine_both_routes_read_the_same_tokens_and_long_prompts_are_cut_as_asked(tmp_path: Path) -> None:
    prompt = Prompt("p", "{problem}", chat_template=chat_template(TINYMATH, {}))
    question = Question("q", "Anna has 12 apples and buys 3 bags of 15 apples each. How many apples does she have?")
    greedy = Sampling(temperature=0.0, max_tokens=64)
    text = request(prompt, question, 0, greedy)
    chat = request(replace(prompt, chat_template=None), question, 0, greedy)
    long = replace(chat, messages=({"role": "user", "content": f"{'a word ' * 400}{question.problem}"},))

    async def run() -> list[Generation]:
        async with serving(engine(256), "tinymath", tmp_path / "log", path=str(TINYMATH)) as running:
            found = []
            for asked, strategy in ((text, ""), (chat, ""), (long, ""), *((long, name) for name in CUTS)):
                async with Client(replace(running.endpoint, context_strategy=strategy)) as client:
                    found.append(await client.complete(asked, timeout_s=120))
            return found

    by_text, by_chat, refused, from_start, from_end = asyncio.run(run())
    assert text.text is not None and text.text.startswith("<|im_start|>")
    assert (by_text.text, by_text.prompt_tokens) == (by_chat.text, by_chat.prompt_tokens)
    assert refused.error is not None and refused.error.startswith("context_window_exceeded")
    for found, strategy in ((from_start, CUTS[0]), (from_end, CUTS[1])):
        assert found.error is None and found.meta["cut"] == strategy
        assert found.meta["prompt_tokens_cut"] > 500
        assert 92 < (found.prompt_tokens or 0) <= 256 - 64
    assert from_start.text != from_end.text, "the question stands at the end: cut there, it is gone"


CUTS = ("reduce_prompt_from_start", "reduce_prompt_from_end")


def test_what_stays_of_a_prompt_is_counted_in_the_servers_own_tokens() -> None:
    said = "This model's maximum context length is 200 tokens. However, your prompt contains at least 201 input tokens"
    messages = ({"role": "system", "content": "Be brief."}, {"role": "user", "content": "one long text"})

    async def run() -> tuple[Generation, list[Any]]:
        replies = [
            reply(400, {"error": {"message": said}}),
            reply(200, {"tokens": list(range(500))}),
            reply(200, {"tokens": [1, 2, 3]}),
            reply(200, {"prompt": "the end of it"}),
            reply(200, {"choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}]}),
        ]
        async with (
            peer(*replies) as server,
            Client(Endpoint(server.base_url, "m", context_strategy=CUTS[0])) as client,
        ):
            asked = Request("q", 0, Sampling(max_tokens=50), messages=messages)
            return await client.complete(asked, timeout_s=20), server.bodies

    found, bodies = asyncio.run(run())
    kept = 200 - 50 - 3 - 100
    assert bodies[3]["tokens"] == list(range(500 - kept, 500))
    assert bodies[4]["messages"] == [messages[0], {"role": "user", "content": "the end of it"}]
    assert found.meta == {"cut": CUTS[0], "prompt_tokens_cut": 500 - kept}
