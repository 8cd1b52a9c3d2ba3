"""What a NeMo-Skills checkout holds that a run may borrow: prompts, templates, few-shot examples, budget sentences.

It is read as text and never imported: importing it takes half a minute and two hundred packages, and runs its code.
Layout: nemo_skills/prompt and nemo_skills/code_execution/utils.py of NVIDIA-NeMo/Skills, from a5436fdf to 0b012df8.
"""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ns_eval.errors import UsageError, suggest
from ns_eval.resources import conf_file

PREFIX = "nemo_skills:"
ENVIRONMENT = "NEMO_SKILLS_PATH"
# Where a name of each of our groups is looked up, below the package.
_FOLDERS = {"prompt": ("prompt/config",), "template": ("prompt/template", "prompt/code_tags")}
_HOW = f"++nemo_skills_path=/path/to/NeMo-Skills, or export {ENVIRONMENT}"
_STRIPS = {"strip": str.strip, "lstrip": str.lstrip, "rstrip": str.rstrip}
_FENCE = ("```system\n", "\n```\n")
_chosen: str | None = None


def use(path: str | None) -> None:
    """Looks in this folder from now on; None leaves it to NEMO_SKILLS_PATH."""
    global _chosen
    _chosen = path


def is_known() -> bool:
    """Whether a folder is named at all."""
    return bool(_chosen or os.environ.get(ENVIRONMENT))


def package() -> Path:
    """The folder `nemo_skills` of the checkout, or of the site-packages folder, that is named.

    Raises:
        UsageError: none is named, or there is no NeMo-Skills in it.
    """
    named = _chosen or os.environ.get(ENVIRONMENT)
    if not named:
        raise UsageError("no NeMo-Skills checkout is named", hint=_HOW)
    for folder in (Path(named) / "nemo_skills", Path(named)):
        if (folder / "prompt" / "config").is_dir():
            return folder.absolute()
    raise UsageError(f"{named} holds no NeMo-Skills: there is no nemo_skills/prompt/config in it", hint=_HOW)


def named_file(group: str, name: str) -> Path:
    """The file of a name in a group of conf/, a path, or the checkout's `nemo_skills:NAME` (prompt, template).

    Raises:
        UsageError: there is none; with the nearest names.
    """
    if not name.startswith(PREFIX):
        return conf_file(group, name)
    base, wanted = package(), name.removeprefix(PREFIX)
    folders = [base / below for below in _FOLDERS[group]]
    for folder in folders:
        path = folder / f"{wanted}.yaml"
        if path.is_file():
            return path
    known = [path.relative_to(folder).with_suffix("").as_posix() for folder in folders for path in folder.rglob("*.yaml")]
    raise UsageError(f"{base} has no {group} `{wanted}`, {suggest(wanted, known)}")


def example_sets() -> dict[str, Sequence[Mapping[str, Any]]]:
    """Every set of few-shot examples: prompt/few_shot_examples/*.py, each with its `examples_map`.

    Any: values as they stand there. A set that is computed in a way which cannot be read is left out.
    """
    found: dict[str, Sequence[Mapping[str, Any]]] = {}
    for path in sorted((package() / "prompt" / "few_shot_examples").glob("*.py")):
        if path.name == "__init__.py":
            continue
        sets = _constants(_parsed(path)).get("examples_map") or {}
        found.update({str(name): rows for name, rows in sets.items() if isinstance(rows, list)})
    return found


def budget_sentences() -> tuple[str, str]:
    """What a model is told after each execution, with {remaining}, and when none is left.

    Raises:
        UsageError: they do not stand where they stood in the commits that are known.
    """
    path = package() / "code_execution" / "utils.py"
    told = [text for text in _texts(_parsed(path)) if text.startswith(_FENCE[0]) and text.endswith(_FENCE[1])]
    with_number = [text for text in told if "{remaining}" in text]
    without = [text for text in told if "{remaining}" not in text]
    if len(with_number) != 1 or len(without) != 1:
        raise UsageError(
            f"{path}: the sentences about remaining code executions are not found there",
            hint="write them into a YAML as `remaining:` and `exhausted:`, and name it: ++server.code_execution.sentences=…",
        )
    remaining, exhausted = (text.removeprefix(_FENCE[0]).removesuffix(_FENCE[1]) for text in (with_number[0], without[0]))
    return remaining, exhausted


def _parsed(path: Path) -> ast.Module:
    try:
        return ast.parse(path.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from error


def _texts(tree: ast.Module) -> Iterator[str]:
    """Every text that is assigned to a name; an f-string's one number is {remaining}."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Assign):
            continue
        value = node.value
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield value.value
        elif isinstance(value, ast.JoinedStr):
            yield "".join(str(part.value) if isinstance(part, ast.Constant) else "{remaining}" for part in value.values)


def _constants(tree: ast.Module) -> dict[str, Any]:
    """The module's own names, as far as they are written out."""
    known: dict[str, Any] = {}
    for node in tree.body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            try:
                known[node.targets[0].id] = _value(node.value, known)
            except ValueError:
                continue
    return known


def _value(node: ast.expr, known: Mapping[str, Any]) -> Any:
    """Any: what the expression says. ValueError where it is more than constants, names, sums and `.strip()`."""
    if isinstance(node, ast.Name) and node.id in known:
        return known[node.id]
    if isinstance(node, ast.List | ast.Tuple):
        return [_value(item, known) for item in node.elts]
    if isinstance(node, ast.Dict):
        return _mapping(node, known)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _value(node.left, known) + _value(node.right, known)
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in _STRIPS and not node.args:
        return _STRIPS[node.func.attr](_value(node.func.value, known))
    return ast.literal_eval(node)


def _mapping(node: ast.Dict, known: Mapping[str, Any]) -> dict[str, Any]:
    """A set that cannot be read takes no other one with it."""
    made: dict[str, Any] = {}
    for key, item in zip(node.keys, node.values, strict=True):
        if key is None:  # **other
            made.update(_value(item, known))
        elif isinstance(item, ast.Name) and item.id not in known:
            continue
        else:
            made[_value(key, known)] = _value(item, known)
    return made
