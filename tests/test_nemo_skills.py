"""Prompts, templates, examples and sentences of a NeMo-Skills checkout are used as they stand there, and never imported."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from judges.equivalence import EquivalenceJudge
from ns_eval import nemo_skills, prompts
from ns_eval.config import CodeExecutionConfig
from ns_eval.errors import DataError, UsageError
from ns_eval.examples import examples_of
from ns_eval.records import Question, Sampling
from ns_eval.tools import worded
from tests.commands import ns
from tests.peers.checkout import checkout

TOLD = CodeExecutionConfig(add_remaining_code_executions=True)


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkout(tmp_path_factory.mktemp("clone"))


@pytest.fixture(autouse=True)
def named(clone: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The checkout is the one of the environment; nothing of it has been imported afterwards."""
    nemo_skills.use(None)
    monkeypatch.setenv("NEMO_SKILLS_PATH", str(clone))
    yield
    nemo_skills.use(None)
    assert not [name for name in sys.modules if name.partition(".")[0] == "nemo_skills"]


def user_of(prompt: prompts.Prompt, **columns: str) -> str:
    asked = prompts.request(prompt, Question("q", "3+3", "6", meta=columns), None, Sampling())
    assert asked.messages is not None
    assert [message["role"] for message in asked.messages] == ["user"], "an empty system message is none"
    return str(asked.messages[-1]["content"])


def test_a_prompt_of_the_checkout_is_rendered_like_one_of_ours() -> None:
    prompt = prompts.load("nemo_skills:openmath/tir", values={"total_code_executions": 8})
    assert user_of(prompt) == "At most 8 times.\n\n3+3"


def test_a_judge_takes_its_prompt_from_there() -> None:
    judge = EquivalenceJudge(prompt="nemo_skills:judge/math")
    assert "agree on {problem}" in str(judge.spec()["prompt"])


def test_code_in_examples_gets_the_marks_of_the_model() -> None:
    prompt = prompts.load(
        "nemo_skills:openmath/tir",
        template="nemo_skills:plain-instruct",
        examples_type="with_code",
        values={"total_code_executions": 2},
    )
    text = prompts.request(prompt, Question("q", "3+3"), None, Sampling()).text
    assert text == (
        "<s>U:At most 2 times.\n\nLook first:\n\nQ: 2+2\nA: By code.\n<run>\nprint(2 + 2)\n</run>\n<out>4\n</out>\nSo 4.\n\n"
        "Now you.\n3+3\nA:"
    )
    chat = prompts.load("nemo_skills:openmath/tir", examples_type="with_code", values={"total_code_executions": 2})
    assert "```python\n\nprint(2 + 2)\n```\n\n```output\n4\n```\n\nSo 4." in user_of(chat)


def test_code_tags_of_the_checkout_serve_chat_messages() -> None:
    prompt = prompts.load("generic/math", code_tags="nemo_skills:signs")
    assert (prompt.template, prompt.values["code_begin"]) == (None, "<go>")


def test_a_question_chooses_its_examples() -> None:
    prompt = prompts.load("nemo_skills:eval/by-topic")
    assert user_of(prompt, topic="bio") == "1+1=2;3+3"
    assert user_of(prompt, topic="law").endswith("So 4.;1+1=2;3+3")
    with pytest.raises(DataError, match="no examples `few_art`"):
        user_of(prompt, topic="art")


