"""What is on disk is never asked again, never doubled, never torn."""

from __future__ import annotations

from pathlib import Path

import pytest

from ns_eval.errors import DataError, UsageError
from ns_eval.records import Generation, Question, Sample, Status, Verdict, read_jsonl, sample_from_row
from ns_eval.rundir import Expected, SeedFile, expect, output_name, set_aside

NAMES = ["q0", "q1", "q2"]


def sample(name: str, status: Status = "ok", text: str = "\\boxed{1}") -> Sample:
    error = "500 after 6 attempts" if status == "error" else None
    verdicts = () if error else (Verdict("symbolic", True, answer="1", extracted="1", comment="integers"),)
    generation = Generation("" if error else text, completion_tokens=7, finish_reason="stop", error=error)
    return Sample(Question(name, "What?", "1", subset="s", meta={"level": 3}), 0, status, generation, verdicts)


def test_a_row_gives_the_sample_back(tmp_path: Path) -> None:
    written = sample("q0")
    file = SeedFile(tmp_path, 0)
    file.append(written)
    file.finish(["q0"])
    (row,) = [row for _, row in read_jsonl(tmp_path / "output-rs0.jsonl")]
    assert sample_from_row(row) == written
    assert row["symbolic_correct"] is True
    assert row["predicted_answer"] == "1"
    assert row["num_generated_tokens"] == 7
    assert row["subset_for_metrics"] == "s"


def test_finished_files_are_in_dataset_order(tmp_path: Path) -> None:
    file = SeedFile(tmp_path, 0)
    for name in ("q2", "q0", "q1"):
        file.append(sample(name))
    file.finish(NAMES)
    assert [row["id"] for _, row in read_jsonl(file.path)] == NAMES
    assert file.done_marker.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["output-rs0.jsonl", "output-rs0.jsonl.done"]


@pytest.mark.parametrize("cut", [1, 10, 200])
def test_a_torn_tail_is_cut_and_asked_again(tmp_path: Path, cut: int) -> None:
    file = SeedFile(tmp_path, 0)
    file.append(sample("q0"))
    file.append(sample("q1", text="long " * 50_000))
    file.close()
    torn = tmp_path / "output-rs0.jsonl-async"
    torn.write_bytes(torn.read_bytes()[:-cut])

    again = SeedFile(tmp_path, 0)
    again.read()
    assert again.left(NAMES) == ["q1", "q2"]
    for name in ("q1", "q2"):
        again.append(sample(name))
    again.finish(NAMES)
    assert [row["id"] for _, row in read_jsonl(again.path)] == NAMES


def test_a_file_that_is_one_torn_line_starts_empty(tmp_path: Path) -> None:
    (tmp_path / "output-rs0.jsonl-async").write_bytes(b'{"id": "q0", "gen')
    file = SeedFile(tmp_path, 0)
    file.read()
    assert file.left(NAMES) == NAMES


def test_errors_are_asked_again_and_replaced(tmp_path: Path) -> None:
    file = SeedFile(tmp_path, 0)
    for name, status in zip(NAMES, ("ok", "error", "truncated"), strict=True):
        file.append(sample(name, status))  # type: ignore[arg-type]  # zip forgets the literals
    file.finish(NAMES)
    assert not file.done_marker.exists()

    again = SeedFile(tmp_path, 0)
    again.read()
    assert again.left(NAMES) == ["q1"]
    again.append(sample("q1"))
    again.finish(NAMES)
    rows = [row for _, row in read_jsonl(again.path)]
    assert [row["status"] for row in rows] == ["ok", "ok", "truncated"]
    assert again.done_marker.exists()


def test_a_kill_between_renaming_and_removing_doubles_nothing(tmp_path: Path) -> None:
    file = SeedFile(tmp_path, 0)
    for name in NAMES:
        file.append(sample(name))
    file.close()
    unfinished = tmp_path / "output-rs0.jsonl-async"
    (tmp_path / "output-rs0.jsonl").write_bytes(unfinished.read_bytes())
    again = SeedFile(tmp_path, 0)
    again.read()
    assert again.left(NAMES) == []
    again.finish(NAMES)
    assert [row["id"] for _, row in read_jsonl(again.path)] == NAMES
    assert not unfinished.exists()


def test_questions_that_are_not_asked_now_stay(tmp_path: Path) -> None:
    file = SeedFile(tmp_path, 0)
    for name in NAMES:
        file.append(sample(name))
    file.finish(NAMES)
    fewer = SeedFile(tmp_path, 0)
    fewer.read()
    assert fewer.left(NAMES[:1]) == []
    fewer.finish(NAMES[:1])
    assert [row["id"] for _, row in read_jsonl(file.path)] == NAMES


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    (tmp_path / "output-rs0.jsonl").write_bytes(b'{"id":"q0"}\nnonsense\n{"id":"q2"}\n')
    with pytest.raises(DataError, match=r"output-rs0\.jsonl:2"):
        SeedFile(tmp_path, 0).read()


def expected(seeds: tuple[int | None, ...], temperature: float) -> Expected:
    return Expected("b", 3, seeds, "math", {"inference.temperature": temperature}, {"_target_": "x"})


def test_more_seeds_are_added_and_other_settings_refused(tmp_path: Path) -> None:
    expect(tmp_path, expected((0, 1), 0.6))
    SeedFile(tmp_path, 0).append(sample("q0"))
    expect(tmp_path, expected((2, None), 0.6))
    with pytest.raises(UsageError, match=r"`inference\.temperature` was `0\.6`, is `0\.7`"):
        expect(tmp_path, expected((0,), 0.7))
    expect(tmp_path, expected((0,), 0.7), force=True)


def test_other_settings_are_fine_while_there_is_no_answer(tmp_path: Path) -> None:
    expect(tmp_path, expected((0,), 0.6))
    expect(tmp_path, expected((0,), 0.7))


def test_rerun_moves_what_is_there_aside(tmp_path: Path) -> None:
    folder = tmp_path / "b"
    SeedFile(folder, 0).append(sample("q0"))
    set_aside(folder)
    SeedFile(folder, 0).append(sample("q0"))
    set_aside(folder)
    assert not folder.exists()
    assert len(list(tmp_path.iterdir())) == 2


def test_names_are_the_parents() -> None:
    assert (output_name(None), output_name(3)) == ("output.jsonl", "output-rs3.jsonl")
