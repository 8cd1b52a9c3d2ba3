"""Real outputs of models, graded by our judges: the figures that others found for them."""

from __future__ import annotations

import json
import random
import zipfile
from collections.abc import Iterable

import pytest

from judges.symbolic import SymbolicJudge
from ns_eval.records import Generation, Question
from ns_eval.resources import conf_names
from tests.paths import SHARED, needs_shared

pytestmark = needs_shared
DATA = SHARED / "data"


def graded(judge: SymbolicJudge, pairs: Iterable[tuple[str, str]]) -> tuple[int, int]:
    """(right ones, those without an answer) of (gold, text)."""
    verdicts = [judge.grade(Question("1", "?", expected_answer=gold), Generation(text)) for gold, text in pairs]
    return sum(verdict.correct is True for verdict in verdicts), sum(verdict.extracted is None for verdict in verdicts)


def figures(name: str) -> dict[str, float]:
    found: dict[str, float] = json.loads((DATA / "EXPECTED.json").read_text())[name]
    return found


def test_pubmedqa_of_a_chat_model() -> None:
    truth = json.loads((DATA / "pubmedqa" / "test_ground_truth.json").read_text())
    letters = {"yes": "A", "no": "B", "maybe": "C"}
    name = "model_outputs/pubmedqa_mirage/gpt-35-turbo-16k.cot.jsonl"
    rows = [json.loads(line) for line in (DATA / name).open()]
    pairs = [(letters[truth[row["file"][len("test_") : -len(".json")]]], row["outputs"][0]) for row in rows]
    judge = SymbolicJudge(extract_from_boxed=False, extract_regex=r'answer_choice"?\s*:\s*"?\s*\(?([ABC])')
    assert graded(judge, pairs) == (figures(name)["correct"], figures(name)["no_answer"])


def test_mmlu_pro_of_a_small_model() -> None:
    """Upstream takes the first "answer is (X)" of a text."""
    name = "model_outputs/mmlu_pro_phi3mini"
    with zipfile.ZipFile(next((DATA / name).glob("*.zip"))) as archive:
        rows = json.loads(archive.read(archive.namelist()[0]))
    judge = SymbolicJudge(extract_from_boxed=False, extract_regex=r"(?s)\A.*?answer is \(?([A-J])\)?")
    right, silent = graded(judge, ((row["answer"], row["generated_text"]) for row in rows))
    assert silent == figures(name)["pred_none"]
    assert right / len(rows) == pytest.approx(figures(name)["pred_equals_answer"])


def test_chance_scores_chance() -> None:
    """Letters drawn at random out of ten, against MMLU-Pro's golds: one in ten, within four standard errors."""
    name = "model_outputs/mmlu_pro_phi3mini"
    with zipfile.ZipFile(next((DATA / name).glob("*.zip"))) as archive:
        rows = json.loads(archive.read(archive.namelist()[0]))[:4000]
    rng = random.Random(0)
    pairs = [(row["answer"], rf"\boxed{{{'ABCDEFGHIJ'[rng.randrange(10)]}}}") for row in rows]
    right, silent = graded(SymbolicJudge(), pairs)
    assert silent == 0
    assert abs(right / len(rows) - 0.1) < 4 * (0.1 * 0.9 / len(rows)) ** 0.5


def test_there_are_forty_sets_whose_loader_has_run_on_a_file_in_the_upstreams_format() -> None:
    from tests.test_data_formats import EXPECTED

    assert len(set(EXPECTED) & set(conf_names("benchmark"))) >= 40
