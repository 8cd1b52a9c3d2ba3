"""A question reaches the model as the prompt says, whatever characters it holds."""

from __future__ import annotations

from pathlib import Path

import pytest

from ns_eval.config import TemplateConfig
from ns_eval.errors import DataError, UsageError
from ns_eval.prompts import Prompt, load, rendered, request
from ns_eval.records import Question, Sampling

QUESTION = Question("q", "What is {x} and {{y}} in \\frac{1}{2}? {examples}", "1", meta={"unit": "cm"})


def user_of(prompt: Prompt) -> str:
    messages = request(prompt, QUESTION, 0, Sampling()).messages
    assert messages is not None
    return str(messages[-1]["content"])


def test_braces_of_a_question_are_left_alone() -> None:
    assert user_of(Prompt("p", "Solve: {problem} in {unit}")) == f"Solve: {QUESTION.problem} in cm"


def test_doubled_braces_of_a_prompt_are_literal() -> None:
    assert user_of(Prompt("p", "\\boxed{{}} {unit}")) == "\\boxed{} cm"


def test_no_system_message_is_sent_unless_there_is_one() -> None:
    roles = [[message["role"] for message in request(prompt, QUESTION, 0, Sampling()).messages or ()] for prompt in PROMPTS]
    assert roles == [["user"], ["system", "user"], ["system", "user"]]


PROMPTS = [Prompt("p", "{problem}"), Prompt("p", "{problem}", system=""), Prompt("p", "{problem}", system="Be brief.")]


def test_a_field_that_the_question_does_not_have_is_named() -> None:
    with pytest.raises(DataError, match=r"`\{problm\}`.*did you mean `problem`"):
        request(Prompt("p", "{problm}"), QUESTION, 0, Sampling())


@pytest.mark.parametrize("text", ["{problem", "{}", "{problem.x}", "{problem[0]}", "a } b"])
def test_a_prompt_that_is_no_format_text_is_refused_with_its_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"user: '{text}'\n")
    with pytest.raises(UsageError, match=r"mine\.yaml") as caught:
        load(str(path))
    assert "doubled" in (caught.value.hint or "")


def test_a_prompt_file_of_ones_own_is_a_path(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("user: 'Q: {problem}'\nsystem: Think.\n")
    assert load(str(path)).system == "Think."
    assert load(str(path), system="No.").system == "No."


def test_an_unknown_prompt_gets_the_nearest_name() -> None:
    with pytest.raises(UsageError, match="did you mean `generic/math`"):
        load("generic/mth")


CHATML = TemplateConfig(
    system_begin="<|im_start|>system\n",
    system_end="<|im_end|>\n",
    user_begin="<|im_start|>user\n",
    user_end="<|im_end|>\n",
    assistant_begin="<|im_start|>assistant\n",
    stop_phrases=["<|im_end|>"],
)


def test_a_template_renders_the_parents_bytes_with_an_empty_system_block() -> None:
    assert rendered(CHATML, None, "Hi") == (
        "<|im_start|>system\n<|im_end|>\n<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n"
    )


def test_a_template_sends_text_and_its_stop_phrases() -> None:
    asked = request(Prompt("p", "{problem}", template=CHATML), QUESTION, 0, Sampling(stop=("END",)))
    assert asked.messages is None
    assert asked.sampling.stop == ("END", "<|im_end|>")


def test_few_shot_examples_are_empty_until_they_are_chosen(tmp_path: Path) -> None:
    examples = tmp_path / "two.yaml"
    examples.write_text("examples:\n- {problem: 1+1, answer: 2}\n- {problem: 2+2, answer: 4}\n")
    path = tmp_path / "mine.yaml"
    path.write_text(
        "user: '{examples}Q: {problem}'\n"
        "few_shot_examples:\n  prefix: 'Examples: '\n  template: '{problem}={answer}; '\n  suffix: 'Now. '\n"
    )
    assert user_of(load(str(path))) == f"Q: {QUESTION.problem}"
    chosen = load(str(path), examples_type=str(examples))
    assert user_of(chosen) == f"Examples: 1+1=2; 2+2=4; Now. Q: {QUESTION.problem}"
