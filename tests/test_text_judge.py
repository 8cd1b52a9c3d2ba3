"""The text judge gives the numbers of the libraries that it names, and its scores reach the table as they are."""

from __future__ import annotations

import asyncio
import json
import random
from pathlib import Path
from typing import Any

import pytest

from judges.overlap import longest_common_subsequence, normalised
from judges.text import TextJudge
from ns_eval import benchmarks, prompts
from ns_eval.errors import UsageError
from ns_eval.grading import Grader
from ns_eval.loop import status_of
from ns_eval.records import Generation, Question, Sample, Sampling, Verdict
from tests.commands import ns
from tests.paths import SHARED, needs_shared
from tests.runs_on_disk import output_file

PAIRS = SHARED / "data" / "text_metrics"
TYPES = ("rouge1", "rouge2", "rougeL", "rougeLsum")


@needs_shared
@pytest.mark.parametrize("stemmed", [True, False])
@pytest.mark.parametrize("file", ["pubmedqa_pairs", "edge_cases"])
def test_every_score_is_that_of_its_library(file: str, stemmed: bool) -> None:
    judge = TextJudge(rouge_types=TYPES, use_stemmer=stemmed)
    for line in (PAIRS / f"{file}.jsonl").read_text().splitlines():
        row = json.loads(line)
        found = judge.measure(row["prediction"], [row["reference"]]).scores
        wanted = {name: row[name] for name in ("exact_match", "f1")}
        wanted |= {name: row[f"{name}_{'stem' if stemmed else 'nostem'}"][2] for name in TYPES}
        wanted |= {"bleu": row["sentence_bleu"] / 100, "chrf": row["chrf"] / 100}
        assert found == pytest.approx(wanted, abs=1e-9), row["id"]


def test_the_longest_common_subsequence_is_that_of_the_table() -> None:
    from rouge_score.rouge_scorer import _lcs_table

    draw = random.Random(0)
    for _ in range(300):
        a, b = ([draw.choice("abcd") for _ in range(draw.randrange(90))] for _ in range(2))
        assert longest_common_subsequence(a, b) == _lcs_table(a, b)[-1][-1]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("The cat, a dog; an owl", "cat dog owl"),
        ("There is a-the problem", "there is athe problem"),  # punctuation goes before articles
        ("naïve CAFÉ", "naïve café"),
        ("利率上升!", "利率上升"),
        ("🙂 ok", "🙂 ok"),
        ("", ""),
    ],
)
def test_texts_are_normalised_as_squad_does_it(text: str, wanted: str) -> None:
    assert normalised(text) == wanted


@pytest.mark.parametrize(
    "text", ["Bonds fall when rates rise by one point.", "利率上升会压低债券价格", "🙂🙂 great news, all of it"]
)
def test_the_reference_itself_has_the_highest_score(text: str) -> None:
    found = TextJudge().measure(text, ["something else", text]).scores
    silent = {"rouge1", "rouge2", "rougeL"} if not text.isascii() and "great" not in text else set()  # it drops non-ASCII
    assert {name: value for name, value in found.items() if name not in silent} == pytest.approx(
        {name: 1.0 for name in found if name not in silent}
    )


def test_the_order_of_words_changes_neither_f1_nor_unigrams() -> None:
    words = ["rates", "rise", "so", "the", "prices", "of", "bonds", "that", "pay", "less", "must", "fall"]
    shuffled = random.Random(1).sample(words, len(words))
    judge, reference = TextJudge(), ["prices fall when rates rise"]
    first, second = (judge.measure(" ".join(order), reference).scores for order in (words, shuffled))
    assert (first["f1"], first["rouge1"]) == (second["f1"], second["rouge1"])
    assert first["rouge2"] != second["rouge2"]


def graded(judge: dict[str, Any], question: Question, text: str) -> Verdict:
    async def once() -> Verdict:
        async with Grader({"_target_": "judges.text.TextJudge", **judge}, workers=1) as grader:
            return await grader.grade(question, Generation(text))

    return asyncio.run(once())


def test_a_worker_grades_what_stands_behind_the_thinking() -> None:
    verdict = graded({"metrics": ["f1"]}, Question("q", "?", "cash"), "<think>shares</think> Cash.")
    assert (verdict.correct, verdict.scores, verdict.extracted, verdict.error) == (None, {"f1": 1.0}, "Cash.", None)


def test_the_best_of_several_references_counts() -> None:
    question = Question("q", "?", "cash", meta={"correct_answers": ["bonds", "some shares"]})
    judge = TextJudge(metrics=["f1", "exact_match"], references="correct_answers")
    assert judge.grade(question, Generation("Some shares")).scores == {"f1": 1.0, "exact_match": 1.0}


def test_an_empty_answer_is_an_attempt_and_a_missing_reference_is_not_judged() -> None:
    judge = TextJudge(metrics=["f1"])
    silent = judge.grade(Question("q", "?", "cash"), Generation("<think>hm"))
    assert (silent.scores, status_of(Generation(""), [silent])) == ({"f1": 0.0}, "no_answer")
    unknown = judge.grade(Question("q", "?", " "), Generation("cash"))
    assert unknown.scores == {} and unknown.error == "the question has no reference in `expected_answer`"


def test_an_answer_of_100_000_words_is_scored() -> None:
    long = " ".join(f"word{number % 5000} and the" for number in range(33_334))
    found = TextJudge(metrics=["f1", "rouge"]).measure(long, ["word12 and some more"]).scores
    assert 0 < found["rougeL"] < 1e-4


def test_a_table_of_scores_alone_is_complete(tmp_path: Path) -> None:
    judge = TextJudge(metrics=["f1"])
    folder = tmp_path / "eval-results" / "finance"
    samples = []
    for number, answer in enumerate(["cash and bonds", "cash", "shares"]):
        question = Question(f"q{number}", f"What {number}?", "cash and bonds")
        generation = Generation(answer, finish_reason="stop", completion_tokens=3)
        verdicts = (judge.grade(question, generation),)
        samples.append(Sample(question, None, status_of(generation, verdicts), generation, verdicts))
    output_file(folder, None, samples)
    shown = ns("summarize_results", tmp_path, cwd=tmp_path).stdout
    assert "score_f1" in shown and "text_correct" not in shown
    assert "50.00%" in shown  # (1 + 1/2 + 0) / 3
    assert "100.00%" in shown  # the coverage


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"metrics": ["rogue"]}, "unknown metric `rogue`, did you mean `rouge`?"),
        ({"rouge_types": ["rouge-l"]}, "unknown type `rouge-l`, did you mean"),
    ],
)
def test_an_unknown_metric_is_refused_with_the_nearest_name(options: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        TextJudge(**options)


def test_fiqa_is_asked_in_the_words_of_its_training() -> None:
    benchmark = benchmarks.find("fiqa")
    asked = prompts.request(prompts.load(benchmark.prompt), Question("q", "Is cash king?"), None, Sampling())
    assert asked.messages == (
        {
            "role": "system",
            "content": "You are a helpful financial assistant. Provide comprehensive, detailed answers to financial "
            "questions. Include relevant context, examples, and explanations when appropriate.",
        },
        {"role": "user", "content": "Question: Is cash king?\n\nAnswer:"},
    )
