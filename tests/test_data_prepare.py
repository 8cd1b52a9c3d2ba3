"""`ns prepare_data` on the upstream's own files: the real ones where they are at hand, and wrong ones."""

from __future__ import annotations

import collections
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from ns_eval import benchmarks, questions, resources
from ns_eval.cli import main
from tests.paths import SHARED, needs_shared
from tests.peers.hub import Hub, serving

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NS_DATA_DIR", str(tmp_path / "data"))
    return tmp_path / "data"


def prepared(name: str, split: str = "test") -> questions.Questions:
    return questions.load(benchmarks.find(name), split, questions.data_dir())


def origin(data_dir: Path, name: str, split: str = "test") -> dict[str, Any]:
    record: dict[str, Any] = json.loads((data_dir / name / f"{split}.origin.json").read_text())
    return record


@needs_shared
def test_the_first_families_are_prepared_from_their_real_files(data_dir: Path, capsys: Capture) -> None:
    names = ["aime24", "aime25", "comp-math-24-25", "math-500", "gsm8k"]
    assert main(["prepare_data", *names, "--source", str(SHARED / "data")]) == 0
    rows = {name: prepared(name).rows for name in names}
    assert rows == {"aime24": 30, "aime25": 30, "comp-math-24-25": 256, "math-500": 200, "gsm8k": 200}
    assert prepared("gsm8k", "train").rows == 20
    subsets = collections.Counter(question.subset for question in prepared("comp-math-24-25").questions)
    assert subsets == {"aime25": 30, "aime24": 30, "hmmt-24-25": 196}
    assert "200 of 1319 questions" in capsys.readouterr().out


@needs_shared
def test_answers_are_the_upstreams_own(data_dir: Path) -> None:
    main(["prepare_data", "gsm8k", "math-500", "aime24", "--source", str(SHARED / "data")])
    gsm8k = {question.id: question.expected_answer for question in prepared("gsm8k").questions}
    assert (gsm8k["gsm8k-0"], gsm8k["gsm8k-2"]) == ("18", "70000")
    assert all(answer is not None and answer.lstrip("-").isdecimal() for answer in gsm8k.values())
    first = prepared("math-500").questions[0]
    assert (first.id, first.expected_answer) == ("test/precalculus/807.json", "\\left( 3, \\frac{\\pi}{2} \\right)")
    assert (first.meta["subject"], first.meta["level"]) == ("Precalculus", 2)
    assert "73" in {question.expected_answer for question in prepared("aime24").questions}


@needs_shared
def test_the_origin_record_says_what_was_read_and_what_came_of_it(data_dir: Path, capsys: Capture) -> None:
    source = SHARED / "data" / "gsm8k"
    main(["prepare_data", "gsm8k", "--source", str(source)])
    record = origin(data_dir, "gsm8k")
    assert record["files"] == [str(source / "test.first200.jsonl")]
    assert record["licence"] == "MIT" and record["from"] == "a local copy"
    assert (record["rows"], record["upstream_rows"], prepared("gsm8k").upstream_rows) == (200, 1319, 1319)
    assert record["sha256"] == hashlib.sha256((data_dir / "gsm8k/test.jsonl").read_bytes()).hexdigest()
    assert record["notes"] and "200 questions, 1319 were declared" in capsys.readouterr().err


@needs_shared
def test_a_single_file_goes_to_the_split_it_names(data_dir: Path) -> None:
    main(["prepare_data", "gsm8k", "--source", str(SHARED / "data/gsm8k/train.first20.jsonl")])
    assert [item.name for item in sorted((data_dir / "gsm8k").iterdir())] == ["train.jsonl", "train.origin.json"]
    assert prepared("gsm8k", "train").questions[0].id == "gsm8k-train-0"


@needs_shared
def test_preparing_twice_gives_the_same_bytes(data_dir: Path) -> None:
    for _ in range(2):
        main(["prepare_data", "comp-math-24-25", "--source", str(SHARED / "data")])
        digest = origin(data_dir, "comp-math-24-25")["sha256"]
    assert digest == hashlib.sha256((data_dir / "comp-math-24-25/test.jsonl").read_bytes()).hexdigest()
    assert digest == origin(data_dir, "comp-math-24-25")["sha256"]


def gsm8k_lines(count: int) -> list[str]:
    return [json.dumps({"question": f"{n}?", "answer": f"It is.\n#### {n}"}) for n in range(count)]


@pytest.mark.parametrize(
    ("line_17", "message"),
    [
        ("{broken", "test.jsonl:17: not a line of JSON"),
        ('{"question": "", "answer": "#### 1"}', "test.jsonl:17: `problem` is empty"),
        ('{"question": "x?", "answer": "#### "}', "test.jsonl:17: `expected_answer` is empty"),
        ('{"question": "x?", "answer": "no mark"}', "test.jsonl:17: dataset_prepare.mathematics:gsm8k cannot read this row"),
        ('{"q": "x?", "answer": "#### 1"}', "(no column 'question'); it has q, answer"),
    ],
)
def test_a_wrong_row_is_refused_by_file_and_line_and_nothing_is_written(
    tmp_path: Path, data_dir: Path, capsys: Capture, line_17: str, message: str
) -> None:
    lines = gsm8k_lines(20)
    lines[16] = line_17
    (tmp_path / "test.jsonl").write_text("\n".join(lines))
    assert main(["prepare_data", "gsm8k", "--source", str(tmp_path / "test.jsonl")]) == 3
    assert message in capsys.readouterr().err
    assert list((data_dir / "gsm8k").iterdir()) == []


