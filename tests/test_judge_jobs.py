"""Pairs, choices and conversations are judged by the same job as single answers, and their tables say so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.commands import ns
from tests.peers.replying import Replying, listening
from tests.peers.simulated import simulated
from tests.runs_on_disk import expected, output_file, sample

QUICK = ("--fixed-latency-ms", "1")


def rows(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def run_of(folder: Path, answers: list[list[str]], text: str) -> Path:
    """A benchmark's folder: `answers` of each question by seed, 1 is right."""
    seeds = range(len(answers[0]))
    for seed in seeds:
        found = [
            sample(
                f"q{number}", seed, given[seed], given[seed] == "1", text=f"{text}: {given[seed]}, number {number}.{seed}"
            )
            for number, given in enumerate(answers)
        ]
        output_file(folder, seed, found)
    expected(folder, len(answers), list(seeds))
    return folder


def test_pairs_are_judged_in_both_orders_and_a_preference_for_a_place_is_seen(tmp_path: Path) -> None:
    ours = run_of(tmp_path / "a" / "eval-results" / "b", [["1"], ["2"], ["3"]], "ours")
    theirs = run_of(tmp_path / "b" / "eval-results" / "b", [["1"], ["2"], ["3"]], "theirs")
    with simulated(*QUICK, "--text", "The first is better. [[A>B]]\n") as engine:
        argv = [
            "--generation_type=pairwise_judge",
            "--model=sim",
            f"--server_address={engine.url}/v1",
            f"--input_dir={ours}",
        ]
        told = ns("generate", *argv, "--output_dir=pairs", cwd=tmp_path, code=2)
        assert "which other run? --baseline_dir is missing" in told.stderr
        told = ns("generate", *argv, "--output_dir=pairs/b", f"--baseline_dir={theirs}", cwd=tmp_path)
        assert engine.stats()["answered"] == 7  # three pairs in two orders, and the probe
    assert "3 samples took 3 calls" in told.stderr and "3 requests more" in told.stderr
    for row in rows(tmp_path / "pairs" / "b" / "output-rs0.jsonl"):
        scores = row["verdicts"]["pairwise"]["scores"]
        assert (scores["win"], scores["consistent"], scores["prefers_first"]) == (0.5, 0.0, 1.0)
        assert row["judgement-gen-base"] and row["judgement-base-gen"]
    printed = ns("summarize_results", "pairs/b", cwd=tmp_path).stdout
    assert "both orders agree on 0 of 3 pairs" in printed and "3 prefer the first answer, 0 the second" in printed

    shorter = run_of(tmp_path / "c" / "eval-results" / "b", [["1"]], "theirs")
    told = ns("generate", *argv, "--output_dir=other", f"--baseline_dir={shorter}", cwd=tmp_path, code=3)
    assert "question `q1`: the baseline has no answer of seed 0: it does not answer this question" in told.stderr


ANSWERS = [["1", "1", "2"], ["2", "1", "3"], ["1", "1", "1"], ["2", "2", "1"]]


@pytest.mark.parametrize(
    ("text", "sources", "right"),
    [
        ("The last one.\nJudgement: 2\n", {"model": 3, "single_answer": 1}, None),
        ("None of them convinces.", {"fallback": 3, "single_answer": 1}, {"q0": True, "q2": True, "q3": False}),
    ],
    ids=["chosen", "unreadable"],
)
def test_the_chosen_answers_get_a_row_beside_the_vote(
    tmp_path: Path, text: str, sources: dict[str, int], right: dict[str, bool] | None
) -> None:
    source = run_of(tmp_path / "out" / "eval-results" / "b", ANSWERS, "so")
    folder = tmp_path / "out" / "eval-results-genselect" / "b"
    with simulated(*QUICK, "--text", text, "--answers", "1") as engine:
        argv = ["--generation_type=genselect", "--model=sim", f"--server_address={engine.url}/v1", f"--input_dir={source}"]
        ns("generate", *argv, f"--output_dir={folder}", cwd=tmp_path)
    found = {row["id"]: row for row in rows(folder / "output.jsonl")}
    assert json.loads((folder / "judging.json").read_text())["sources"] == sources
    for row in found.values():
        chosen = rows(source / f"output-rs{row['genselect_chosen_seed']}.jsonl")
        (same,) = [other for other in chosen if other["id"] == row["id"]]
        assert (row["generation"], row["symbolic_correct"]) == (same["generation"], same["symbolic_correct"])
        if row["genselect_source"] == "model":
            assert row["genselect_index"] == 2 and row["genselect_shown_seeds"][2] == row["genselect_chosen_seed"]
    if right is not None:
        assert {name: found[name]["symbolic_correct"] for name in right} == right
    printed = ns("summarize_results", "out", cwd=tmp_path).stdout
    share = sum(row["symbolic_correct"] for row in found.values()) / 4
    lines = {line.split(" |")[0].strip(): line for line in printed.splitlines() if " | " in line}
    assert {"majority@3", "pass@3", "genselect@3", "pass@1[3]"} <= lines.keys()
    (row_line,) = [line for line in printed.splitlines()[:7] if line.startswith("genselect@3")]
    assert f"{100 * share:.2f}%" in row_line
    named = ", ".join(f"{count} {name.replace('_', ' ')}" for name, count in sources.items())
    assert f"b: genselect: 12 samples of 4 questions took 3 calls; chosen by: {named}" in printed
    alone = ns("summarize_results", folder, cwd=tmp_path).stdout
    assert "genselect@3" in alone


