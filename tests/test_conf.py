"""Every YAML in conf/ is what its schema says, and every name in it leads somewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from ns_eval import benchmarks, models, prompts, resources
from ns_eval.arguments import Override
from ns_eval.catalogue.layering import layers
from ns_eval.compose import compose, overrides
from ns_eval.config import ServerConfig, TemplateConfig
from ns_eval.grading import build_judge
from ns_eval.options import GenerateConfig
from ns_eval.resources import conf_file, conf_names
from ns_eval.schema import build, load_yaml
from ns_eval.server_commands import StartServerConfig


@pytest.mark.parametrize("name", conf_names("benchmark"))
def test_a_benchmark_names_a_prompt_and_a_judge_that_exist_or_says_why_not(name: str) -> None:
    benchmark = benchmarks.find(name)
    prompts.load(benchmark.prompt)
    if benchmark.status not in ("incompatible", "unavailable"):
        build_judge({**load_yaml(conf_file("judge", benchmark.judge)), **benchmark.judge_options})
    assert benchmark.about


def test_a_benchmarks_file_is_named_like_it() -> None:
    for name in conf_names("benchmark"):
        assert benchmarks.find(name).name == name


@pytest.mark.parametrize("name", conf_names("judge"))
def test_a_judge_can_be_built(name: str) -> None:
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
