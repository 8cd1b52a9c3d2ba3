"""`ns generate`: rows of any file are answered, outputs of a run are judged, and no call is made that nobody needs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.commands import ns
from tests.peers.simulated import simulated


def read(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_every_row_is_answered_with_its_own_columns(tmp_path: Path) -> None:
    write(tmp_path / "rows.jsonl", [{"topic": f"t{i}", "n": i} for i in range(5)])
    (tmp_path / "mine.yaml").write_text("user: 'Write about {topic} in {n} words.'\n")
    with simulated("--fixed-latency-ms", "1") as engine:
        argv = ["--model=sim", "--server_type=openai", f"--server_address={engine.url}/v1", "--input_file=rows.jsonl"]
        ns("generate", *argv, "--prompt_config=mine.yaml", "--output_dir=out", "--random_seeds=0,3", cwd=tmp_path)
        assert engine.stats()["answered"] == 11  # ten samples and the probe
        ns("generate", *argv, "--prompt_config=mine.yaml", "--output_dir=out", "--num_random_seeds=4", cwd=tmp_path)
        assert engine.stats()["answered"] == 22
    found = read(tmp_path / "out" / "output-rs3.jsonl")
    assert [(row["id"], row["topic"], row["n"], row["status"]) for row in found] == [
        (str(i), f"t{i}", i, "ok") for i in range(5)
    ]
    assert all("symbolic_correct" not in row for row in found)


def judged_input(folder: Path) -> Path:
    """Two seeds of three questions: one answer equal to the letter, one missing, the same wrong answer twice."""
    answers: list[list[str | None]] = [["4", "4"], [None, None], ["5", "5"]]
    for seed in (0, 1):
        rows = []
        for number, given in enumerate(answers):
            answer = given[seed]
            verdict: dict[str, Any] = {"correct": answer == "4", "comment": "two integers" if answer else "no answer"}
            rows.append(
                {
                    "id": f"q{number}",
                    "problem": f"What is {number}?",
                    "expected_answer": "4",
                    "generation": f"It is \\boxed{{{answer}}}" if answer else "I do not know",
                    "seed": seed,
                    "status": "ok" if answer else "no_answer",
                    "predicted_answer": answer,
                    "symbolic_correct": answer == "4",
                    "verdicts": {"symbolic": verdict | ({"extracted": answer, "answer": answer} if answer else {})},
                }
            )
        write(folder / f"output-rs{seed}.jsonl", rows)
    return folder


def test_a_judge_is_asked_once_for_equal_answers_and_never_for_free_ones(tmp_path: Path) -> None:
    inputs = judged_input(tmp_path / "out" / "eval-results" / "b")
    folder = tmp_path / "out" / "eval-results-judged" / "b"
    with simulated("--fixed-latency-ms", "1", "--text", "The same value.\nJudgement: Yes\n") as engine:
        argv = ["--generation_type=math_judge", "--model=sim", f"--server_address={engine.url}/v1", f"--output_dir={folder}"]
        ns("generate", *argv, f"++input_dir={inputs}", cwd=tmp_path)
        asked = engine.stats()["answered"]
        ns("generate", *argv, f"--input_dir={inputs}", cwd=tmp_path)
        assert engine.stats()["answered"] == asked
    assert len(read(folder / "judge-calls" / "output.jsonl")) == 1
    for seed in (0, 1):
        found = read(folder / f"output-rs{seed}.jsonl")
        before = read(inputs / f"output-rs{seed}.jsonl")
        assert [{key: new[key] for key in old if key != "verdicts"} for new, old in zip(found, before, strict=True)] == [
            {key: value for key, value in old.items() if key != "verdicts"} for old in before
        ]
    assert json.loads((folder / "judging.json").read_text())["samples"] == 6


def test_another_judge_in_the_same_folder_is_refused(tmp_path: Path) -> None:
    inputs = judged_input(tmp_path / "in")
    with simulated("--fixed-latency-ms", "1", "--text", "Judgement: No\n") as engine:
        argv = [
            "--generation_type=math_judge",
            f"--server_address={engine.url}/v1",
            "--output_dir=out",
            f"--input_dir={inputs}",
        ]
        ns("generate", *argv, "--model=sim", cwd=tmp_path)
        told = ns("generate", *argv, "--model=sim", "++inference.temperature=0.5", cwd=tmp_path, code=2)
        ns("generate", *argv, "--model=other", "++force=true", cwd=tmp_path)
    assert "`sampling`" in told.stderr
    # Nothing was left to ask: a verdict names the model that gave it, not the one of the last command.
    judged = [row["judging"]["judge"] for row in read(tmp_path / "out" / "output-rs0.jsonl")]
    assert {kept["model"] for kept in judged if kept["source"] == "model"} == {"sim"}


@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["--generation_type=math_judge"], 2, "--input_dir is missing"),
        (["--generation_type=math_judge", "--input_dir=nowhere"], 3, "no such folder"),
        (["--generation_type=math_judge", "--input_dir=."], 3, "no output*.jsonl"),
        (["--generation_type=math_jugde", "--input_dir=."], 2, "did you mean `math_judge`"),
        ([], 2, "--input_file is missing"),
        (["--input_file=nothing.jsonl"], 3, "no such file"),
        (["--input_file=rows.jsonl"], 2, "--prompt_config is missing"),
        (["--input_file=broken.jsonl", "--prompt_config=generic/math"], 3, "broken.jsonl:2"),
        (["--input_file=rows.jsonl", "--prompt_config=generic/codegen", "--random_seeds=0..x"], 2, "no number"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else str(value),
)
def test_what_is_missing_is_said_before_anything_starts(tmp_path: Path, argv: list[str], code: int, words: str) -> None:
    write(tmp_path / "rows.jsonl", [{"problem": "1+1"}])
    (tmp_path / "broken.jsonl").write_text('{"problem": "1+1"}\nnonsense\n')
    told = ns("generate", "--model=tinymath", "--output_dir=out", *argv, cwd=tmp_path, code=code)
    assert words in told.stderr
    assert not (tmp_path / "out").exists()
