"""Every YAML in conf/ is what its schema says, and every name in it leads somewhere."""

from __future__ import annotations

import pytest

from ns_eval import benchmarks, models, prompts
from ns_eval.arguments import Override
from ns_eval.config import ServerConfig, TemplateConfig, build, load_yaml
from ns_eval.grading import build_judge
from ns_eval.resources import conf_file, conf_names


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
    assert models.layers([Override("model", name, str)])