def test_an_evaluation_chooses_behind_the_generation(tmp_path: Path) -> None:
    """Every seed answers otherwise, and the model takes the second of those it is shown."""

    class Solver(Replying):
        def do_GET(self) -> None:
            self.say(200, {"data": [{"id": "both"}]})

        def do_POST(self) -> None:
            body = self.asked()
            chooses = "<solution 0 " in body["messages"][-1]["content"]
            text = "The second.\nJudgement: 1" if chooses else f"So it is \\boxed{{{body.get('seed')}}}."
            choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}
            self.say(200, {"model": "both", "choices": [choice], "usage": {"prompt_tokens": 9, "completion_tokens": 3}})

    with listening(Solver) as address:
        argv = [f"--server_address={address}/v1", "--model=both", "--benchmarks=arithmetic:3", "--max_samples=4"]
        argv += ["--judge=genselect", "++judge.model=both", f"++judge.server_address={address}/v1", "--output_dir=out"]
        told = ns("eval", *argv, cwd=tmp_path)
    found = rows(tmp_path / "out" / "eval-results-genselect" / "arithmetic" / "output.jsonl")
    assert len(found) == 4
    for row in found:
        assert (row["genselect_source"], row["genselect_index"], row["genselect_k"]) == ("model", 1, 3)
        assert row["predicted_answer"] == str(row["genselect_chosen_seed"]) == str(row["genselect_shown_seeds"][1])
    assert "arithmetic: 12 samples of 4 questions took 4 calls; chosen by: 4 model" in told.stderr
    lines = [line.split(" |")[0].strip() for line in told.stdout.splitlines() if " | " in line]
    assert {"majority@3", "pass@3", "genselect@3", "pass@1[3]"} <= set(lines)


def test_both_turns_of_a_conversation_are_asked_and_rated(tmp_path: Path) -> None:
    folder = tmp_path / "data" / "mt-bench"
    folder.mkdir(parents=True)
    turns = ["Name a river.", "Now one in Africa."]
    question = {"id": "1", "problem": turns[0], "turns": turns, "category": "writing"}
    (folder / "test.jsonl").write_text(json.dumps(question) + "\n")
    with simulated(*QUICK) as solver, simulated(*QUICK, "--text", "Fine. Rating: [[7]]\n", "--answers", "1") as judge:
        argv = [f"--server_address={solver.url}/v1", "--model=sim", "--benchmarks=mt-bench:1", f"--data_dir={folder.parent}"]
        told = ns("eval", *argv, "--output_dir=out", cwd=tmp_path)
        assert "mt-bench is judged by a model, and none is named: ++judge.model=…" in told.stderr
        assert solver.stats()["answered"] == 3  # two turns and the probe
        told = ns(
            "eval", *argv, "++judge.model=sim", f"++judge.server_address={judge.url}/v1", "--output_dir=out", cwd=tmp_path
        )
        assert solver.stats()["answered"] == 3 and judge.stats()["answered"] == 3
    (row,) = rows(tmp_path / "out" / "eval-results-judged" / "mt-bench" / "output-rs0.jsonl")
    assert len(row["generation_meta"]["earlier_replies"]) == 1
    assert row["verdicts"]["mt_bench"]["scores"] == {"turn_1": 7.0, "turn_2": 7.0, "score": 7.0}
    assert "mt-bench" in told.stdout and "7.00" in told.stdout
    told = ns("category_report", "out", "--category=general_purpose", cwd=tmp_path)
    assert "general_purpose: 66.7 over guessing, mean of 1 benchmarks" in told.stdout
    assert "llm_judge_score: 7.00 of 1 to 10" in told.stdout

    words = [*argv, "--prompt_template=qwen-instruct", "--output_dir=text"]
    told = ns("eval", *words, cwd=tmp_path, code=2)
    assert "mt-bench has several turns: they need the server's own chat template" in told.stderr
