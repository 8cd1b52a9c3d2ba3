"""The shipped benchmark is what examples/tiny_model makes, and its answers are right."""

from __future__ import annotations

import collections
import hashlib
import importlib
import json
from pathlib import Path
from types import ModuleType

import pytest

from ns_eval import benchmarks, questions
from ns_eval.resources import conf_file
from ns_eval.schema import load_yaml
from tests.paths import REPO


@pytest.fixture
def example(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(str(REPO / "examples" / "tiny_model"))
    return importlib.import_module("make_benchmark")


def shipped() -> questions.Questions:
    return questions.load(benchmarks.find("arithmetic"), "test", Path("nowhere"))


def test_it_needs_no_preparation_and_has_25_questions_a_level() -> None:
    loaded = shipped()
    assert loaded.rows == loaded.upstream_rows == 100
    levels = collections.Counter(question.subset for question in loaded.questions)
    assert levels == {"level-0": 25, "level-1": 25, "level-2": 25, "level-3": 25}


def test_every_answer_is_the_value_of_its_expression_and_the_end_of_its_steps() -> None:
    for question in shipped().questions:
        value = eval(question.meta["expression"], {"__builtins__": {}})  # our own generator wrote it: digits and operators
        assert str(value) == question.expected_answer, question.id
        assert question.meta["reference_solution"].rstrip(".").endswith(f" {value}"), question.id


def test_the_origin_record_holds_the_digest_of_the_file() -> None:
    path = shipped().path
    origin = json.loads(questions.origin_file(path).read_text())
    assert origin["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()


def test_the_same_seed_writes_the_same_bytes_and_no_problem_of_the_training_stream(
    example: ModuleType, tmp_path: Path
) -> None:
    example.main(tmp_path)
    assert (tmp_path / "test.jsonl").read_bytes() == shipped().path.read_bytes()
    trained = {problem.text for problem in importlib.import_module("conversations").training_problems()}
    assert len(trained) > 90_000
    assert trained.isdisjoint(question.problem for question in shipped().questions)


def test_the_benchmark_asks_in_the_words_of_the_training(example: ModuleType) -> None:
    prompt = load_yaml(conf_file("prompt", benchmarks.find("arithmetic").prompt))
    asked = prompt["user"].format(examples="", problem="X")
    assert asked == importlib.import_module("conversations").CHAIN_OF_THOUGHT + "X"
