"""A category in one word: what is asked is planned, asked, and printed with what was skipped and why."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ns_eval import questions
from ns_eval.catalogue import compatibility, estimate
from ns_eval.cli import main
from ns_eval.config import PriceConfig, ServerConfig
from ns_eval.records import Question
from tests.commands import ns
from tests.paths import REPO

Capture = pytest.CaptureFixture[str]
PREPARED = ("mediqa", "chemprot", "arc_challenge", "hendrycks_math", "scienceqa")


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Small sets in their upstream's format, prepared."""
    folder = tmp_path_factory.mktemp("data")
    for name in PREPARED:
        source = REPO / "tests" / "data_formats" / name
        assert main(["prepare_data", name, f"--source={source}", f"--data_dir={folder}"]) == 0
    return folder


@pytest.fixture(scope="module")
def out(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """One run over all categories: (its folder, what it printed, what it said)."""
    home = tmp_path_factory.mktemp("run")
    done = ns(
        "eval",
        "--all_categories",
        "--model=tinymath",
        "--samples=2",
        "--output_dir=out",
        f"--data_dir={data}",
        cwd=home,
        timeout_s=400,
    )
    return home / "out", done.stdout, done.stderr


def test_all_categories_end_with_what_ran_what_was_skipped_and_why(out: tuple[Path, str, str]) -> None:
    folder, printed, said = out
    for name in PREPARED:
        assert (folder / "eval-results" / name / "output-rs0.jsonl").is_file()
        assert f"  {name} " in printed
    assert "biomedical_specialists: " in printed
    assert "mean of 2 benchmarks" in printed
    assert "skipped gsm8k [ready]: not prepared: ns prepare_data gsm8k" in printed
    assert "skipped protein_function [unavailable]: no public question set of that name is known" in printed
    assert "proof_correctness: a proof is checked by Lean" in printed
    assert "what the answers cost" in printed
    assert said.index("tinymath on llamacpp: 5 benchmarks") < said.index("mediqa: 2 questions")


def test_a_table_says_of_how_many_questions_the_sample_is(out: tuple[Path, str, str]) -> None:
    _, printed, said = out
    line = next(line for line in printed.splitlines() if line.startswith("  hendrycks_math"))
    assert "2 of 5000" in line
    assert "fewer than 2 questions, all are taken: chemprot has 1" in said


def test_the_report_is_printed_again_from_the_files(out: tuple[Path, str, str], capsys: Capture) -> None:
    folder, printed, _ = out
    assert main(["category_report", str(folder), "--category=biomedical_specialists", "--format=json"]) == 0
    found = json.loads(capsys.readouterr().out)["out"]["biomedical_specialists"]
    assert set(found["benchmarks"]) == {"mediqa", "chemprot"}
    mediqa = found["benchmarks"]["mediqa"]
    assert mediqa["over_chance"]["value"] == pytest.approx(2 * mediqa["found"]["value"] - 1)
    values = [line["over_chance"]["value"] for line in found["benchmarks"].values()]
    assert found["score"]["value"] == pytest.approx(sum(values) / 2)
    assert found["metrics"]["ner_f1"]["value"] is None
    assert {name for name, _, _ in found["skipped"]} >= {"bioasq", "genomics_ner", "protein_function"}
    assert printed.count("skipped protein_function") == 1


def test_a_plan_starts_nothing_and_estimates_from_an_earlier_run(
    out: tuple[Path, str, str], data: Path, tmp_path: Path, capsys: Capture
) -> None:
    words = ["eval", "--category=mathematical_reasoning", "--model=tinymath", f"--data_dir={data}", "--plan"]
    words += [f"--output_dir={tmp_path / 'new'}", "++price.input=1", "++price.output=2"]
    assert main(words) == 0
    unknown = capsys.readouterr().out
    assert "hendrycks_math  3 of 5000" in unknown
    assert "?" in unknown
    assert main([*words, f"--pilot={out[0]}"]) == 0
    known = capsys.readouterr().out
    line = next(line for line in known.splitlines() if line.startswith("hendrycks_math"))
    assert "?" not in line
    assert "0.00" in line
    assert not (tmp_path / "new").exists()


def test_money_and_hours_follow_from_the_means() -> None:
    asked = [Question(str(number), "x" * 400) for number in range(10)]
    seen = estimate.Observed(samples=3, prompt_tokens=100, answer_tokens=50, seconds=36)
    found = estimate.estimate(asked, 2, seen, places=4, price=PriceConfig(input=1.0, output=10.0))
    assert (found.requests, found.prompt_tokens, found.answer_tokens) == (20, 2000, 1000)
    assert found.hours == pytest.approx(20 * 36 / 4 / 3600)
    assert found.dollars == pytest.approx(0.002 + 0.01)
    nobody = estimate.estimate(asked, 2, None, places=4, price=PriceConfig())
    assert (nobody.prompt_tokens, nobody.answer_tokens, nobody.hours) == (2000, None, None)
    assert estimate.summed([found, nobody]).hours is None


def test_drawn_questions_are_the_same_everywhere_and_a_smaller_draw_is_part_of_a_larger() -> None:
    asked = [Question(f"q{number}", "?") for number in range(100)]
    few, more = questions.drawn(asked, 5), questions.drawn(asked, 20)
    assert {question.id for question in few} < {question.id for question in more}
    assert [question for question in asked if question in more] == list(more)
    assert {question.id for question in questions.drawn(asked[::-1], 5)} == {question.id for question in few}
    assert list(few) != asked[:5]
    assert questions.drawn(asked, 200) == tuple(asked)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["--model=tinymath", "--category=biomedical"], 2, "unknown category `biomedical`"),
        (["--model=tinymath", "--category=coding_specialists", "--samples=0"], 2, "--samples=0: expected a positive number"),
        (["--model=tinymath", "--category=coding_specialists", "--samples=-3"], 2, "--samples=-3"),
        (["--model=tinymath", "--category=coding_specialists", "--samples=2", "--max_samples=2"], 2, "choose one"),
        (["--model=tinymath", "--category=coding_specialists", "--benchmarks=gsm8k"], 2, "choose one"),
        (["--model=tinymath"], 2, "`tinymath` stands in no category"),
        (["--model=tinymath", "--category=coding_specialists"], 3, "mbpp: not prepared: ns prepare_data mbpp"),
        (["--model=pubmedbert_large"], 3, "pubmedbert_large is an encoder: it generates no text"),
        (["--model=clinical_t5_large"], 3, "no engine of conf/server runs such a model"),
        (["--model=biogpt"], 3, "biogpt is incompatible"),
        (["--model=qwen3_8b", "--server_type=trtllm"], 3, "quantized by awq, which trtllm does not load"),
        (["--model=bio_clinicalbert", "--benchmarks=mediqa"], 3, "mediqa: bio_clinicalbert is an encoder"),
        (["--model=tinymath", "--benchmarks=gsm8k", "--samples=3"], 3, "gsm8k is not prepared"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_anything_starts(
    words: list[str], code: int, said: str, tmp_path: Path, capsys: Capture
) -> None:
    assert main(["eval", *words, f"--output_dir={tmp_path / 'out'}", f"--data_dir={tmp_path}"]) == code
    assert said in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_a_benchmark_of_two_categories_is_asked_once(data: Path, tmp_path: Path, capsys: Capture) -> None:
    words = ["--category=efficiency_optimized,general_purpose", f"--output_dir={tmp_path}/o", f"--data_dir={data}"]
    assert main(["eval", "--model=tinymath", *words, "--plan"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()].count("arc_challenge") == 1


def test_a_model_alone_is_asked_the_benchmarks_of_its_categories(data: Path, tmp_path: Path, capsys: Capture) -> None:
    words = [f"--output_dir={tmp_path}/o", f"--data_dir={data}", "--server_address=http://127.0.0.1:9/v1"]
    assert main(["eval", "--model=biomistral_7b", *words, "--plan"]) == 0
    planned = capsys.readouterr().out
    assert "biomistral_7b on openai: 2 benchmarks" in planned
    assert "chemprot" in planned


def test_a_local_checkpoint_tells_what_it_is(tmp_path: Path) -> None:
    def facts(**config: object) -> compatibility.Facts:
        (tmp_path / "config.json").write_text(json.dumps(config))
        return compatibility.facts(str(tmp_path))

    assert facts(architectures=["BertForMaskedLM"]).architecture == "encoder"
    assert facts(architectures=["T5ForConditionalGeneration"], is_encoder_decoder=True).architecture == "encoder-decoder"
    assert facts(architectures=["Qwen2VLForConditionalGeneration"], vision_config={}).architecture == "vision"
    quantized = facts(
        architectures=["Qwen2ForCausalLM"], max_position_embeddings=64, quantization_config={"quant_method": "awq"}
    )
    assert (quantized.architecture, quantized.context, quantized.quantization) == ("decoder", 64, "awq")
    long = [Question(str(number), "word " * 200) for number in range(4)]
    assert "4 of 4 questions are longer" in (compatibility.of_context(quantized, ServerConfig(), long) or "")
    assert compatibility.of_context(quantized, ServerConfig(context=4096), long) is None


def test_a_plan_that_is_broken_is_named(out: tuple[Path, str, str], tmp_path: Path, capsys: Capture) -> None:
    shutil.copytree(out[0], tmp_path / "copy")
    (tmp_path / "copy" / "plan.json").write_text("{")
    assert main(["category_report", str(tmp_path / "copy")]) == 3
    assert "plan.json: not JSON" in capsys.readouterr().err


def test_several_models_are_planned_together_and_one_that_cannot_be_asked_ends_no_other(
    data: Path, tmp_path: Path, capsys: Capture
) -> None:
    words = ["eval", "--category=scientific_research", f"--output_dir={tmp_path / 'o'}", f"--data_dir={data}", "--plan"]
    assert main([*words, "--model=tinymath,scibert_base"]) == 3
    assert "scibert_base is an encoder: it generates no text" in capsys.readouterr().err
    words[1] = "--category=mathematical_reasoning"
    assert main([*words, "--model=tinymath,scibert_base"]) == 0
    planned = capsys.readouterr().out
    assert "tinymath on llamacpp: 1 benchmarks" in planned
    assert "skipped  scibert_base  scibert_base is an encoder" in planned
    assert not (tmp_path / "o").exists()


def test_a_category_without_a_model_asks_its_models(data: Path, tmp_path: Path, capsys: Capture) -> None:
    words = [f"--output_dir={tmp_path / 'o'}", f"--data_dir={data}", "--plan", "--server_address=http://127.0.0.1:9/v1"]
    assert main(["eval", "--category=efficiency_optimized", *words]) == 0
    planned = capsys.readouterr().out
    for name in ("qwen25_0_5b", "qwen25_3b", "phi35_mini"):
        assert f"{name} on openai: 1 benchmarks" in planned


def test_each_model_gets_a_folder_and_the_report_stands_side_by_side(data: Path, tmp_path: Path) -> None:
    shutil.copy(next((REPO / "ns_eval/shipped/tinymath").glob("*.gguf")), tmp_path / "again.gguf")
    words = ["--category=mathematical_reasoning", "--samples=1", "--output_dir=out", f"--data_dir={data}"]
    done = ns("eval", "--model=tinymath,again.gguf", *words, cwd=tmp_path, timeout_s=400)
    states = json.loads((tmp_path / "out/models.json").read_text())
    assert {name: state["state"] for name, state in states.items()} == {"tinymath": "done", "again.gguf": "done"}
    for name in ("tinymath", "again.gguf"):
        assert (tmp_path / "out" / name / "eval-results/hendrycks_math/output-rs0.jsonl").is_file()
    assert done.stdout.count("mathematical_reasoning: ") == 4  # each model's own report, then both
    assert "front" in done.stdout
