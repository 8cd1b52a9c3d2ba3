"""The small table holds what the output files say, whoever wrote them, or says which line it cannot read."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from ns_eval.errors import DataError
from ns_eval.records import Sample
from ns_eval.scores import Meta, Scores, answer_classes, build, load, read, row, table, write
from tests.runs_on_disk import expected, output_file, sample


def two_seeds(folder: Path) -> list[Sample]:
    samples = [
        sample("a", 0, "1", True, tokens=10, subset="s"),
        sample("b", 0, None, False, tokens=20),
        sample("a", 1, "2/2", True, tokens=30, subset="s"),
        sample("b", 1, "7", False, tokens=40, status="truncated"),
    ]
    for seed in (0, 1):
        output_file(folder, seed, [item for item in samples if item.seed == seed])
    return samples


def foreign(folder: Path, name: str, rows: list[dict[str, object]]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("".join(json.dumps(item) + "\n" for item in rows))
    return path


def test_the_files_give_the_rows_that_grading_gave(tmp_path: Path) -> None:
    samples = two_seeds(tmp_path)
    assert build(tmp_path).table.equals(table(row(item) for item in samples))


def test_a_row_holds_every_column_of_the_contract(tmp_path: Path) -> None:
    two_seeds(tmp_path)
    rows = build(tmp_path).table.to_pylist()
    assert [(item["question_id"], item["seed"]) for item in rows] == [("a", 0), ("a", 1), ("b", 0), ("b", 1)]
    last = rows[3]
    assert last["question_hash"] == rows[2]["question_hash"] != rows[0]["question_hash"]
    del last["question_hash"]
    assert last == {
        "question_id": "b",
        "subset": None,
        "cluster": None,
        "seed": 1,
        "status": "truncated",
        "answer": "7",
        "answer_class": 0,
        "symbolic_correct": False,
        "prompt_tokens": 10,
        "completion_tokens": 40,
        "finish_reason": "length",
        "seconds": 0.0,
        "attempts": 1,
        "tier": None,
        "chance": None,
    }


def test_equal_answers_are_one_class_and_the_judge_is_asked_once_a_pair() -> None:
    asked = []

    def same(a: str, b: str) -> bool:
        asked.append((a, b))
        return {a, b} <= {"1/2", "0.5"}

    assert answer_classes(["1/2", None, "0.5", "3", "1/2", "0.5"], same) == [0, None, 0, 1, 0, 0]
    assert asked == [("0.5", "1/2"), ("3", "1/2")]
    assert answer_classes(["1/2", "0.5"]) == [0, 1]


def test_the_table_on_disk_is_used_until_an_output_file_changes(tmp_path: Path) -> None:
    two_seeds(tmp_path)
    load(tmp_path)
    made = (tmp_path / "scores.parquet").stat().st_mtime_ns
    load(tmp_path)
    assert (tmp_path / "scores.parquet").stat().st_mtime_ns == made
    output_file(tmp_path, 1, [sample("a", 1, "9", False, subset="s"), sample("b", 1, "9", False)])
    os.utime(tmp_path / "output-rs1.jsonl", ns=(made + 10**9, made + 10**9))
    assert load(tmp_path).table.to_pylist()[1]["answer"] == "9"


def test_the_table_alone_is_enough(tmp_path: Path) -> None:
    two_seeds(tmp_path)
    kept = load(tmp_path)
    for path in tmp_path.glob("output*"):
        path.unlink()
    assert load(tmp_path).table.equals(kept.table)


def test_a_table_that_is_broken_is_made_again(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    two_seeds(tmp_path)
    (tmp_path / "scores.parquet").write_bytes(b"PAR1 not really")
    assert load(tmp_path).table.num_rows == 4
    assert "made again" in caplog.text


def test_what_was_expected_comes_from_the_engine(tmp_path: Path) -> None:
    two_seeds(tmp_path)
    expected(tmp_path, 3, [0, 1, 2], upstream_rows=4)
    meta = load(tmp_path).meta
    assert (meta.questions_expected, meta.seeds, meta.upstream_rows) == (3, (0, 1, 2), 4)
    expected(tmp_path, 5, [0])
    assert load(tmp_path).meta.questions_expected == 5


def test_the_file_keeps_everything(tmp_path: Path) -> None:
    found = Scores(table([row(sample("ä", None, "½", True, scores={"bleu": 0.25}))]), Meta("b", seeds=(None,), notes=("x",)))
    write(tmp_path / "scores.parquet", found)
    again = read(tmp_path / "scores.parquet")
    assert again.meta == found.meta
    assert again.table.equals(found.table)
    assert again.table["score_bleu"].to_pylist() == [0.25]


def test_in_progress_the_last_line_of_a_question_wins_and_a_torn_tail_is_left(tmp_path: Path) -> None:
    first = [sample("a", 0, None, None, status="error"), sample("b", 0, "1", True), sample("a", 0, "1", True)]
    path = output_file(tmp_path, 0, first, "-async")
    path.write_bytes(
        path.read_bytes() + b'{"generation":"so',
    )
    rows = build(tmp_path).table.to_pylist()
    assert [(item["question_id"], item["status"]) for item in rows] == [("a", "ok"), ("b", "ok")]


def test_lines_in_progress_replace_those_of_the_finished_file(tmp_path: Path) -> None:
    output_file(tmp_path, 0, [sample("a", 0, None, None, status="error"), sample("b", 0, "1", True)])
    output_file(tmp_path, 0, [sample("a", 0, "1", True)], "-async")
    assert [item["status"] for item in build(tmp_path).table.to_pylist()] == ["ok", "ok"]


@pytest.mark.parametrize("reasoning", [None, 'He said \\"x\\", "seed":3 and "finish_reason":', "ü" * 3000])
@pytest.mark.parametrize("text", ["plain", 'a ","seed":7,"status":"error" trap', "tail backslash \\", "", "x" * (3 << 20)])
def test_no_text_of_a_model_is_taken_for_a_column(tmp_path: Path, text: str, reasoning: str | None) -> None:
    samples = [sample(f"q{at}", 3, "1", True, text=text, reasoning=reasoning, tokens=at) for at in range(3)]
    output_file(tmp_path, 3, samples)
    assert build(tmp_path).table.equals(table(row(item) for item in samples))


def test_a_nested_column_of_the_question_is_not_taken_for_one_of_the_answer(tmp_path: Path) -> None:
    item = sample("a", 3, "1", True)
    line = json.loads(output_file(tmp_path, 3, [item]).read_text())
    line["source"] = {"by": "x", "seed": 9, "status": "error", "finish_reason": "no", "num_generated_tokens": 1}
    (tmp_path / "output-rs3.jsonl").write_text(json.dumps(line, separators=(",", ":")) + "\n")
    assert build(tmp_path).table.equals(table([row(item)]))


def test_nemo_skills_files_of_both_eras_are_read(tmp_path: Path) -> None:
    old = {"generation": "g", "predicted_answer": "4", "problem": "2+2", "expected_answer": "4", "id": "x"}
    foreign(tmp_path, "output-rs0.jsonl", [{**old, "is_correct": True, "judgement": "Reasoning: no.\nJudgement: No"}])
    foreign(tmp_path, "output-rs1.jsonl", [{**old, "symbolic_correct": False, "judgement": "Judgement: **Yes**."}])
    foreign(tmp_path, "output-rs2.jsonl", [{**old, "symbolic_correct": False, "judgement": "cut off befo"}])
    foreign(
        tmp_path, "output.jsonl", [{**old, "predicted_answer": None, "symbolic_correct": False, "finish_reason": "length"}]
    )
    found = build(tmp_path).table
    assert found["seed"].to_pylist() == [None, 0, 1, 2]
    assert found["symbolic_correct"].to_pylist() == [False, True, False, False]
    assert found["judge_correct"].to_pylist() == [None, False, True, None]
    assert found["status"].to_pylist() == ["truncated", "ok", "ok", "ok"]


def test_rows_without_ids_are_matched_by_their_line(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"problem": f"p{at}", "expected_answer": 1, "is_correct": True} for at in range(3)]
    foreign(tmp_path, "output-rs0.jsonl", rows)
    foreign(tmp_path, "output-rs1.jsonl", rows)
    assert len(set(build(tmp_path).table["question_id"].to_pylist())) == 3
    foreign(tmp_path, "output-rs1.jsonl", rows[:2])
    with pytest.raises(DataError, match=r"output-rs1\.jsonl: 2 rows, another file of this folder has 3"):
        build(tmp_path)


def test_chunks_that_were_never_merged_are_one_seed(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [{"problem": f"p{at}", "is_correct": at < 2} for at in range(5)]
    foreign(tmp_path, "output-rs0_chunk_0.jsonl", rows[:3])
    foreign(tmp_path, "output-rs0_chunk_1.jsonl", rows[3:])
    found = build(tmp_path)
    assert found.meta.seeds == (0,)
    assert found.table["symbolic_correct"].to_pylist() == [True, True, False, False, False]
    (tmp_path / "output-rs0_chunk_0.jsonl").unlink()
    with pytest.raises(DataError, match=r"chunk 0 before it is not: 1 of 2"):
        build(tmp_path)


def test_a_prompt_too_long_is_the_models_limit_and_another_failure_is_not(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {"id": 1, "generation": "", "error": "context_window_exceeded", "predicted_answer": None, "symbolic_correct": False},
        {"id": 2, "generation": "", "error": "timeout", "predicted_answer": None, "symbolic_correct": False},
    ]
    foreign(tmp_path, "output.jsonl", rows)
    assert build(tmp_path).table["status"].to_pylist() == ["truncated", "error"]


@pytest.mark.parametrize(
    ("content", "complaint"),
    [
        (b'{"id": 1, "is_correct": true}\n{"id": 2, "is_corr', r"output\.jsonl:2: .*the line is cut"),
        (b'{"id": 1, "is_correct": true}\n{"id": 2, "reward_model_score": NaN}\n', r"output\.jsonl:2: a score is NaN"),
        (b'{"id": 1, "is_correct": "yes"}\n', r"output\.jsonl:1: .*is_correct"),
        (b"hello\n", r"output\.jsonl:1: not an output line"),
        (b'{"id": 1}\n{"id": 1}\n', r"output\.jsonl:2: question `1` stands in this seed twice"),
        (b"", r"its 1 output files are empty"),
    ],
)
def test_a_broken_file_is_refused_by_name_and_line(tmp_path: Path, content: bytes, complaint: str) -> None:
    (tmp_path / "output.jsonl").write_bytes(content)
    with pytest.raises(DataError, match=complaint):
        build(tmp_path)


def test_files_of_two_data_sets_in_one_folder_are_refused(tmp_path: Path) -> None:
    foreign(tmp_path, "output-rs0.jsonl", [{"id": 1, "problem": "one", "is_correct": True}])
    foreign(tmp_path, "output-rs1.jsonl", [{"id": 1, "problem": "another", "is_correct": True}])
    with pytest.raises(DataError, match=r"output-rs1\.jsonl:1: question `1` reads otherwise"):
        build(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no output"):
        build(tmp_path)


def test_a_folder_that_cannot_be_written_is_still_read(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    two_seeds(tmp_path)
    (tmp_path / "scores.parquet").mkdir()
    assert load(tmp_path).table.num_rows == 4
    assert "cannot be kept" in caplog.text