def test_examples_of_the_checkout_serve_a_prompt_of_ones_own(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("user: '{examples}{problem}'\nfew_shot_examples:\n  template: '{problem}->{solution} '\n")
    assert user_of(prompts.load(str(path), examples_type="nemo_skills:plain")) == "1+1->2 3+3"


def test_what_cannot_be_read_is_said() -> None:
    with pytest.raises(UsageError, match=r"no prompt `judge/mth`, did you mean `judge/math`"):
        prompts.load("nemo_skills:judge/mth")
    with pytest.raises(UsageError, match="no examples `computed`"):
        prompts.load("nemo_skills:openmath/tir", examples_type="computed")
    with pytest.raises(UsageError, match="retrieved for each question"):
        prompts.load("nemo_skills:retrieved")
    with pytest.raises(UsageError, match=r"few_shot_examples\.template"):
        examples_of({}, "plain", None, "p.yaml")


def test_no_checkout_is_one_sentence(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    nemo_skills.use(str(tmp_path))
    with pytest.raises(UsageError, match="holds no NeMo-Skills"):
        prompts.load("nemo_skills:judge/math")
    nemo_skills.use(None)
    monkeypatch.delenv("NEMO_SKILLS_PATH")
    with pytest.raises(UsageError, match="no NeMo-Skills checkout is named") as caught:
        prompts.load("nemo_skills:judge/math")
    assert "nemo_skills_path" in (caught.value.hint or "")


def test_a_site_packages_folder_and_the_package_itself_are_found(clone: Path) -> None:
    for folder in (clone, clone / "nemo_skills"):
        nemo_skills.use(str(folder))
        assert nemo_skills.package() == clone / "nemo_skills"


def test_the_sentences_about_the_budget_come_from_the_checkout(clone: Path) -> None:
    filled, said = worded(TOLD)
    assert (filled.remaining_sentence, filled.exhausted_sentence) == ("Left: {remaining}. Use them well.", "None left.")
    assert (
        said
        == f'the model is told what is left in the words of NeMo-Skills in {clone}/nemo_skills: "Left: {{remaining}}. '
        + ('Use them well."')
    )


def test_ours_and_ones_own_sentences(tmp_path: Path) -> None:
    ours = CodeExecutionConfig()
    filled, said = worded(CodeExecutionConfig(add_remaining_code_executions=True, sentences="ns_eval"))
    assert filled.remaining_sentence == ours.remaining_sentence and "words of ns-eval" in said
    path = tmp_path / "words.yaml"
    path.write_text("remaining: '{remaining} to go'\nexhausted: over\n")
    filled, said = worded(CodeExecutionConfig(add_remaining_code_executions=True, sentences=str(path)))
    assert (filled.remaining_sentence, filled.exhausted_sentence) == ("{remaining} to go", "over")
    assert str(path) in said
    filled, _ = worded(CodeExecutionConfig(add_remaining_code_executions=True, exhausted_sentence="Stop."))
    assert filled.exhausted_sentence == "Stop."


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("remaining: '{left} left'\nexhausted: x\n", "cannot be filled"),
        ("remaining: x\n", "`exhausted:` with a text is missing"),
    ],
)
def test_a_file_of_sentences_that_is_none(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "words.yaml"
    path.write_text(content)
    with pytest.raises(UsageError, match=message):
        worded(CodeExecutionConfig(sentences=str(path)))
    with pytest.raises(UsageError, match="neither ns_eval nor nemo_skills nor a file"):
        worded(CodeExecutionConfig(sentences=str(tmp_path / "none.yaml")))


def test_a_checkout_whose_sentences_moved_says_so(tmp_path: Path) -> None:
    moved = checkout(tmp_path)
    (moved / "nemo_skills/code_execution/utils.py").write_text("x = 1\n")
    nemo_skills.use(str(moved))
    with pytest.raises(UsageError, match="are not found there"):
        worded(TOLD)


@pytest.mark.parametrize("words", [["eval", "--dry_run"], ["check", "--login_only"]])
def test_plan_and_check_say_whose_words_are_in_use(clone: Path, tmp_path: Path, words: list[str]) -> None:
    told = ns(
        *words, "--model=tinymath", "--benchmarks=arithmetic:1", "--output_dir=out", "++code_execution=true",
        "++sandbox.preload=[]",
        "++prompt_template=openmath-instruct", "++prompt_config=nemo_skills:openmath/tir", f"++nemo_skills_path={clone}",
        "++server.code_execution.add_remaining_code_executions=true", cwd=tmp_path, env={"NEMO_SKILLS_PATH": ""},
    )  # fmt: skip
    said = "up to 8 executions an answer, 10 s each; the model is told what is left in the words of NeMo-Skills"
    assert said in told.stdout
    assert ("At most 8 times." in told.stdout) == ("--dry_run" in words)
