"""`ns eval --adapter` on a benchmark of texts: three files under comparison/, and the same table from `ns compare`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from judges.text import TextJudge
from ns_eval import manifest
from ns_eval.cli import main
from ns_eval.errors import DataError
from ns_eval.loop import status_of
from ns_eval.records import Generation, Question, Sample
from summarize.text_results import Comparison, Evaluation
from summarize.text_runs import compare_run
from tests.commands import ns
from tests.paths import SHARED, needs_shared
from tests.peers.standins import CHECKPOINT, engines_on_path
from tests.runs_on_disk import expected, output_file
from tests.test_eval_adapters import fitting

__all__ = ["engines_on_path"]
JUDGE: dict[str, Any] = {"metrics": ["f1", "bleu"], "rouge_types": ["rougeL"], "use_stemmer": True}
WORDS = ["bonds", "cash", "gold", "shares", "funds", "taxes", "loans", "rates"]


def run_of(output_dir: Path, answer: dict[str, Callable[[str], str]], **settings: dict[str, Any]) -> Path:
    """A run of `ns eval --adapter`: each model answers eight questions by its own function of the reference."""
    judge = TextJudge(**JUDGE)
    for name, own in answer.items():
        folder = output_dir / name / "eval-results" / "fiqa"
        samples = []
        for word in WORDS:
            question = Question(word, f"What are {word}?", f"{word} are a thing that people buy")
            text = own(str(question.expected_answer))
            generation = Generation(text, finish_reason="stop", completion_tokens=4, seconds=0.5)
            verdicts = (judge.grade(question, generation),)
            samples.append(Sample(question, None, status_of(generation, verdicts), generation, verdicts))
        output_file(folder, None, samples)
        spec = {"_target_": "judges.text.TextJudge", **JUDGE}
        shaped = {"model": name, "inference.temperature": 0.0} | settings.get(name.rpartition("+")[2], {})
        expected(folder, len(WORDS), [None], metric_type="text", judge=spec, settings=shaped)
    manifest.begin(output_dir, {}, {}, "m", {name: name for name in answer})
    return output_dir


def half(reference: str) -> str:
    return " ".join(reference.split()[:3])


@needs_shared
def test_fiqa_is_asked_of_base_and_adapter_and_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    ns("prepare_data", "fiqa", f"--source={SHARED / 'data/fiqa_synthetic'}", "--data_dir=d", cwd=tmp_path)
    train = json.loads((tmp_path / "d/fiqa/test.jsonl").read_text().splitlines()[0])
    (tmp_path / "d/fiqa/train.jsonl").write_text(json.dumps(train | {"id": "t", "problem": train["problem"].upper()}) + "\n")
    words = [f"--model={CHECKPOINT}", "--server_type=vllm", f"--adapter=fiqa:{fitting(tmp_path / 'a')}", "--data_dir=d"]
    # Without ROUGE, whose library takes seconds to import.
    told = ns("eval", *words, "--benchmarks=fiqa", "--output_dir=out", "++judge_options.metrics=[f1,bleu]", cwd=tmp_path)
    folder = tmp_path / "out/comparison"
    base, peft = (Evaluation.from_json(folder / f"{name}_results.json") for name in ("baseline", "peft"))
    found = Comparison.from_json(folder / "comparison.json")
    assert (len(base), set(base.predictions), set(peft.predictions)) == (12, {"base"}, {"adapter fiqa"})
    assert found["f1"].delta == pytest.approx(peft["f1"].value - base["f1"].value)
    assert "1 of 12 questions stand in the train split (1 questions) too" in found.notes
    assert repr(found) in told.stdout
    shutil.rmtree(folder)
    monkeypatch.chdir(tmp_path)
    assert main(["compare", "out"]) == 0
    assert repr(found) in capsys.readouterr().out and (folder / "comparison.json").is_file()


def test_compare_reads_either_level_and_a_score_of_ones_own_choice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def compare(*words: str | Path) -> str:
        assert main(["compare", *map(str, words)]) == 0
        return capsys.readouterr().out

    run = run_of(tmp_path, {"m": half, "m+lora": str})
    table = compare(run)
    assert "improved" in table and compare(run / "m", run / "m+lora") == table
    found = json.loads(compare(run, "--format=json"))
    assert [change["verdict"] for change in found[0]["changes"]] == ["improved", "improved"]
    assert "pass@1 of score_f1" in compare(run, "--score=score_f1")


def test_an_adapter_that_changes_no_answer_stops_the_comparison(tmp_path: Path) -> None:
    run = run_of(tmp_path, {"m": half, "m+idle": half})
    with pytest.raises(DataError, match="the adapter idle does nothing: all 8 answers are the base's"):
        compare_run(run)
    assert not (run / "comparison").exists()


def test_other_settings_and_other_questions_are_refused_by_name(tmp_path: Path) -> None:
    run = run_of(tmp_path / "a", {"m": half, "m+lora": str}, lora={"inference.temperature": 0.7})
    with pytest.raises(DataError, match=r"`inference.temperature` is 0.0 for .*m/eval-results/fiqa and 0.7 for"):
        compare_run(run)
    run = run_of(tmp_path / "b", {"m": half, "m+lora": str})
    outputs = run / "m+lora/eval-results/fiqa/output.jsonl"
    outputs.write_text(outputs.read_text().replace('"id":"', '"id":"other-'))
    with pytest.raises(DataError, match="no question was answered by both"):
        compare_run(run)


def test_two_adapters_get_a_folder_each(tmp_path: Path) -> None:
    run = run_of(tmp_path, {"m": half, "m+one": str, "m+two": lambda text: text.upper()})
    assert [outcome.adapter for outcome in compare_run(run)] == ["one", "two"]
    assert {path.name for path in (run / "comparison").iterdir()} == {"fiqa+one", "fiqa+two"}