def test_a_data_dir_that_cannot_be_written_is_one_sentence(tmp_path: Path, capsys: Capture) -> None:
    (tmp_path / "test.jsonl").write_text("\n".join(gsm8k_lines(3)))
    (tmp_path / "file").write_text("")
    words = ["gsm8k", "--source", str(tmp_path / "test.jsonl"), "--data_dir", str(tmp_path / "file")]
    assert main(["prepare_data", *words]) == 3
    error = capsys.readouterr().err
    assert "cannot prepare" in error and "Not a directory" in error and "choose another --data_dir" in error


def test_the_same_id_twice_names_both_places(tmp_path: Path, capsys: Capture) -> None:
    rows = [{"id": f"aime25-{n % 4}", "problem": f"{n}?", "expected_answer": "1"} for n in range(5)]
    (tmp_path / "test.txt").write_text("\n".join(json.dumps(row) for row in rows))
    assert main(["prepare_data", "aime25", "--source", str(tmp_path)]) == 3
    error = capsys.readouterr().err
    assert "test.txt:5: id `aime25-0` stands already at" in error and "test.txt:1" in error


def test_a_folder_without_the_benchmarks_files_says_what_was_looked_for(tmp_path: Path, capsys: Capture) -> None:
    assert main(["prepare_data", "gsm8k", "--source", str(tmp_path)]) == 3
    error = capsys.readouterr().err
    assert "has no file of gsm8k: looked for grade_school_math/data/test.jsonl" in error
    assert "https://github.com/openai/grade-school-math" in error


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["gsm9k"], "unknown benchmark `gsm9k`, did you mean `gsm8k`"),
        ([], "no benchmark is named"),
        (["gsm8k", "--source", "/not/there"], "--source: /not/there does not exist"),
        (["gsm8k", "--sorce", "x"], "did you mean"),
    ],
)
def test_a_wrong_command_line_is_refused(words: list[str], message: str, capsys: Capture) -> None:
    assert main(["prepare_data", *words]) == 2
    assert message in capsys.readouterr().err


def test_the_shipped_benchmark_has_nothing_to_prepare(capsys: Capture) -> None:
    assert main(["prepare_data", "arithmetic"]) == 0
    assert "nothing to prepare" in capsys.readouterr().err


@pytest.fixture
def own_conf(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(resources, "_own", [])  # a process takes hydra.searchpath once; here each test is its own
    folder = tmp_path / "conf"
    (folder / "benchmark").mkdir(parents=True)
    return folder


def own_benchmark(folder: Path, prepare: str) -> str:
    (folder / "benchmark" / "mine.yaml").write_text(f"name: mine\nneeds: [expected_answer]\nprepare:\n{prepare}")
    return f"hydra.searchpath=[file://{folder}]"


def test_files_of_a_repository_are_fetched_and_held_to_their_digest(own_conf: Path, data_dir: Path, capsys: Capture) -> None:
    content = b'{"question": "1 + 1?", "answer": 2}\n'
    digest = hashlib.sha256(content).hexdigest()
    with serving(Hub({"files": {"main": {"at/abc/test.jsonl": content}}})) as hub:
        for declared in (digest, "0" * 64):
            search = own_benchmark(
                own_conf,
                f"  {{kind: files, id: '{hub.url}/at/abc', licence: none, "
                f"splits: {{test: {{files: [test.jsonl], sha256: ['{declared}'], rows: 1}}}}, "
                "columns: {problem: question, expected_answer: answer}}\n",
            )
            code = main(["prepare_data", "mine", search])
            assert code == (0 if declared == digest else 3)
    assert prepared("mine").questions[0].expected_answer == "2"
    assert "it is not the file that was declared" in capsys.readouterr().err
    assert sorted(item.name for item in (data_dir / "mine").iterdir()) == ["test.jsonl", "test.origin.json"]


def test_a_missing_file_of_a_repository_says_which(own_conf: Path, capsys: Capture) -> None:
    with serving(Hub({})) as hub:
        search = own_benchmark(own_conf, f"  {{kind: files, id: '{hub.url}', splits: {{test: {{files: [a/test.csv]}}}}}}\n")
        assert main(["prepare_data", "mine", search]) == 3
    error = capsys.readouterr().err
    assert "/a/test.csv answered 404" in error and "--source=PATH" in error


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        ("  kind: hubb\n  splits: {test: {}}\n", "prepare.kind: `hubb`, did you mean `hub`"),
        ("  kind: local\n", "`splits` is empty"),
        ("  kind: local\n  spilts: {}\n", "unknown key `spilts`, did you mean `splits`"),
        ("  kind: local\n  splits: {test: {row: 5}}\n", "row"),
        ("  kind: local\n  splits: {test: {rows: many}}\n", "rows"),
    ],
)
def test_a_wrong_prepare_block_names_the_key(own_conf: Path, prepare: str, message: str, capsys: Capture) -> None:
    assert main(["prepare_data", "mine", own_benchmark(own_conf, prepare)]) == 2
    error = capsys.readouterr().err
    assert message in error and "mine" in error
