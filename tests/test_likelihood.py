"""Multiple choice by log-probabilities: asked of a server that echoes its prompt, with sums that are known."""

from __future__ import annotations

import asyncio
import json
import math
import re
from pathlib import Path
from typing import Any

import pytest

from judges.choice import LikelihoodJudge
from ns_eval import likelihood
from ns_eval.cli import main
from ns_eval.errors import ServerError
from ns_eval.records import Generation, Question
from tests.commands import start
from tests.peers.scripted import Peer, Reply, peer, reply

# What the peer thinks of a word: its log-probability; others get -5.
HELD = {"red": -1.0, "blue": -2.0, "green": -1.5, "long": -0.75, "answer": -0.75}


def echoed(prompt: str) -> dict[str, Any]:
    """An echoed completion, a token a word, each with the blank before it."""
    words = [(match.start(), match[0]) for match in re.finditer(r"\s*\S+", prompt)]
    values: list[float | None] = [HELD.get(word.strip(), -5.0) for _, word in words]
    values[0] = None
    given = {
        "tokens": [word for _, word in words] + ["!"],
        "token_logprobs": [*values, -0.1],
        "text_offset": [at for at, _ in words] + [len(prompt)],
    }
    choice = {"index": 0, "text": prompt + "!", "finish_reason": "length", "logprobs": given}
    return {"model": "m", "choices": [choice], "usage": {"prompt_tokens": len(words), "completion_tokens": 1}}


class Echo(Peer):
    """Answers each completion with its own prompt."""

    def next_reply(self, method: str) -> Reply:
        body = self.asked[-1][2]
        if method == "GET" or not body or "prompt" not in body or not body.get("echo"):
            return super().next_reply(method)
        return reply(200, echoed(body["prompt"]))


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    row = {
        "id": "1",
        "question": "Which?",
        "problem": "Which?\n\nA) red\nB) blue\nC) long answer",
        "choices": ["red", "blue", "long answer"],
        "expected_answer": "C",
    }
    (tmp_path / "data" / "arc_challenge").mkdir(parents=True)
    (tmp_path / "data" / "arc_challenge" / "test.jsonl").write_text(json.dumps(row) + "\n")
    return tmp_path


def test_the_likeliest_option_is_the_answer_and_bytes_may_choose_another(
    prepared: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    asyncio.run(scored(prepared, monkeypatch))
    line = json.loads((prepared / "out/eval-results/arc_challenge/output.jsonl").read_text())
    verdict = line["verdicts"]["likelihood"]
    # acc takes red (-1 against -1.5 for both words together), acc_norm the longer one, which is right.
    assert line["generation"] == r"\boxed{A}"
    assert verdict["correct"] is False
    assert verdict["scores"] == {"acc_norm": 1.0}
    assert main(["category_report", str(prepared / "out"), "--category=general_purpose", "--format=json"]) == 0
    found = json.loads(capsys.readouterr().out)["out"]["general_purpose"]["benchmarks"]["arc_challenge"]
    assert found["found"]["value"] == 1.0


async def scored(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.peers.scripted.Peer", Echo)
    async with peer(reply(200, echoed("hello there"))) as server:
        words = ["eval", "--model=m", "--server_type=openai", f"--server_address={server.base_url}", "--output_dir=out"]
        words += ["--benchmarks=arc_challenge", f"--data_dir={home / 'data'}", "++scoring=likelihood"]
        words += ["++server.prompt_logprobs=true", "--min_coverage=0"]
        process = start(*words, cwd=home)
        _, said = await asyncio.to_thread(process.communicate, timeout=300)
        assert process.returncode == 0, said
    sent = [body["prompt"] for body in server.bodies if body and body.get("echo")]
    assert sorted(sent) == [f"Question: Which?\nAnswer: {text}" for text in ("blue", "long answer", "red")]


def test_a_server_without_prompt_logprobs_generates_the_letter_and_says_so(prepared: Path) -> None:
    words = ["eval", "--model=m", "--server_type=openai", "--server_address=http://127.0.0.1:9/v1", "--output_dir=o"]
    words += ["--benchmarks=arc_challenge", f"--data_dir={prepared / 'data'}", "++scoring=likelihood", "--dry_run"]
    process = start(*words, cwd=prepared)
    shown, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert "openai gives no log-probabilities of a prompt: the letters of arc_challenge are generated" in said
    assert "SymbolicJudge" in shown


def test_sums_hold_the_tokens_behind_the_question_alone() -> None:
    given = echoed("Question: Which?\nAnswer: long answer")["choices"][0]["logprobs"]
    assert likelihood.behind(given, "Question: Which?\nAnswer:", " long answer") == pytest.approx(-1.5)
    with pytest.raises(ServerError, match="no log-probabilities of the prompt"):
        likelihood.behind({"token_logprobs": [-0.1], "text_offset": [36]}, "Question: Which?\nAnswer:", " red")
    with pytest.raises(ServerError):
        likelihood.behind(None, "Question:", " red")


def test_letters_and_texts_are_continued() -> None:
    asked = Question("1", "?", meta={"choices": ["x", "y"]})
    assert likelihood.continuations(asked, "letter") == [" A", " B"]
    assert likelihood.continuations(asked, "text") == [" x", " y"]


def test_mc2_is_the_share_of_probability_on_what_is_true() -> None:
    asked = Question("1", "?", expected_answer="A, C", meta={"choices": ["x", "y", "z"], "labels": [1, 0, 1]})
    kept = [[math.log(0.1), 1], [math.log(0.2), 1], [math.log(0.1), 1]]
    verdict = LikelihoodJudge().grade(asked, Generation("", meta={"likelihood": kept}))
    assert verdict.correct is False
    assert verdict.scores["mc2"] == pytest.approx(0.5)
    assert LikelihoodJudge().grade(asked, Generation("")).correct is None
