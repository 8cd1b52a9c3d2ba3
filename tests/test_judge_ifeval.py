"""IFEval is graded by its own checks where their package is installed; elsewhere that is said before anything starts."""

from __future__ import annotations

import asyncio
import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

from ns_eval.cli import main
from ns_eval.records import Generation, Question
from tests.commands import ns
from tests.paths import REPO
from tests.peers.scripted import answer, peer

INSTALLED = importlib.util.find_spec("lm_eval") is not None
needs_checks = pytest.mark.skipif(not INSTALLED, reason="lm-eval[ifeval] is not installed")
# (instructions with their arguments, answer, followed strictly, followed loosely)
CASES: list[tuple[dict[str, dict[str, Any]], str, bool, bool]] = [
    ({"punctuation:no_comma": {}}, "No such mark", True, True),
    ({"punctuation:no_comma": {}}, "Well, one", False, False),
    ({"punctuation:no_comma": {}}, "", False, False),
    ({"punctuation:no_comma": {}}, "<think>a, b</think>none here", True, True),
    ({"length_constraints:number_words": {"relation": "at least", "num_words": 4}}, "one two three", False, False),
    ({"length_constraints:number_words": {"relation": "at least", "num_words": 3}}, "one two three", True, True),
    ({"keywords:existence": {"keywords": ["cat"]}, "punctuation:no_comma": {}}, "a cat, a dog", False, False),
    ({"startend:end_checker": {"end_phrase": "The end."}}, "So it was. The end.\nI hope this helps!", False, True),
    ({"detectable_format:json_format": {}}, '{"a": 1}', True, True),
    ({"language:response_language": {"language": "de"}}, "Das ist ein ganz gewöhnlicher deutscher Satz.", True, True),
]


@pytest.fixture
def tokenizer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence tokenizer that knows no abbreviation, in nltk's form."""
    if not INSTALLED:
        return
    import nltk

    folder = tmp_path / "nltk" / "tokenizers" / "punkt_tab" / "english"
    folder.mkdir(parents=True)
    for name in ("collocations.tab", "sent_starters.txt", "abbrev_types.txt", "ortho_context.tab"):
        (folder / name).touch()
    monkeypatch.setattr(nltk.data, "path", [str(tmp_path / "nltk")])


@needs_checks
@pytest.mark.parametrize(("asked", "text", "strict", "loose"), CASES)
def test_an_answer_follows_its_instructions_or_not(
    tokenizer: None, asked: dict[str, dict[str, Any]], text: str, strict: bool, loose: bool
) -> None:
    from judges.ifeval import InstructionsJudge

    question = Question("1", "?", meta={"instruction_id_list": list(asked), "kwargs": list(asked.values())})
    verdict = InstructionsJudge().grade(question, Generation(text))
    assert verdict.correct is strict
    assert verdict.scores == {"prompt_strict": float(strict), "prompt_loose": float(loose)}


@needs_checks
def test_a_row_without_its_arguments_is_not_judged(tokenizer: None) -> None:
    from judges.ifeval import InstructionsJudge

    for meta in ({}, {"instruction_id_list": ["punctuation:no_comma"], "kwargs": []}):
        assert InstructionsJudge().grade(Question("1", "?", meta=meta), Generation("x")).correct is None
    unknown = {"instruction_id_list": ["punctuation:none"], "kwargs": [{}]}
    assert "punctuation:none" in (InstructionsJudge().grade(Question("1", "?", meta=unknown), Generation("x")).error or "")


@needs_checks
def test_a_run_is_graded_in_the_worker_processes(tmp_path: Path, tokenizer: None) -> None:
    source = REPO / "tests" / "data_formats" / "ifeval"
    assert main(["prepare_data", "ifeval", f"--source={source}", f"--data_dir={tmp_path / 'data'}"]) == 0

    async def evaluate() -> str:
        async with peer(answer("word " * 300)) as server:
            words = ["--model=m", "--server_type=openai", f"--server_address={server.base_url}", "--output_dir=out"]
            words += ["--benchmarks=ifeval", f"--data_dir={tmp_path / 'data'}"]
            env = {"NLTK_DATA": str(tmp_path / "nltk")}
            return (await asyncio.to_thread(ns, "eval", *words, cwd=tmp_path, env=env, timeout_s=300)).stdout

    assert "ifeval" in asyncio.run(evaluate())
    (line,) = (tmp_path / "out/eval-results/ifeval/output-rs0.jsonl").read_text().splitlines()
    verdict = json.loads(line)["verdicts"]["ifeval"]
    assert (verdict["correct"], verdict["scores"]) == (True, {"prompt_strict": 1.0, "prompt_loose": 1.0})


@pytest.mark.skipif(INSTALLED, reason="lm-eval is installed")
def test_without_the_package_the_run_is_refused_with_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = REPO / "tests" / "data_formats" / "ifeval"
    data = f"--data_dir={tmp_path / 'data'}"
    assert main(["prepare_data", "ifeval", f"--source={source}", data]) == 0
    words = ["--model=m", "--server_type=openai", "--server_address=http://127.0.0.1:9/v1", f"--output_dir={tmp_path}/out"]
    assert main(["eval", *words, "--benchmarks=ifeval", data]) == 3
    assert "IFEval's checks are not installed (lm_eval" in capsys.readouterr().err
    # Drawn from a category it is one of those that are skipped.
    assert main(["eval", *words, "--category=general_purpose", data]) == 3
    assert "ifeval: IFEval's checks are not installed" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
