"""`ns show`: what there is to name on the command line."""

from __future__ import annotations

import json
import sys
from collections import Counter
from dataclasses import dataclass
from typing import Any

from ns_eval.benchmarks import find
from ns_eval.config import load_yaml, positional
from ns_eval.errors import UsageError, suggest
from ns_eval.questions import data_dir, readiness
from ns_eval.resources import conf_names

_GROUPS = ("benchmark", "model", "judge", "rubric", "server", "prompt", "template")


@dataclass
class ShowConfig:
    """List what can be named: benchmarks, models, judges, rubrics, servers, prompts, templates.

    Examples:
        ns show benchmarks
        ns show models
        ns show benchmark aime24         # one of them, whole
        ns show benchmarks --json
    """

    what: str = positional("")
    """benchmarks, models, judges, rubrics, servers, prompts or templates."""
    name: str = positional("")
    """One of them: its YAML is printed."""
    ready: bool = False
    """Only benchmarks that are prepared or can be fetched."""
    data_dir: str | None = None
    """Where prepared benchmarks lie. Default: NS_DATA_DIR, NEMO_SKILLS_DATA_DIR, else ~/.cache/ns-eval/data."""
    json: bool = False
    """Print JSON."""


def main(config: ShowConfig) -> int:
    if not config.what:
        print("\n".join(f"ns show {group}s" for group in _GROUPS))
        return 0
    group = config.what.removesuffix("s")
    if group not in _GROUPS:
        raise UsageError(f"`ns show {config.what}`: {suggest(group, _GROUPS)}", hint="ns show")
    known = conf_names(group)
    if config.name:
        if config.name not in known:
            raise UsageError(f"unknown {group} `{config.name}`, {suggest(config.name, known)}", hint=f"ns show {group}s")
        print(
            json.dumps(load_yaml(known[config.name]), indent=2) if config.json else known[config.name].read_text().rstrip()
        )
        return 0
    entries = {name: load_yaml(path) for name, path in sorted(known.items())}
    if group == "benchmark":
        entries = _with_readiness(entries, config)
    print(json.dumps(entries, indent=2) if config.json else _table(entries))
    return 0


def _with_readiness(entries: dict[str, dict[str, Any]], config: ShowConfig) -> dict[str, dict[str, Any]]:
    """Each benchmark's `status` as it stands on this machine; how many there are of each goes to stderr."""
    folder = data_dir(config.data_dir)
    found = {name: {**values, "status": readiness(find(name), folder)} for name, values in entries.items()}
    counts = Counter(values["status"] for values in found.values())
    print(", ".join(f"{count} {status}" for status, count in counts.most_common()), file=sys.stderr)
    return {name: values for name, values in found.items() if not config.ready or values["status"] in ("prepared", "ready")}


def _table(entries: dict[str, dict[str, Any]]) -> str:
    width = max((len(name) for name in entries), default=0)
    return "\n".join(f"{name:<{width}}  {_about(values)}".rstrip() for name, values in entries.items())


def _about(values: dict[str, Any]) -> str:
    status = values.get("status", "ready")
    note = "" if status == "ready" else f"[{status}] "
    said = values.get("about") or values.get("_target_") or values.get("user") or ""
    return note + str(said).strip().partition("\n")[0][:100]
