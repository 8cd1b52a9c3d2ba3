"""Code helps: the shipped model, asked through the embedded engine, is far better where it may run what it writes."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from ns_eval import prompts
from ns_eval.client import Client
from ns_eval.config import CodeExecutionConfig, ServerConfig
from ns_eval.markup import CodeTags
from ns_eval.records import Generation, Question, Request, Sampling, question_from_row, read_jsonl
from ns_eval.resources import conf_file, folder
from ns_eval.sandbox import Sandbox, SandboxConfig
from ns_eval.schema import build, load_yaml
from ns_eval.servers import serving
from ns_eval.tools import Message, Settings, rounds

pytest.importorskip("xllamacpp", reason="the embedded engine is not installed")
GREEDY = Sampling(max_tokens=256)


def _questions() -> list[Question]:
    return [question_from_row(row) for _, row in read_jsonl(folder("shipped") / "arithmetic" / "test.jsonl")]


def _is_right(question: Question, generation: Generation) -> bool:
    assert generation.error is None
    boxed = re.findall(r"\\boxed\{([^}]*)\}", generation.text)
    return bool(boxed) and boxed[-1] == question.expected_answer


async def _measured(log: Path) -> tuple[float, float, list[Generation]]:
    """(share right by reasoning alone, share right with code, the answers with code)."""
    path = conf_file("server", "llamacpp")
    server = replace(build(ServerConfig, load_yaml(path), str(path)), max_num_seqs=16, context=2048, threads=1)
    weights = str(folder("shipped") / "tinymath" / "tinymath-f16.gguf")
    plain = prompts.load("generic/math", template="openmath-instruct")
    tir = prompts.load("openmath/tir", template="openmath-instruct")
    tir = replace(tir, values={**tir.values, "total_code_executions": 4})
    assert tir.template is not None
    settings = Settings(CodeExecutionConfig(max_code_executions=4), CodeTags.of(tir.template, "openmath-instruct"), 256)
    async with (
        serving(server, "tinymath", log, path=weights, chat=False) as running,
        Client(running.endpoint, alive=running.alive) as client,
        Sandbox(SandboxConfig(preload=[])) as sandbox,
    ):

        async def with_code(question: Question) -> Generation:
            first = prompts.request(tir, question, None, GREEDY)
            assert first.text is not None

            async def ask(prompt: str | Sequence[Message], *, stop: Sequence[str], max_tokens: int | None) -> Generation:
                assert isinstance(prompt, str)
                sampling = replace(GREEDY, stop=(*first.sampling.stop, *stop), max_tokens=max_tokens)
                return await client.complete(Request(question.id, None, sampling, text=prompt), timeout_s=120)

            session = sandbox.session(question.id)
            try:
                return await rounds(ask, session, first.text, settings)
            finally:
                await session.close()

        async def without(question: Question) -> Generation:
            return await client.complete(prompts.request(plain, question, None, GREEDY), timeout_s=120)

        questions = _questions()
        thought = await asyncio.gather(*map(without, questions))
        computed = await asyncio.gather(*map(with_code, questions))
    right = [sum(map(_is_right, questions, answers)) / len(questions) for answers in (thought, computed)]
    return right[0], right[1], list(computed)


def test_the_shipped_model_gains_what_its_training_promises(tmp_path: Path) -> None:
    by_reasoning, with_code, answers = asyncio.run(_measured(tmp_path / "server.log"))
    assert by_reasoning <= 0.62
    assert with_code >= 0.90
    assert all(answer.meta["code"]["rounds"] == 1 for answer in answers)
    assert re.search(r"<tool_call>\nprint\(.*\)\n</tool_call>\n```output\n\d+\n```\nThe final answer", answers[0].text)
