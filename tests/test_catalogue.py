"""The catalogue: every name of the model catalogue is found, and says what can be run of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ns_eval import benchmarks
from ns_eval.arguments import Override
from ns_eval.catalogue import entries
from ns_eval.catalogue.layering import layers
from ns_eval.cli import main
from ns_eval.compose import compose
from ns_eval.errors import UsageError
from ns_eval.options import EvalConfig
from ns_eval.resources import conf_names

Capture = pytest.CaptureFixture[str]
# The union of the lists of the model catalogue, category by category.
MODELS = {
    "coding_specialists": "qwen3_8b qwen3_14b qwen25_7b qwen3_coder_30b deepseek_coder_16b codestral_22b",
    "mathematical_reasoning": "qwen25_math_7b wizardmath_70b granite_3_1_8b deepseek_math_7b metamath_70b qwen25_7b",
    "biomedical_specialists": (
        "biomistral_7b biogpt_large clinical_t5_large qwen25_1_5b_genomic qwen25_72b_genomic biomistral_7b_unquantized "
        "biomedlm_7b medalpaca_7b biogpt bio_clinicalbert medalpaca_13b clinical_camel_70b pubmedbert_large"
    ),
    "multimodal_processing": "qwen2_vl_7b donut_base layoutlmv3_base",
    "general_purpose": "llama31_8b mistral_7b mistral_nemo_12b olmo2_13b yi_9b yi_1_5_34b gemma2_9b",
    "efficiency_optimized": "qwen25_0_5b qwen25_3b phi35_mini",
    "scientific_research": "scibert_base specter2_base longformer_large",
    "safety_alignment": "safety_bert claude_sonnet",
}
DATASETS = {
    "coding_specialists": "humaneval mbpp bigcodebench codecontests apps",
    "mathematical_reasoning": "gsm8k math minerva_math aime enhanced_math_fixed",
    "biomedical_specialists": "bioasq pubmedqa mediqa genomics_ner protein_function chemprot",
    "multimodal_processing": "docvqa chartqa multimodal_sample scienceqa",
    "general_purpose": "arc_challenge hellaswag mt_bench mmlu truthfulqa",
    "efficiency_optimized": "humaneval gsm8k arc_challenge",
    "scientific_research": "scientific_papers scierc pubmed_abstracts",
    "safety_alignment": "toxicity_detection truthfulqa safety_eval",
}
METRICS = (
    "code_execution pass_at_k pass_at_1 pass_at_10 functional_correctness numerical_accuracy step_by_step_reasoning "
    "proof_correctness biomedical_qa_accuracy ner_f1 clinical_relevance multimodal_accuracy visual_reasoning ocr_accuracy "
    "multiple_choice_accuracy llm_judge_score coherence efficiency_score latency accuracy_per_parameter scientific_accuracy "
    "citation_relevance domain_knowledge safety_score toxicity_detection_f1 bias_assessment"
)


def shown(capsys: Capture, *words: str) -> dict[str, dict[str, object]]:
    assert main(["show", *words, "--json"]) == 0
    found: dict[str, dict[str, object]] = json.loads(capsys.readouterr().out)
    return found


def test_a_category_holds_the_models_of_every_list(capsys: Capture) -> None:
    found = shown(capsys, "categories")
    assert {name: sorted(entry["models"]) for name, entry in found.items()} == {  # type: ignore[call-overload]
        name: sorted(models.split()) for name, models in MODELS.items()
    }
    assert len({model for models in MODELS.values() for model in models.split()}) == 42


@pytest.mark.parametrize("category", DATASETS)
def test_every_dataset_of_a_category_is_a_benchmark_or_says_why_not(category: str) -> None:
    inside = {benchmark.name for benchmark in entries.benchmarks_of([entries.category(category)])}
    for name in DATASETS[category].split():
        benchmark = benchmarks.find(name)
        assert benchmark.name in inside
        assert benchmark.status in ("ready", "prepared") or benchmark.reason


def test_every_metric_is_computed_or_refused_with_its_reason() -> None:
    for name in METRICS.split():
        metric = entries.metric(name)
        assert metric.status == "ready" or metric.reason


def test_a_model_of_no_public_weights_stays_in_the_list_with_its_reason(capsys: Capture) -> None:
    found = shown(capsys, "models")
    unavailable = {name for name, entry in found.items() if entry["status"] == "unavailable"}
    assert unavailable == {"qwen25_1_5b_genomic", "qwen25_72b_genomic", "safety_bert"}
    assert all(found[name]["reason"] for name in unavailable)
    assert unavailable.isdisjoint(shown(capsys, "models", "--ready"))


def test_groups_follow_from_what_an_entry_says() -> None:
    assert entries.groups(entries.model("qwen3_coder_30b")) == [
        "family:qwen3",
        "size:large",
        "arch:moe",
        "quant:none",
        "runtime:vllm",
    ]
    assert "quant:awq" in entries.groups(entries.model("qwen3_8b"))


@pytest.mark.parametrize("name", conf_names("category"))
def test_a_category_names_models_benchmarks_and_metrics_that_exist(name: str) -> None:
    category = entries.category(name)
    for model in category.models:
        entry = entries.model(model)
        assert not entry.preset or entries.preset(entry.preset)
    assert entries.benchmarks_of([category])
    assert all(entries.metric(metric) for metric in category.evaluation_config.metrics)
    assert category.evaluation_config.default_sample_limit


@pytest.mark.parametrize("name", conf_names("preset"))
def test_a_preset_composes_with_every_server_it_names(name: str) -> None:
    preset = entries.preset(name)
    assert preset.about
    for server in preset.server_types:
        assert server in conf_names("server")


@pytest.mark.parametrize("name", conf_names("benchmark"))
def test_a_benchmarks_primary_metric_is_one(name: str) -> None:
    benchmark = benchmarks.find(name)
    if benchmark.status != "unavailable":
        assert entries.metric(benchmark.metric)


@pytest.mark.parametrize(
    ("words", "first"),
    [
        (["--list_categories"], "biomedical_specialists"),
        (["--list-categories"], "biomedical_specialists"),
        (["--list_models_in_category=efficiency_optimized"], "qwen25_0_5b"),
        (["--list-models-in-category", "efficiency_optimized"], "qwen25_0_5b"),
    ],
)
def test_the_older_spellings_list_too(words: list[str], first: str, capsys: Capture) -> None:
    assert main(["eval", *words]) == 0
    assert capsys.readouterr().out.startswith(first)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["models", "--category=coding_specialist"], "did you mean `coding_specialists`"),
        (["metric", "ner_f2"], "did you mean `ner_f1`"),
        (["model", "qwen3_9b"], "`qwen3_8b`"),
        (["benchmark", "pubmed_qb"], "`pubmedqa`"),
        (["servers", "--category=coding_specialists"], "takes no --category"),
    ],
)
def test_an_unknown_name_gets_the_nearest_ones(words: list[str], said: str, capsys: Capture) -> None:
    assert main(["show", *words]) == 2
    assert said in capsys.readouterr().err


@pytest.mark.parametrize(
    ("file", "text", "said"),
    [
        ("category/mine.yaml", "name: mine\nmodel: [tinymath]\n", "unknown key `model`, did you mean `models`"),
        ("category/mine.yaml", "name: mine\nmodels: 3\n", "`models`"),
        ("category/mine.yaml", "name: mine\nmodels: [tinymath, tinymath]\n", "names `tinymath` twice"),
        ("category/mine.yaml", "name: yours\n", "`name` is `yours`, the file says `mine`"),
        ("category/mine.yaml", "name: mine\nevaluation_config: {timeout_per_sample: -1}\n", "expected a positive number"),
        ("category/mine.yaml", "name: mine\nevaluation_config: {sample_limit: 5}\n", "evaluation_config.sample_limit"),
    ],
)
def test_a_wrong_yaml_is_named_with_its_key(
    file: str, text: str, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ns_eval.resources._own", [tmp_path])
    (tmp_path / file).parent.mkdir()
    (tmp_path / file).write_text(text)
    with pytest.raises(UsageError, match=r"mine\.yaml") as refused:
        entries.category("mine")
    assert said in str(refused.value)


def test_a_preset_stands_over_the_model_and_under_the_command_line() -> None:
    given = [Override("model", "qwen3_14b", str), Override("inference.tokens_to_generate", "64", int)]
    schema = EvalConfig
    plain = compose(schema, [*given, Override("output_dir", "out", str)], layers(given))
    assert plain.preset == "performance"
    assert plain.server.max_num_seqs == 512
    assert plain.server.args["gpu-memory-utilization"] == 0.95
    given.append(Override("preset", "memory", str))
    chosen = compose(schema, [*given, Override("output_dir", "out", str)], layers(given))
    assert (chosen.server.max_num_seqs, chosen.server.context, chosen.inference.tokens_to_generate) == (16, 8192, 64)


def test_a_model_that_cannot_be_had_says_so(capsys: Capture) -> None:
    assert main(["eval", "--model=safety_bert", "--benchmarks=arithmetic", "--output_dir=out"]) == 2
    assert "unitary/toxic-bert" in capsys.readouterr().err
