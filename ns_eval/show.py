"""`ns show`: what there is to name on the command line."""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

from ns_eval import benchmarks
from ns_eval.catalogue import entries
from ns_eval.catalogue.schema import CategoryConfig
from ns_eval.config import ModelConfig
from ns_eval.errors import UsageError, suggest
from ns_eval.questions import data_dir, readiness
from ns_eval.resources import conf_names, locate
from ns_eval.schema import build, load_yaml, positional

# Longer words of an entry are cut at a blank: `ns show metric NAME` prints them whole.
_WIDEST = 100
# Group -> what a user calls several of it.
_REGULAR = ("benchmark", "model", "preset", "metric", "judge", "rubric", "server", "prompt", "template")
_GROUPS = {group: f"{group}s" for group in _REGULAR} | {"category": "categories"}
Entry: TypeAlias = dict[str, Any]


@dataclass
class ShowConfig:
    """List what can be named: benchmarks, models, categories, presets, metrics, judges, rubrics, servers, …

    Examples:
        ns show benchmarks --ready
        ns show models --category=coding_specialists
        ns show metrics --category=safety_alignment
        ns show benchmark aime24         # one of them, whole
        ns show categories --json
        ns show disagreements out        # what a model judge and the checker, or a person, do not agree on
    """

    what: str = positional("")
    """benchmarks, models, categories, presets, metrics, judges, rubrics, servers, prompts or templates."""
    name: str = positional("")
    """One of them, by any of its names: its YAML is printed. Of disagreements: the run folder."""
    category: str | None = None
    """Only the models, benchmarks or metrics of this category."""
    ready: bool = False
    """Only what can be run: benchmarks that are prepared or can be fetched, models that an engine serves."""
    data_dir: str | None = None
    """Where prepared benchmarks lie. Default: NS_DATA_DIR, NEMO_SKILLS_DATA_DIR, else ~/.cache/ns-eval/data."""
    labels: str | None = None
    """Of disagreements: human labels, JSON lines of id, seed and label, which then count before the checker."""
    most: int = 20
    """Of disagreements: how many of each benchmark; samples that share a call count once."""
    json: bool = False
    """Print JSON."""


def main(config: ShowConfig) -> int:
    if config.what == "disagreements":
        return _disagreements(config)
    if not config.what:
        print("\n".join(f"ns show {several}" for several in [*_GROUPS.values(), "disagreements OUT"]))
        return 0
    group = next((one for one, several in _GROUPS.items() if config.what in (one, several)), None)
    if group is None:
        raise UsageError(
            f"`ns show {config.what}`: {suggest(config.what, [*_GROUPS.values(), 'disagreements'])}", hint="ns show"
        )
    if config.name:
        path = _file(group, config.name)
        print(json.dumps(load_yaml(path), indent=2) if config.json else path.read_text().rstrip())
        return 0
    found = _LISTS.get(group, _plain(group))(config)
    print(json.dumps(found, indent=2) if config.json else _table(found))
    return 0


def _disagreements(config: ShowConfig) -> int:
    if not config.name:
        raise UsageError("of which run?", hint="ns show disagreements OUT")
    labels = Path(config.labels) if config.labels else None
    print(locate("summarize.trust:show_disagreements")(Path(config.name), labels, config.most))
    return 0


def _file(group: str, name: str) -> Path:
    """The YAML of one entry, by any of its names."""
    known = conf_names(group)
    if group == "benchmark":
        name = benchmarks.find(name).name
    elif group == "metric":
        name = entries.metric(name).name
    elif group == "category":
        name = entries.category(name).name
    if name not in known:
        raise UsageError(f"unknown {group} `{name}`, {suggest(name, known)}", hint=f"ns show {_GROUPS[group]}")
    return known[name]


def _plain(group: str) -> Callable[[ShowConfig], dict[str, Entry]]:
    def found(config: ShowConfig) -> dict[str, Entry]:
        if config.category is not None:
            raise UsageError(f"`ns show {_GROUPS[group]}` takes no --category", hint="ns show models --category=…")
        return {name: load_yaml(path) for name, path in sorted(conf_names(group).items())}

    return found


