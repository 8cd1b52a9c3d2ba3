"""The embedded engine with the shipped model: it answers, repeats itself, and says what is wrong with a model file."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import pytest

from ns_eval.client import Client
from ns_eval.config import ServerConfig
from ns_eval.engines.embedded import embedded
from ns_eval.errors import DataError, ServerError, UsageError
from ns_eval.records import Generation, Request, Sampling
from ns_eval.resources import conf_file, folder
from ns_eval.schema import build, load_yaml
from ns_eval.servers import Running, serving
from tests.paths import REPO

T = TypeVar("T")
MODEL = folder("shipped") / "tinymath"
GGUF = MODEL / "tinymath-f16.gguf"
PROBLEM = "Write the steps and put the final number in \\boxed{}.\n\nWhat is 3 + 4?"


def configured() -> ServerConfig:
    path = conf_file("server", "llamacpp")
    return build(ServerConfig, load_yaml(path), str(path))


def served(use: Callable[[Client, Running], Awaitable[T]], tmp_path: Path, path: Path = GGUF) -> T:
    """What `use` makes of the shipped model."""

    async def run() -> T:
        opened = serving(configured(), "tinymath", tmp_path / "server.log", path=str(path))
        async with opened as running, Client(running.endpoint, alive=running.alive) as client:
            return await use(client, running)

    return asyncio.run(run())


async def all_of(client: Client, requests: Sequence[Request]) -> list[Generation]:
    return await asyncio.gather(*(client.complete(request, timeout_s=120) for request in requests))


def chat(seed: int, sampling: Sampling) -> Request:
    return Request("q", seed, sampling, ({"role": "user", "content": PROBLEM},))


def test_the_same_seeds_give_the_same_answers_and_others_differ(tmp_path: Path) -> None:
    requests = [chat(seed, Sampling(temperature=0.7, top_p=0.95, max_tokens=96)) for seed in range(64)]

    async def use(client: Client, running: Running) -> tuple[list[Generation], list[Generation]]:
        return await all_of(client, requests), await all_of(client, requests[::-1])

    first, second = served(use, tmp_path)
    assert all(item.error is None and item.completion_tokens and item.prompt_tokens for item in first)
    same = sum(one.text == other.text for one, other in zip(first, second[::-1], strict=True))
    assert same >= 63, "small batches may take other kernels: engines differ in the last bit there"
    assert len({item.text for item in first}) > 4


def test_a_folder_with_one_gguf_is_a_model_and_its_sizes_are_known(tmp_path: Path) -> None:
    async def use(client: Client, running: Running) -> Running:
        return running

    running = served(use, tmp_path, MODEL)
    assert (running.slots, running.context) == (32, 2048)
    assert running.argv[running.argv.index("--threads") + 1] == "1"
    assert running.info.answered_as == "tinymath"


def test_sampling_is_what_was_asked_and_not_the_engines_own_default(tmp_path: Path) -> None:
    # Left unsaid, llama.cpp samples with top_k 40 and min_p 0.05: at temperature 20 nearly every token is then out of 40.
    hot = [chat(seed, Sampling(temperature=20.0, max_tokens=24)) for seed in range(24)]
    capped = [chat(seed, Sampling(temperature=20.0, top_k=2, max_tokens=24)) for seed in range(24)]

    async def use(client: Client, running: Running) -> tuple[list[Generation], list[Generation]]:
        return await all_of(client, hot), await all_of(client, capped)

    free, held = served(use, tmp_path)
    assert len({word for item in free for word in item.text.split()}) > 2 * len(
        {word for item in held for word in item.text.split()}
    )


def test_a_repetition_penalty_reaches_the_engine_under_its_own_name(tmp_path: Path) -> None:
    async def use(client: Client, running: Running) -> list[Generation]:
        plain = Sampling(temperature=0.0, max_tokens=64)
        return await all_of(client, [chat(1, plain), chat(1, replace(plain, repetition_penalty=1.9))])

    plain, penalised = served(use, tmp_path)
    assert plain.text != penalised.text


def test_what_stops_an_answer_is_told(tmp_path: Path) -> None:
    async def use(client: Client, running: Running) -> list[Generation]:
        greedy = Sampling(max_tokens=64)
        text = Request(
            "q", 1, replace(greedy, max_tokens=None), text=f"<|im_start|>user\n{PROBLEM}<|im_end|>\n<|im_start|>assistant\n"
        )
        short, stop = chat(1, replace(greedy, max_tokens=3)), chat(1, replace(greedy, stop=("final",)))
        long = Request("q", 1, greedy, ({"role": "user", "content": "many words " * 2000},))
        return await all_of(client, [text, short, stop, long])

    text, short, stop, long = served(use, tmp_path)
    assert text.finish_reason == "stop" and "\\boxed{" in text.text
    assert (short.finish_reason, short.completion_tokens) == ("length", 3)
    assert stop.finish_reason == "stop" and "final" not in stop.text
    assert long.error is not None and long.error.startswith("context_window_exceeded") and long.text == ""


def test_what_is_no_model_is_named(tmp_path: Path) -> None:
    server = configured()
    with pytest.raises(UsageError, match=r"/no/such\.gguf does not exist"):
        embedded(server, "/no/such.gguf")
    with pytest.raises(UsageError, match=r"holds no \.gguf file"):
        embedded(server, str(tmp_path))
    (tmp_path / "text.gguf").write_text("not a model")
    with pytest.raises(DataError, match=r"text\.gguf is no GGUF file"):
        embedded(server, str(tmp_path))
    (tmp_path / "cut.gguf").write_bytes(GGUF.read_bytes()[:3000])
    with pytest.raises(DataError, match=r"cut\.gguf is cut off or damaged"):
        embedded(server, str(tmp_path / "cut.gguf"))
    with pytest.raises(UsageError, match=r"several GGUF files: cut\.gguf, text\.gguf"):
        embedded(server, str(tmp_path))


def test_weights_that_are_cut_off_are_told_in_the_engines_words(tmp_path: Path) -> None:
    (tmp_path / "cut.gguf").write_bytes(GGUF.read_bytes()[:-200_000])

    async def use(client: Client, running: Running) -> None:
        raise AssertionError("it must not start")

    with pytest.raises(ServerError, match=r"llamacpp ended while starting.*(load|model|data)"):
        served(use, tmp_path, tmp_path / "cut.gguf")


def test_without_the_engine_one_command_is_named() -> None:
    # To the import system, a wheel that is not installed is a name that no finder finds.
    code = """
import importlib.machinery
found = importlib.machinery.PathFinder.find_spec
importlib.machinery.PathFinder.find_spec = lambda name, *rest: None if name == "xllamacpp" else found(name, *rest)
from ns_eval.config import ServerConfig
from ns_eval.engines.embedded import embedded
try:
    embedded(ServerConfig(name="llamacpp"), "x.gguf")
except Exception as error:
    print(error)
"""
    shown = subprocess.run([sys.executable, "-c", code], cwd=REPO, capture_output=True, text=True, check=True).stdout
    assert "pip install 'ns-eval[embedded]'" in shown
