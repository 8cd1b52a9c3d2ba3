"""`--discover` proposes benchmarks for files it has never seen; `--validate` finds what no loader refuses."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from ns_eval import benchmarks, questions, resources
from ns_eval.cli import main
from tests.paths import SHARED, needs_shared

Capture = pytest.CaptureFixture[str]


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("NS_DATA_DIR", str(tmp_path / "prepared"))
    monkeypatch.setattr(resources, "_own", [])  # a process takes hydra.searchpath once; here each test is its own
    return tmp_path


def jsonl(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def some_data(folder: Path) -> Path:
    """Four sets in four formats, and what lies beside data and is none."""
    sums = [
        {"uid": f"s{n}", "query": f"What is {n} + {n}?", "gold": 2 * n, "topic": "easy" if n % 2 else "hard"}
        for n in range(20)
    ]
    jsonl(folder / "sums" / "train.jsonl", sums[:12])
    jsonl(folder / "sums" / "test.jsonl", sums[12:])
    options = [{"question": f"Which is {n}?", "options": [str(n), str(n + 1), "x"], "answer": "A"} for n in range(9)]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(options), folder / "letters-test-00000-of-00001.parquet")
    (folder / "exam_dev.csv").write_text('"Is it,\nquoted?",one,two,three,four,C\nAnother?,a,b,c,d,A\nThird?,e,f,g,h,B\n')
    (folder / "capitals.json").write_text(
        json.dumps([{"question": f"Capital of {n}?", "answer": f"City {n}"} for n in range(5)])
    )
    for name in ("dataset_info.json", "state.json", "results.json", "metadata.jsonl", "config.json"):
        (folder / name).write_text('{"question": "no", "answer": "data"}')
    jsonl(folder / "downloads" / "blob.jsonl", sums)
    jsonl(folder / "eval-results" / "gsm8k" / "output-rs0.jsonl", sums)
    return folder


def test_every_set_is_proposed_once_and_nothing_is_written(home: Path, capsys: Capture) -> None:
    folder = some_data(home / "data")
    before = sorted(folder.rglob("*"))
    assert main(["prepare_data", f"--discover={folder}"]) == 0
    out, err = capsys.readouterr()
    names = [line.removeprefix("name: ") for line in out.splitlines() if line.startswith("name: ")]
    assert names == ["capitals", "exam", "letters", "sums"]
    assert "problem is query (sure), expected_answer is gold (likely), id is uid (sure)" in out
    assert out.count("#   uid: ") == 3
    assert "4 data sets" in err and "nothing was written" in err
    assert sorted(folder.rglob("*")) == before


def test_what_is_proposed_can_be_prepared_as_it_is(home: Path, capsys: Capture) -> None:
    folder, conf = some_data(home / "data"), home / "conf"
    assert main(["prepare_data", f"--discover={folder}", f"--write={conf}"]) == 0
    names = ["sums", "letters", "exam", "capitals"]
    assert main(["prepare_data", *names, f"hydra.searchpath=[file://{conf}]"]) == 0, capsys.readouterr().err
    loaded = {}
    for name in names:
        benchmark = benchmarks.find(name)
        loaded[name] = questions.load(benchmark, benchmark.split, home / "prepared").questions
    assert [len(found) for found in loaded.values()] == [8, 9, 3, 5]
    assert (loaded["sums"][0].id, loaded["sums"][0].expected_answer, loaded["sums"][0].subset) == ("s12", "24", "hard")
    assert loaded["letters"][4].problem == "Which is 4?\n\nA) 4\nB) 5\nC) x"
    assert (loaded["exam"][0].expected_answer, loaded["exam"][0].meta["choices"][2]) == ("C", "three")


def test_a_yaml_that_is_there_is_not_replaced(home: Path, capsys: Capture) -> None:
    folder = jsonl(
        home / "data" / "capitals.jsonl", [{"question": "a?", "answer": "b"}, {"question": "c?", "answer": "d"}]
    ).parent
    written = home / "conf" / "benchmark" / "capitals.yaml"
    written.parent.mkdir(parents=True)
    written.write_text("mine")
    assert main(["prepare_data", f"--discover={folder}", f"--write={home / 'conf'}"]) == 3
    assert "exists already" in capsys.readouterr().err
    assert written.read_text() == "mine"


def test_a_set_named_as_a_shipped_benchmark_gets_another_name(home: Path, capsys: Capture) -> None:
    jsonl(home / "data" / "gsm8k.jsonl", [{"question": "a?", "answer": "b"}, {"question": "c?", "answer": "d"}])
    main(["prepare_data", f"--discover={home / 'data'}"])
    assert "name: gsm8k-local" in capsys.readouterr().out


def test_what_cannot_be_read_is_named_and_the_rest_goes_on(home: Path, capsys: Capture) -> None:
    folder = home / "data"
    jsonl(folder / "good.jsonl", [{"question": "a?", "answer": "b"}, {"question": "c?", "answer": "d"}])
    (folder / "broken.parquet").write_bytes(b"PAR1")
    (folder / "empty.jsonl").write_text("")
    assert main(["prepare_data", f"--discover={folder}"]) == 0
    out, err = capsys.readouterr()
    assert "name: good" in out
    assert "broken.parquet: not a Parquet file" in err and "empty.jsonl: it has no rows" in err


@needs_shared
def test_a_saved_hub_dataset_and_the_real_files_are_recognised(capsys: Capture) -> None:
    assert main(["prepare_data", f"--discover={SHARED / 'data'}"]) == 0
    out = capsys.readouterr().out
    for line in (
        "hf_on_disk/aime/aime-local: problem is problem (sure), expected_answer is answer (sure)",
        "gsm8k/gsm8k-local: problem is question (sure), expected_answer is answer (sure)",
        "arc-challenge-converted: question is query (sure), answer is gold (likely), choices is choices (sure)",
        "math-500/math-500-local: problem is problem (sure), expected_answer is answer (sure), id is unique_id (sure)",
    ):
        assert line in out, line
    assert "MANIFEST" not in out and "dataset_info" not in out


GOOD = {"id": "a", "problem": "What is two plus two?", "expected_answer": "4"}
CHOICES = {"id": "c", "problem": "Which?\n\nA) x\nB) y", "question": "Which?", "choices": ["x", "y"], "expected_answer": "B"}


@pytest.mark.parametrize(
    ("rows", "code", "line"),
    [
        ([GOOD, CHOICES], 0, "nothing found"),
        ([GOOD, GOOD | {"problem": "Other?"}], 3, "wrong: duplicate id, 1 times"),
        ([GOOD, GOOD | {"id": "b", "problem": "what is  two plus two?"}], 0, "look at: duplicate problem, 1 times"),
        ([GOOD, GOOD | {"id": "b", "problem": " "}], 3, "wrong: no problem, 1 times"),
        ([GOOD | {"expected_answer": ""}], 3, "wrong: empty answer, 1 times"),
        ([CHOICES | {"expected_answer": "C"}], 3, "`C` is none of A, B"),
        ([CHOICES | {"expected_answer": "1"}], 3, "wrong: an index for a letter, 1 times"),
        ([CHOICES | {"expected_answer": "A, B"}], 0, "nothing found"),
        ([CHOICES | {"choices": ["x", ""]}], 0, "look at: empty choice, 1 times"),
        ([GOOD | {"problem": "The cafÃ© opens?"}], 0, "look at: damaged encoding, 1 times"),
        ([GOOD | {"problem": "Itâ€™s what?"}], 0, "look at: damaged encoding, 1 times"),
        ([GOOD | {"problem": "Lost \ufffd here?"}], 0, "look at: damaged encoding, 1 times"),
        ([GOOD | {"problem": "Das Café öffnet, naïve Âpre?"}], 0, "nothing found"),
        ([GOOD | {"problem": "word " * 2000}], 0, "look at: longer than the context, 1 times"),
        ([GOOD | {"problem": "What? The answer is 4."}], 0, "look at: the problem states its answer, 1 times"),
        ([GOOD | {"problem": "What? The answer is 5."}], 0, "nothing found"),
        ([GOOD | {"problem": "Q #### 4"}], 0, "look at: the problem states its answer, 1 times"),
        (
            [GOOD | {"problem": "Name it: the Krebs cycle", "expected_answer": "the Krebs cycle"}],
            0,
            "the answer stands in the problem",
        ),
        ([{"problem": "No id?", "expected_answer": "1"}], 0, "look at: no id, 1 times"),
    ],
)
def test_each_fault_is_found_and_named(
    rows: list[dict[str, Any]], code: int, line: str, home: Path, capsys: Capture
) -> None:
    path = jsonl(home / "file.jsonl", rows)
    assert main(["prepare_data", f"--validate={path}", "--context=2000"]) == code
    out = capsys.readouterr().out
    assert line in out
    assert f"{len(rows)} rows in file.jsonl" in out


def test_a_test_problem_in_the_training_split_is_wrong(home: Path, capsys: Capture) -> None:
    jsonl(
        home / "prepared" / "gsm8k" / "train.jsonl", [GOOD | {"id": f"t{n}", "problem": f"Problem {n}?"} for n in range(9)]
    )
    jsonl(home / "prepared" / "gsm8k" / "test.jsonl", [GOOD, GOOD | {"id": "b", "problem": "problem  4?"}])
    assert main(["prepare_data", "--validate=gsm8k"]) == 3
    out = capsys.readouterr().out
    assert "wrong: test problem in training split, 1 times" in out
    assert "test.jsonl:2: also at" in out and "train.jsonl:5" in out


def test_only_three_of_many_are_shown(home: Path, capsys: Capture) -> None:
    path = jsonl(home / "file.jsonl", [GOOD | {"problem": f"{n}?"} for n in range(9)])
    main(["prepare_data", f"--validate={path}"])
    assert "and 5 more" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["--validate=gsm8k"], 3, "gsm8k is not prepared"),
        (["--validate=gsm9k"], 2, "unknown benchmark `gsm9k`"),
        (["--validate=no/such.jsonl"], 3, "there is no file no/such.jsonl"),
        (["--discover=/not/there"], 2, "--discover: /not/there is not a folder"),
    ],
)
def test_what_is_not_there_is_refused(words: list[str], code: int, message: str, capsys: Capture) -> None:
    assert main(["prepare_data", *words]) == code
    assert message in capsys.readouterr().err


def test_the_shipped_benchmark_is_sound(capsys: Capture) -> None:
    assert main(["prepare_data", "--validate=arithmetic"]) == 0
    assert "nothing found" in capsys.readouterr().out


@needs_shared
def test_the_real_files_are_read_without_damage(home: Path, capsys: Capture) -> None:
    shutil.copytree(SHARED / "data" / "gsm8k", home / "gsm8k")
    assert main(["prepare_data", "gsm8k", "comp-math-24-25", "--source", str(SHARED / "data")]) == 0
    assert main(["prepare_data", "--validate=gsm8k,comp-math-24-25"]) == 0
    assert capsys.readouterr().out.count("nothing found") == 2