def _benchmarks(config: ShowConfig) -> dict[str, Entry]:
    """Each benchmark's `status` as it stands on this machine; how many there are of each goes to stderr."""
    folder = data_dir(config.data_dir)
    names = _of_category(config, lambda chosen: [item.name for item in entries.benchmarks_of([chosen])], "benchmark")
    files = conf_names("benchmark")
    found = {}
    for name in names:
        found[name] = {**load_yaml(files[name]), "status": readiness(benchmarks.find(name), folder)}
    _count([entry["status"] for entry in found.values()])
    return {name: entry for name, entry in found.items() if not config.ready or entry["status"] in ("prepared", "ready")}


def _models(config: ShowConfig) -> dict[str, Entry]:
    """Each model with its categories and groups."""
    members = {item.name: item.models for item in entries.categories()}
    files = conf_names("model")
    found = {}
    for name in _of_category(config, lambda chosen: chosen.models, "model"):
        said = load_yaml(files[name])
        entry = entries.checked(build(ModelConfig, said, str(files[name])))
        inside = [category for category, models in members.items() if name in models]
        found[name] = {**said, "status": entry.status, "categories": inside, "groups": entries.groups(entry)}
    _count([entry["status"] for entry in found.values()])
    return {name: entry for name, entry in found.items() if not config.ready or entry["status"] == "ready"}


def _categories(config: ShowConfig) -> dict[str, Entry]:
    """Each category with how much of it can be run."""
    folder = data_dir(config.data_dir)
    found = {}
    for item in [entries.category(config.category)] if config.category else entries.categories():
        there = {one.name: readiness(one, folder) for one in entries.benchmarks_of([item])}
        ready = [name for name in item.models if entries.model(name).status == "ready"]
        runnable = sum(status in ("prepared", "ready") for status in there.values())
        found[item.name] = {
            **load_yaml(conf_names("category")[item.name]),
            "benchmarks": there,
            "note": f"{len(item.models)} models ({len(ready)} ready), {len(there)} benchmarks ({runnable} ready)",
        }
    return {name: entry for name, entry in found.items() if not config.ready or _is_ready(entry)}


def _is_ready(entry: Entry) -> bool:
    return any(status in ("prepared", "ready") for status in entry["benchmarks"].values())


def _metrics(config: ShowConfig) -> dict[str, Entry]:
    names = _of_category(
        config, lambda chosen: [entries.metric(name).name for name in chosen.evaluation_config.metrics], "metric"
    )
    found = {name: load_yaml(conf_names("metric")[name]) for name in dict.fromkeys(names)}
    return {name: entry for name, entry in found.items() if not config.ready or entry.get("status", "ready") == "ready"}


def _of_category(config: ShowConfig, members: Callable[[CategoryConfig], Sequence[str]], group: str) -> list[str]:
    return list(members(entries.category(config.category))) if config.category else sorted(conf_names(group))


_LISTS: dict[str, Callable[[ShowConfig], dict[str, Entry]]] = {
    "benchmark": _benchmarks,
    "model": _models,
    "category": _categories,
    "metric": _metrics,
}


def _count(statuses: Sequence[str]) -> None:
    print(", ".join(f"{count} {status}" for status, count in Counter(statuses).most_common()), file=sys.stderr)


def _table(found: Mapping[str, Entry]) -> str:
    width = max((len(name) for name in found), default=0)
    return "\n".join(f"{name:<{width}}  {_about(entry)}".rstrip() for name, entry in found.items())


def _about(entry: Entry) -> str:
    """The status where something is in the way, what there is to know at a glance, then the entry's own words."""
    status = entry.get("status", "ready")
    note = "" if status == "ready" else f"[{status}] "
    said = str(entry.get("about") or entry.get("_target_") or entry.get("user") or "").strip().partition("\n")[0]
    said = said if len(said) <= _WIDEST else said[: _WIDEST - 2].rpartition(" ")[0].rstrip(";,: ") + " …"
    facts = entry.get("note") or _facts(entry)
    return f"{note}{said}{f'; {facts}' if facts else ''}"


def _facts(entry: Entry) -> str:
    if "categories" not in entry:
        return ""
    size = f"{entry['parameters']:g} B" if entry.get("parameters") else ""
    inside = ", ".join(entry["categories"])
    return " · ".join(part for part in (size, entry.get("quantization", ""), inside) if part)
