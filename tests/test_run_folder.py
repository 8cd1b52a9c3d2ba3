"""What is on disk is never asked again, never doubled, never torn."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from ns_eval.errors import DataError, UsageError
from ns_eval.records import Generation, Question, Sample, Status, Verdict, read_jsonl, sample_from_row
from ns_eval.rundir import Expected, expect, set_aside
from ns_eval.seed_file import SeedFile, output_name

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


def test_chunks_are_put_together_by_whoever_comes_last(tmp_path: Path) -> None:
    first, second = SeedFile(tmp_path, 0, 0), SeedFile(tmp_path, 0, 1)
    second.append(sample("q2"))
    second.finish(NAMES)
    assert [path.name for path in tmp_path.iterdir()] == ["output-rs0_chunk_1.jsonl-async"], "the other one is still open"
    for name in ("q1", "q0"):
        first.append(sample(name))
    first.finish(NAMES)
    assert [row["id"] for _, row in read_jsonl(first.path)] == NAMES
    assert sorted(path.name for path in tmp_path.iterdir()) == ["output-rs0.jsonl", "output-rs0.jsonl.done"]


def test_a_chunk_whose_neighbour_failed_leaves_its_file_and_a_whole_run_takes_it_over(tmp_path: Path) -> None:
    first, second = SeedFile(tmp_path, 0, 0), SeedFile(tmp_path, 0, 1)
    first.append(sample("q0"))
    first.append(sample("q1", "error"))
    first.finish(NAMES)
    second.append(sample("q2"))
    second.finish(NAMES)
    assert not second.path.exists(), "the other chunk's writer may be asking its question again"
    whole = SeedFile(tmp_path, 0)
    whole.read()
    assert whole.left(NAMES) == ["q1"]
    whole.append(sample("q1"))
    whole.finish(NAMES)
    assert [(row["id"], row["status"]) for _, row in read_jsonl(whole.path)] == [(name, "ok") for name in NAMES]
    assert not list(tmp_path.glob("*-async"))


def test_a_line_that_another_process_is_writing_is_not_there_yet(tmp_path: Path) -> None:
    other = SeedFile(tmp_path, 0, 1)
    other.append(sample("q1"))
    other.append(sample("q2"))
    torn = tmp_path / "output-rs0_chunk_1.jsonl-async"
    whole = torn.read_bytes()
    torn.write_bytes(whole[:-5])
    file = SeedFile(tmp_path, 0, 0)
    file.read()
    assert file.left(NAMES) == ["q0", "q2"]
    assert torn.read_bytes() == whole[:-5], "it is not ours to mend"


def test_an_answer_that_was_not_graded_is_graded_and_not_asked_again(tmp_path: Path) -> None:
    file = SeedFile(tmp_path, 0, judged=True)
    graded = sample("q0")
    file.append(graded)
    file.append(dataclasses.replace(sample("q1"), verdicts=()))
    file.close()
    again = SeedFile(tmp_path, 0, judged=True)
    again.read()
    assert (again.left(NAMES), again.unjudged(NAMES)) == (["q2"], ["q1"])
    assert again.kept("q1") == graded.generation
    assert again.kept("q0") is None
    again.append(sample("q1"))
    assert again.unjudged(NAMES) == []
    assert SeedFile(tmp_path, 0).unjudged(NAMES) == [], "nobody grades here"
