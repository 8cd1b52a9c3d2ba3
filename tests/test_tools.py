"""Text until code, run, continue: what the model sees, what counts, and what is written down."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from ns_eval.config import CodeExecutionConfig, TemplateConfig
from ns_eval.errors import UsageError
from ns_eval.markup import CodeTags, fields_of, template_of
from ns_eval.records import Generation, Json
from ns_eval.resources import conf_names
from ns_eval.sandbox import Sandbox, SandboxConfig
from ns_eval.tools import Message, Settings, executions_allowed, native_rounds, rounds

MARKS = {"openmath": "openmath-instruct", "qwen": "qwen-instruct", "llama": "llama3-instruct", "base": "default-base"}


def tags(family: str) -> CodeTags:
    return CodeTags.of(template_of(MARKS[family]), MARKS[family])


class Script:
    """A model that says these parts in turn, as a completions server would send them; keeps what it was asked."""

    def __init__(self, *parts: Generation | str) -> None:
        self._parts = [
            Generation(part, finish_reason="stop", completion_tokens=10, prompt_tokens=5, seconds=1.0)
            if isinstance(part, str)
            else part
            for part in parts
        ]
        self.prompts: list[str | Sequence[Message]] = []
        self.limits: list[int | None] = []
        self.stops: list[Sequence[str]] = []

    async def __call__(self, prompt: str | Sequence[Message], *, stop: Sequence[str], max_tokens: int | None) -> Generation:
        self.prompts.append(list(prompt) if not isinstance(prompt, str) else prompt)
        self.limits.append(max_tokens)
        self.stops.append(stop)
        return self._parts.pop(0)


def answered(script: Script, settings: Settings, prompt: str | Sequence[Message] = "Q:") -> Generation:
    async def run() -> Generation:
        async with Sandbox(SandboxConfig(preload=[])) as sandbox:
            if settings.tags is None:
                assert not isinstance(prompt, str)
                return await native_rounds(script, sandbox.session("s"), prompt, settings)
            return await rounds(script, sandbox.session("s"), prompt, settings)

    return asyncio.run(run())


def code_of(generation: Generation) -> dict[str, Json]:
    summary: dict[str, Json] = generation.meta["code"]
    return summary


OPENMATH = Settings(CodeExecutionConfig(), tags("openmath"))


def test_code_is_run_and_its_output_put_where_the_model_was_trained_to_see_it() -> None:
    script = Script("Compute.\n<tool_call>\nx = 6\nprint(x * 7)\n", "So \\boxed{42}.")
    generation = answered(script, OPENMATH)
    assert generation.text == (
        "Compute.\n<tool_call>\nx = 6\nprint(x * 7)\n</tool_call>\n```output\n42\n```\nSo \\boxed{42}."
    )
    assert script.prompts[1] == "Q:" + generation.text.removesuffix("So \\boxed{42}.")
    assert script.stops == [("</tool_call>",)] * 2


def test_a_server_that_leaves_the_stop_phrase_in_makes_no_difference() -> None:
    kept = answered(Script("<tool_call>\nprint(1)\n</tool_call>\n", "done"), OPENMATH)
    cut = answered(Script("<tool_call>\nprint(1)\n", "done"), OPENMATH)
    assert kept.text == cut.text


def test_variables_live_from_block_to_block_and_a_last_expression_is_shown() -> None:
    generation = answered(Script("<tool_call>\nx = 20\n", "<tool_call>\nx + 1\n", "end"), OPENMATH)
    assert "```output\n```\n" in generation.text
    assert "```output\n21\n```\nend" in generation.text
    assert [run["status"] for run in code_of(generation)["executions"]] == ["ok", "ok"]


@pytest.mark.parametrize(
    ("family", "first", "expected"),
    [
        ("qwen", "```python\nprint(5)\n", "```python\nprint(5)\n```\n```output\n5\n```\nend"),
        (
            "llama",
            "<|python_tag|>print(5)",
            "<|python_tag|>print(5)<|eom_id|><|start_header_id|>ipython<|end_header_id|>\n\ncompleted\n[stdout]\n5\n[/stdout]"
            "<|eot_id|><|start_header_id|>assistant<|end_header_id|>\n\nend",
        ),
        (
            "base",
            "<llm-code>\nprint(5)\n",
            "<llm-code>\nprint(5)\n</llm-code>\n<llm-code-output>\n5\n</llm-code-output>\nend",
        ),
    ],
)
def test_every_family_has_its_own_marks(family: str, first: str, expected: str) -> None:
    generation = answered(Script(first, "end"), Settings(CodeExecutionConfig(), tags(family)))
    assert generation.text == expected


def test_a_fence_of_another_language_is_no_code_and_does_not_end_the_answer() -> None:
    stopped = Generation("```latex\nx\n", finish_reason="stop", meta={"stop_reason": "```\n"})
    generation = answered(Script(stopped, "```python\nprint(5)\n", "end"), Settings(CodeExecutionConfig(), tags("qwen")))
    assert generation.text == "```latex\nx\n```\n```python\nprint(5)\n```\n```output\n5\n```\nend"
    assert code_of(generation)["rounds"] == 1


def test_errors_and_timeouts_are_shown_to_the_model_and_counted() -> None:
    settings = Settings(CodeExecutionConfig(code_execution_timeout=0.3), tags("openmath"))
    generation = answered(Script("<tool_call>\n1/0\n", "<tool_call>\nwhile True: pass\n", "end"), settings)
    assert "ZeroDivisionError: division by zero\n```\n" in generation.text
    assert "timed out after 0.3 seconds" in generation.text
    summary = code_of(generation)
    assert (summary["rounds"], summary["errors"], summary["timeouts"]) == (2, 1, 1)
    assert summary["seconds"] >= 0.3


def test_output_is_cut_where_the_settings_say() -> None:
    settings = Settings(CodeExecutionConfig(max_code_output_characters=10), tags("openmath"))
    generation = answered(Script("<tool_call>\nprint('a' * 50)\n", "end"), settings)
    assert "```output\naaaaaaaaaa<output cut>\n```\n" in generation.text
    assert code_of(generation)["executions"][0]["stdout"] == "a" * 50 + "\n", "the record keeps it whole"


def test_the_budget_counts_everything_the_model_wrote_and_ends_the_answer() -> None:
    script = Script("<tool_call>\nprint(1)\n", "<tool_call>\nprint(2)\n", "never asked")
    generation = answered(script, Settings(CodeExecutionConfig(), tags("openmath"), limit_tokens=15))
    assert script.limits == [15, 5]
    assert (generation.completion_tokens, generation.finish_reason) == (20, "length")
    assert code_of(generation)["rounds"] == 1
    assert code_of(generation)["not_run"]


def test_half_a_block_that_ran_out_of_tokens_is_not_run() -> None:
    cut = Generation("<tool_call>\nimport os; os.remove(", finish_reason="length", completion_tokens=9)
    generation = answered(Script(cut), OPENMATH)
    assert generation.text == cut.text
    assert (code_of(generation)["rounds"], code_of(generation)["not_run"]) == (0, True)


def test_after_the_last_execution_the_model_may_still_write_but_not_run() -> None:
    settings = Settings(CodeExecutionConfig(max_code_executions=1, add_remaining_code_executions=True), tags("openmath"))
    generation = answered(Script("<tool_call>\nprint(1)\n", "<tool_call>\nprint(2)\n"), settings)
    assert code_of(generation)["rounds"] == 1
    assert generation.text.endswith("<tool_call>\nprint(2)\n</tool_call>\n")
    assert "```\n```system\nYou cannot run code any more." in generation.text


def test_the_remaining_number_is_told_in_words_of_ones_own() -> None:
    own = CodeExecutionConfig(
        max_code_executions=3, add_remaining_code_executions=True, remaining_sentence="{remaining} left"
    )
    generation = answered(
        Script("<tool_call>\nprint(1)\n", "<tool_call>\nprint(2)\n", "end"), Settings(own, tags("openmath"))
    )
    assert "```\n```system\n2 left\n```\n" in generation.text
    assert "```\n```system\n1 left\n```\nend" in generation.text


@pytest.mark.parametrize(
    ("config", "in_prompt", "allowed"),
    [(CodeExecutionConfig(), None, 8), (CodeExecutionConfig(), 4, 4), (CodeExecutionConfig(max_code_executions=4), 4, 4)],
)
def test_the_number_in_the_prompt_is_the_cap(config: CodeExecutionConfig, in_prompt: int | None, allowed: int) -> None:
    assert executions_allowed(config, in_prompt) == allowed


def test_two_different_numbers_are_refused() -> None:
    with pytest.raises(UsageError, match="promises another number"):
        executions_allowed(CodeExecutionConfig(max_code_executions=4), 6)


def test_a_failed_request_is_an_error_of_the_sample_and_no_answer() -> None:
    failed = Generation("", error="connection reset")
    generation = answered(Script("<tool_call>\nprint(1)\n", failed), OPENMATH)
    assert (generation.text, generation.error) == ("", "connection reset")
    assert code_of(generation)["rounds"] == 1


def test_on_a_chat_endpoint_the_answer_so_far_is_the_assistants_turn() -> None:
    user = {"role": "user", "content": "Q"}
    script = Script("<tool_call>\nprint(1)\n", "end")
    generation = answered(script, OPENMATH, [user])
    assistant = {"role": "assistant", "content": "<tool_call>\nprint(1)\n</tool_call>\n```output\n1\n```\n"}
    assert script.prompts[1] == [user, assistant, {"role": "user", "content": "continue"}]
    assert generation.text == assistant["content"] + "end"


def _call(arguments: str, name: str = "python") -> Generation:
    call = {"id": "c1", "type": "function", "function": {"name": name, "arguments": arguments}}
    return Generation("", finish_reason="tool_calls", completion_tokens=3, meta={"tool_calls": [call]})


def test_native_calls_are_run_and_answered() -> None:
    script = Script(_call(json.dumps({"code": "x = 2\nx ** 10"})), _call(json.dumps({"code": "x"})), "It is 1024.")
    generation = answered(script, Settings(CodeExecutionConfig()), [{"role": "user", "content": "Q"}])
    last = script.prompts[-1]
    assert not isinstance(last, str)
    assert [message["content"] for message in last if message["role"] == "tool"] == ["1024\n", "2\n"]
    assert generation.text == "It is 1024."
    assert generation.completion_tokens == 16


@pytest.mark.parametrize(
    ("arguments", "name", "said"),
    [
        ('{"code": ', "python", "could not be read"),
        ("{}", "python", "could not be read"),
        ("{}", "shell", "no tool 'shell'"),
    ],
)
def test_a_call_that_cannot_be_read_is_told_to_the_model(arguments: str, name: str, said: str) -> None:
    script = Script(_call(arguments, name), "Sorry.")
    generation = answered(script, Settings(CodeExecutionConfig()), [{"role": "user", "content": "Q"}])
    last = script.prompts[-1]
    assert not isinstance(last, str)
    assert said in last[-1]["content"]
    assert generation.text == "Sorry."


def test_a_template_without_code_tags_is_refused_by_name() -> None:
    with pytest.raises(UsageError, match="`plain` has no code_begin"):
        CodeTags.of(TemplateConfig(), "plain")


@pytest.mark.parametrize("name", sorted(conf_names("template")))
def test_a_shipped_template_has_all_code_tags_or_none(name: str) -> None:
    fields = fields_of(template_of(name))
    assert all(fields.values()) or not any(fields.values())


def test_the_families_that_run_code_have_tags() -> None:
    assert {name for name in conf_names("template") if any(fields_of(template_of(name)).values())} >= set(MARKS.values())
