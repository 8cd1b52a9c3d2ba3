"""`ns regrade` replaces verdicts and nothing else, keeps the old ones, and says what turned."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from judges.regrade import RegradeConfig, main, regrade
from ns_eval.errors import DataError
from ns_eval.records import Generation, Question, Sample, Verdict, loads, sample_row, write_jsonl


def sample(number: int, text: str, *, correct: bool, seed: int = 0) -> Sample:
    verdict = Verdict("symbolic", correct, answer="old", extracted="old")
    question = Question(f"q{number}", "What is half?", expected_answer="1/2", meta={"topic": "halves"})
    return Sample(question, seed, "ok", Generation(text, completion_tokens=7), (verdict, Verdict("model", True)))


@pytest.fixture
def run(tmp_path: Path) -> Path:
    folder = tmp_path / "eval-results" / "halves"
    folder.mkdir(parents=True)
    rows = [
        sample(0, r"it is \boxed{0.5}", correct=False),
        sample(1, r"it is \boxed{2}", correct=False),
        sample(2, "no idea, so I stop here and leave it\nto you", correct=True),
    ]
    write_jsonl(folder / "output-rs0.jsonl", map(sample_row, rows))
    write_jsonl(folder / "output-rs1.jsonl", [sample_row(sample(0, r"\boxed{\frac{2}{4}}", correct=True, seed=1))])
    return tmp_path


def rows_of(path: Path) -> list[dict[str, object]]:
    return [loads(line) for line in path.read_bytes().splitlines()]


def test_the_score_moves_and_the_turned_pairs_are_named(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(RegradeConfig(str(run), workers=1)) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "halves: 50.00% -> 50.00%, 2 of 4 verdicts turned, 0 unjudged"
    assert lines[1] == "  wrong -> right  '1/2' | '0.5'  (exact form; q0 -rs0)"
    assert lines[2] == "  right -> wrong  '1/2' | -  (no answer; q2 -rs0)"


def test_generations_other_judges_and_columns_stay_as_they_are(run: Path) -> None:
    before = rows_of(run / "eval-results/halves/output-rs0.jsonl")
    regrade(RegradeConfig(str(run), workers=1))
    after = rows_of(run / "eval-results/halves/output-rs0.jsonl")
    changing = {"symbolic_correct", "predicted_answer", "verdicts", "status"}
    for old, new in zip(before, after, strict=True):
        assert {k: v for k, v in old.items() if k not in changing} == {k: v for k, v in new.items() if k not in changing}
        assert new["model_correct"] is True
    assert [row["symbolic_correct"] for row in after] == [True, False, False]
    assert [row["status"] for row in after] == ["ok", "ok", "no_answer"]


def test_old_grades_are_kept_under_the_grader_that_gave_them(run: Path) -> None:
    regrade(RegradeConfig(str(run), workers=1))
    regrade(RegradeConfig(str(run), workers=1, judge_options={"percent": "value"}))
    folder = run / "eval-results/halves"
    kept = rows_of(folder / "grades-original.jsonl")
    assert [(row["id"], row["seed"]) for row in kept] == [("q0", 0), ("q1", 0), ("q2", 0), ("q0", 1)]
    assert kept[0]["verdicts"]["symbolic"]["correct"] is False  # type: ignore[index]  # JSON
    assert len(list(folder.glob("grades-symbolic-*.jsonl"))) == 1
    assert json.loads((folder / "grader.json").read_text())["judge"]["percent"] == "value"


def test_a_dry_run_writes_nothing(run: Path) -> None:
    before = {path: path.read_bytes() for path in run.rglob("*.jsonl")}
    assert len(regrade(RegradeConfig(str(run), workers=1, dry_run=True)).benchmarks[0].flips) == 2
    assert {path: path.read_bytes() for path in run.rglob("*.json*")} == before


def test_a_folder_without_results_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no finished results under eval-results/"):
        regrade(RegradeConfig(str(tmp_path)))
