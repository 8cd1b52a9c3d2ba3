"""Categories, presets, metrics and the models and benchmarks that they name, as conf/ declares them."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Sequence
from dataclasses import fields
from typing import TypeVar

from ns_eval import benchmarks, models
from ns_eval.catalogue.schema import ARCHITECTURES, STATISTICS, CategoryConfig, MetricConfig, PresetConfig
from ns_eval.config import BenchmarkConfig, ModelConfig
from ns_eval.errors import UsageError, suggest
from ns_eval.resources import conf_file, conf_names
from ns_eval.schema import build, load_yaml

T = TypeVar("T", CategoryConfig, PresetConfig, MetricConfig)


def category(name: str) -> CategoryConfig:
    """A category; hyphens and capitals are taken for what they mean.

    Raises:
        UsageError: there is none of that name, with the nearest; its YAML is not what the schema says.
    """
    return _entry(CategoryConfig, "category", name.lower().replace("-", "_"), "ns show categories")


def preset(name: str) -> PresetConfig:
    """A preset; errors as `category`."""
    return _entry(PresetConfig, "preset", name, "ns show presets")


def metric(name: str) -> MetricConfig:
    """A metric, by its name or one of its others; errors as `category`."""
    return _entry(MetricConfig, "metric", _metric_names().get(name, name), "ns show metrics")


def primary_metric(benchmark: BenchmarkConfig) -> MetricConfig:
    """What stands for a benchmark in a category's score; where its YAML names none, the share that its judge calls right."""
    return metric(benchmark.metric) if benchmark.metric else MetricConfig("accuracy", "share that its judge calls right")


def model(name: str) -> ModelConfig:
    """A model of conf/model.

    Raises:
        UsageError: there is none of that name; its architecture is none that is known.
    """
    entry = models.find(name)
    if entry is None:
        raise UsageError(f"unknown model `{name}`, {suggest(name, conf_names('model'))}", hint="ns show models")
    return checked(entry)


def checked(entry: ModelConfig) -> ModelConfig:
    """The entry, if its architecture is one that is known; else UsageError."""
    if entry.architecture not in ARCHITECTURES:
        wrong = suggest(entry.architecture, ARCHITECTURES)
        raise UsageError(f"conf/model/{entry.name}.yaml: `architecture` is `{entry.architecture}`, {wrong}")
    return entry


def categories() -> list[CategoryConfig]:
    """Every category, by name."""
    return [category(name) for name in sorted(conf_names("category"))]


def categories_of(name: str) -> list[CategoryConfig]:
    """The categories that a model stands in."""
    return [item for item in categories() if name in item.models]


def benchmarks_of(chosen: Iterable[CategoryConfig]) -> list[BenchmarkConfig]:
    """The benchmarks of categories, primary ones first in each; one that several name, or under two names, is there once."""
    names = [name for item in chosen for name in (*item.datasets.primary, *item.datasets.secondary)]
    return list({found.name: found for found in map(benchmarks.find, names)}.values())


def groups(entry: ModelConfig) -> list[str]:
    """The groups of a model as `facet:value`: what its entry says of it, then those that it lists itself."""
    facets = {
        "family": entry.family,
        "size": _size(entry.parameters),
        "arch": "moe" if entry.active_parameters else entry.architecture if entry.family else "",
        "quant": entry.quantization or ("none" if entry.parameters else ""),
        "runtime": entry.server_type,
    }
    return [*(f"{facet}:{value}" for facet, value in facets.items() if value), *entry.groups]


# Upper ends in billions of parameters.
_SIZES = (("tiny", 1.0), ("small", 5.0), ("medium", 16.0), ("large", 40.0))


def _size(parameters: float | None) -> str:
    if parameters is None:
        return ""
    return next((name for name, end in _SIZES if parameters <= end), "xlarge")


def _entry(schema: type[T], group: str, name: str, hint: str) -> T:
    known = conf_names(group)
    if name not in known:
        raise UsageError(f"unknown {group} `{name}`, {suggest(name, known)}", hint=hint)
    path = conf_file(group, name)
    found = build(schema, load_yaml(path), str(path))
    if found.name != name:
        raise UsageError(f"{path}: `name` is `{found.name}`, the file says `{name}`")
    _check(found, str(path))
    return found


def _check(found: CategoryConfig | PresetConfig | MetricConfig, where: str) -> None:
    """What a schema cannot say: a value out of few, a name twice, a limit below one."""
    if isinstance(found, MetricConfig):
        _one_of(found, "statistic", STATISTICS, where)
        _one_of(found, "status", ("ready", "judged", "refused"), where)
        _one_of(found, "direction", ("higher", "lower"), where)
    if isinstance(found, CategoryConfig):
        config = found.evaluation_config
        for item in fields(config)[:2]:
            value = getattr(config, item.name)
            if value is not None and value <= 0:
                raise UsageError(f"{where}: `evaluation_config.{item.name}` is {value}, expected a positive number")
        _once(found.models, "models", where)
        _once([*found.datasets.primary, *found.datasets.secondary], "datasets", where)


def _one_of(found: MetricConfig, key: str, known: Sequence[str], where: str) -> None:
    value = getattr(found, key)
    if value not in known:
        raise UsageError(f"{where}: `{key}` is `{value}`, {suggest(value, known)}")


def _once(names: Sequence[str], key: str, where: str) -> None:
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{where}: `{key}` names `{name}` twice")


@functools.cache
def _metric_names() -> dict[str, str]:
    found: dict[str, str] = {}
    for name, path in conf_names("metric").items():
        found |= dict.fromkeys(load_yaml(path).get("aliases") or [], name)
    return found
