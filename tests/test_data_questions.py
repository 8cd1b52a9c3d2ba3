"""Loading a prepared file: what it gives, and how a wrong one is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ns_eval import benchmarks, questions
from ns_eval.config import BenchmarkConfig
from ns_eval.errors import DataError

BENCHMARK = BenchmarkConfig(name="sums", needs=["expected_answer"])


def row(number: int) -> dict[str, Any]:
    return {"id": f"sums-{number}", "problem": f"{number} + 1?", "expected_answer": str(number + 1), "level": number % 3}


def written(folder: Path, rows: list[dict[str, Any] | str]) -> Path:
    path = folder / "sums" / "test.jsonl"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join((item if isinstance(item, str) else json.dumps(item)) + "\n" for item in rows))
    return path


def test_questions_come_in_the_order_of_the_file_with_their_further_columns(tmp_path: Path) -> None:
    path = written(tmp_path, [row(number) for number in range(20)])
    loaded = questions.load(BENCHMARK, "test", tmp_path)
    assert [question.id for question in loaded.questions] == [f"sums-{number}" for number in range(20)]
    assert loaded.questions[7].meta == {"level": 1}
    assert (loaded.path, loaded.rows, loaded.upstream_rows) == (path, 20, None)


def test_the_origin_record_says_how_many_there_are_upstream(tmp_path: Path) -> None:
    path = written(tmp_path, [row(0)])
    path.with_name("test.origin.json").write_text('{"upstream_rows": 1319}')
    assert questions.load(BENCHMARK, "test", tmp_path).upstream_rows == 1319


def test_the_fingerprint_follows_contents_and_not_spelling(tmp_path: Path) -> None:
    written(tmp_path, [row(0), row(1)])
    first = questions.load(BENCHMARK, "test", tmp_path).fingerprint
    written(tmp_path, [json.dumps(dict(reversed(row(0).items())), indent=None), row(1)])
    assert questions.load(BENCHMARK, "test", tmp_path).fingerprint == first
    written(tmp_path, [row(0), row(1) | {"expected_answer": "3"}])
    assert questions.load(BENCHMARK, "test", tmp_path).fingerprint != first


def test_files_without_ids_are_numbered_as_nemo_skills_leaves_them(tmp_path: Path) -> None:
    written(tmp_path, [{"problem": "1 + 1?", "expected_answer": 2}, {"problem": "1 + 2?", "expected_answer": 3}])
    loaded = questions.load(BENCHMARK, "test", tmp_path)
    assert [(item.id, item.expected_answer) for item in loaded.questions] == [("sums-0", "2"), ("sums-1", "3")]


@pytest.mark.parametrize(
    ("line_17", "message"),
    [
        ('{"id": "sums-16", "problem": "16', "test.jsonl:17: not a line of JSON"),
        ("[1, 2]", "test.jsonl:17: not a line of JSON (expected a JSON object, found list)"),
        (row(3), "test.jsonl:17: id `sums-3` stands already in line 4"),
        ({"id": "x", "problem": "y?"}, "test.jsonl:17: `expected_answer` is missing"),
        ({"id": "x", "problem": "y?", "answer": "1"}, "`expected_answer` is missing"),
        ({"id": "x", "problem": "y?", "expected_answer": ""}, "`expected_answer` is empty, and its judge needs one"),
        ({"id": "x", "expected_answer": "1"}, "test.jsonl:17: `problem` is missing"),
        ({"id": "x", "problem": "  ", "expected_answer": "1"}, "test.jsonl:17: `problem` is empty"),
        ({"id": "x", "problem": 5, "expected_answer": "1"}, "test.jsonl:17: `problem` is no text: 5"),
    ],
)
def test_a_broken_line_17_is_named_with_the_command_that_mends_it(tmp_path: Path, line_17: Any, message: str) -> None:
    written(tmp_path, [line_17 if number == 16 else row(number) for number in range(20)])
    with pytest.raises(DataError) as caught:
        questions.load(BENCHMARK, "test", tmp_path)
    assert message in caught.value.message
    assert "ns prepare_data sums" in str(caught.value.hint)


def test_what_is_not_prepared_is_refused_with_exactly_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NS_DATA_DIR", str(tmp_path))
    with pytest.raises(DataError) as caught:
        questions.load(BENCHMARK, "test", questions.data_dir())
    assert caught.value.hint == "ns prepare_data sums"
    other = tmp_path / "elsewhere"
    with pytest.raises(DataError) as caught:
        questions.load(BENCHMARK, "test", other)
    assert caught.value.hint == f"ns prepare_data sums --data_dir={other}"


def test_an_unknown_split_names_the_prepared_ones(tmp_path: Path) -> None:
    written(tmp_path, [row(0)])
    with pytest.raises(DataError, match=r"no split `tests` in .*did you mean `test`"):
        questions.load(BENCHMARK, "tests", tmp_path)


def test_the_data_folder_is_the_flag_then_either_variable_then_the_cache(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("NS_DATA_DIR", "NEMO_SKILLS_DATA_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert questions.data_dir() == tmp_path / ".cache/ns-eval/data"
    monkeypatch.setenv("NEMO_SKILLS_DATA_DIR", "/parent")
    assert questions.data_dir() == Path("/parent")
    monkeypatch.setenv("NS_DATA_DIR", "/ours")
    assert questions.data_dir() == Path("/ours")
    assert questions.data_dir("~/flag") == tmp_path / "flag"


def test_readiness_is_what_lies_on_the_disk_else_what_the_yaml_says(tmp_path: Path) -> None:
    gated = BenchmarkConfig(name="sums", status="gated")
    assert questions.readiness(gated, tmp_path) == "gated"
    written(tmp_path, [row(0)])
    assert questions.readiness(gated, tmp_path) == "prepared"
    assert questions.readiness(benchmarks.find("arithmetic"), tmp_path) == "prepared"
    assert questions.readiness(benchmarks.find("protein_function"), tmp_path) == "unavailable"


def test_what_cannot_be_run_or_must_be_brought_says_why(tmp_path: Path) -> None:
    written(tmp_path, [row(0)])
    with pytest.raises(DataError, match="sums is incompatible: it needs eyes"):
        questions.require_runnable(BenchmarkConfig(name="sums", status="incompatible", reason="it needs eyes"))
    with pytest.raises(DataError, match="no public question set of that name") as caught:
        questions.require_runnable(benchmarks.find("protein_function"))
    assert caught.value.hint == "ns show benchmarks"
    with pytest.raises(DataError, match="needs_source: register at") as caught:
        questions.load(benchmarks.find("bioasq"), "test", tmp_path)
    assert str(caught.value.hint).startswith("ns prepare_data bioasq --source=PATH")
