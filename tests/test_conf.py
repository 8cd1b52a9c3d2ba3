"""Every YAML in conf/ is what its schema says, and every name in it leads somewhere."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from ns_eval import benchmarks, models, prompts, resources
from ns_eval.arguments import Override
from ns_eval.catalogue.layering import layers
from ns_eval.compose import compose, overrides
from ns_eval.config import BenchmarkConfig, ServerConfig, TemplateConfig
from ns_eval.errors import UsageError
from ns_eval.grading import build_judge
from ns_eval.options import EvalConfig, GenerateConfig
from ns_eval.ranges import RANGES
from ns_eval.resources import conf_file, conf_names
from ns_eval.schema import build, field_types, load_yaml
from ns_eval.server_commands import StartServerConfig


def installed(judge: str) -> bool:
    """IFEval's checks come with a package that this environment need not have; tests/test_judge_ifeval.py is about it."""
    return judge != "ifeval" or importlib.util.find_spec("lm_eval") is not None


@pytest.mark.parametrize("name", conf_names("benchmark"))
def test_a_benchmark_names_a_prompt_and_a_judge_that_exist_or_says_why_not(name: str) -> None:
    benchmark = benchmarks.find(name)
    prompts.load(benchmark.prompt)
    if benchmark.status not in ("incompatible", "unavailable") and installed(benchmark.judge):
        build_judge({**load_yaml(conf_file("judge", benchmark.judge)), **benchmark.judge_options})
    assert benchmark.about


def test_a_benchmarks_file_is_named_like_it() -> None:
    for name in conf_names("benchmark"):
        assert benchmarks.find(name).name == name


@pytest.mark.parametrize("name", conf_names("judge"))
def test_a_judge_can_be_built(name: str) -> None:
    if not installed(name):
        pytest.skip(f"what {name} needs beside ns-eval is not installed")
    assert build_judge(load_yaml(conf_file("judge", name))).name


@pytest.mark.parametrize("name", conf_names("prompt"))
def test_a_prompt_can_be_loaded(name: str) -> None:
    assert prompts.load(name).user


@pytest.mark.parametrize("name", conf_names("template"))
def test_a_template_is_one(name: str) -> None:
    path = conf_file("template", name)
    build(TemplateConfig, load_yaml(path), str(path))


@pytest.mark.parametrize("name", conf_names("server"))
def test_a_server_is_one(name: str) -> None:
    path = conf_file("server", name)
    assert build(ServerConfig, load_yaml(path), str(path)).name == name


@pytest.mark.parametrize("name", conf_names("model"))
def test_a_model_composes(name: str) -> None:
    entry = models.find(name)
    assert entry is not None
    assert entry.name == name
    assert entry.status == "ready" or entry.reason
    if entry.status != "unavailable":
        layered = {item.key: item.text for item in layers([Override("model", name, str)])}
        assert layered["server_type"]
        assert "prompt_template" not in layered or layered["prompt_template"] in conf_names("template")


@pytest.mark.parametrize("name", conf_names("tier"))
def test_a_tier_file_names_tiers_and_benchmarks_that_are_known(name: str) -> None:
    from summarize.rankings.tiers import read

    tiers = read(name, {})
    assert tiers is not None and tiers.name == name and tiers.about
    for benchmark, tier in tiers.benchmarks.items():
        assert benchmarks.find(benchmark).name == benchmark
        assert ({tier} if isinstance(tier, str) else set(tier.values())) <= set(tiers.tiers)


def test_a_models_yaml_says_its_price_its_limits_and_what_it_refuses(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resources, "_own", [])  # a folder that is added stays for the process
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "sold.yaml").write_text(
        "name: sold\nserver_type: openai\nprice: {input: 2.5, output: 10}\nmax_concurrent_requests: 7\n"
        "inference: {tokens_to_generate: 99}\nserver: {refuses: [temperature]}\n"
    )
    words = [f"hydra.searchpath=[file://{tmp_path}]", "--model=sold"]
    given = overrides(GenerateConfig, [*words, "--output_dir=o", "++price.output=8"])
    found = compose(GenerateConfig, given, models.layers(given))
    assert (found.price.input, found.price.output, found.max_concurrent_requests) == (2.5, 8.0, 7)
    assert (found.inference.tokens_to_generate, found.server.refuses) == (99, ["temperature"])
    # A server that is only started has no use for the half of it.
    given = overrides(StartServerConfig, words)
    assert compose(StartServerConfig, given, models.layers(given)).server.refuses == ["temperature"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("needs: {a: 1}", "`needs`: expected list[str], found {'a': 1}"),
        ("needs: x", "`needs`: expected list[str], found 'x'"),
        ("inference: 3", "`inference`: expected InferenceConfig, found 3"),
        ("seeds: many", "`seeds`: Value 'many'"),
        ("neds: [x]", "unknown key `neds`, did you mean `needs`"),
    ],
)
def test_a_value_of_another_type_is_named_with_its_key(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(f"name: mine\nabout: one of my own\n{text}\n")
    with pytest.raises(UsageError) as refused:
        build(BenchmarkConfig, load_yaml(path), str(path))
    assert f"{path}: {said}" in str(refused.value)


def test_a_name_that_is_taken_is_refused_and_a_shipped_one_that_is_hidden_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(resources, "_own", [])
    (tmp_path / "benchmark").mkdir()
    own = tmp_path / "benchmark" / "gsm8k.yaml"
    own.write_text("name: gsm8k\nabout: another one\n")
    resources.add_conf_folder(tmp_path)
    assert f"{own} is used in place of the shipped one" in caplog.text
    assert benchmarks.find("gsm8k").about == "another one"
    benchmarks._aliases.cache_clear()
    try:
        own.write_text("name: gsm8k\nabout: another one\naliases: [humaneval]\n")
        with pytest.raises(UsageError, match=r"`humaneval` is already a name of|is already a name of .*gsm8k"):
            benchmarks.find("HumanEval")
    finally:
        benchmarks._aliases.cache_clear()


def test_every_range_is_that_of_a_key_of_the_evaluation() -> None:
    for key in RANGES:
        schema: Any = EvalConfig
        for name in key.split("."):
            assert name in field_types(schema), key
            schema = field_types(schema)[name]
