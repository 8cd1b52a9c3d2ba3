"""A command for several models: `--model=a,b`, or a category without a model. Each gets a run folder of its own."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

from ns_eval.arguments import Override
from ns_eval.catalogue import entries
from ns_eval.errors import UsageError


def each(given: Sequence[Override]) -> dict[str, list[Override]]:
    """Model -> what the command line says for it alone; a single one keeps its words.

    Raises:
        UsageError: a model twice; no output folder to put several runs into.
    """
    typed = {item.key: item.text for item in given}
    names = _names(typed)
    if len(names) < 2:
        return {typed.get("model", ""): list(given)}
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"--model names `{name}` twice")
    if "output_dir" not in typed:
        raise UsageError("missing: --output_dir", hint="the run of each model goes into a folder of its name below it")
    return {name: _alone(given, name, Path(typed["output_dir"])) for name in names}


def _names(typed: dict[str, str]) -> list[str]:
    model = typed.get("model")
    if model is not None:
        whole = Path(model).exists() or "," not in model
        return [model] if whole else [name.strip() for name in model.strip("[]").split(",") if name.strip()]
    if typed.get("all_categories", "").lower() in ("true", "yes", "on", "1"):
        chosen = entries.categories()
    else:
        words = typed.get("category", "").strip("[]").split(",")
        chosen = [entries.category(word.strip(" '\"")) for word in words if word.strip()]
    return list(dict.fromkeys(name for item in chosen for name in item.models))


def _alone(given: Sequence[Override], name: str, output_dir: Path) -> list[Override]:
    folder = str(output_dir / name.strip("/").replace("/", "__"))
    kept = [item for item in given if item.key != "model"]
    moved = [dataclasses.replace(item, text=folder) if item.key == "output_dir" else item for item in kept]
    return [*moved, Override("model", name, str)]
