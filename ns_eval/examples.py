"""The few-shot part of a prompt, in NeMo-Skills' form: prefix, each example through one template, suffix.

A set of examples is a YAML of conf/examples or of one's own with a list `examples`, or `nemo_skills:NAME` of a checkout.
Where its name holds columns, as `mmlu_few_shot_{topic}` does, each question chooses its own set.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ns_eval import nemo_skills, texts
from ns_eval.config import TemplateConfig
from ns_eval.errors import UsageError, suggest
from ns_eval.markup import CodeTags, fields_of, template_of
from ns_eval.resources import conf_names
from ns_eval.schema import load_yaml

Rows = Sequence[Mapping[str, Any]]  # Any: the columns of an example
_RETRIEVAL = ("retrieval_field", "retrieval_file", "retriever")
_OUTPUT = re.compile(r"{code_output_begin}\n(.*?){code_output_end}", re.DOTALL)
# Marks of a chat prompt that names none, as upstream: Python fences.
_FENCES = "qwen-instruct"


@dataclass(frozen=True, slots=True)
class Examples:
    """`text` is the few-shot part. Where a question chooses, `text` is the name of a set, and `sets` holds them filled."""

    text: str = ""
    sets: Mapping[str, str] | None = None


def examples_of(config: Mapping[str, Any], chosen: str | None, markup: TemplateConfig | None, where: str) -> Examples:
    """The examples of a prompt's YAML, found at `where`; nothing, prefix and suffix included, where no set is chosen.

    Raises:
        UsageError: an unknown set, no template for them, or examples that are retrieved for each question.
    """
    if any(config.get(key) for key in _RETRIEVAL):
        raise UsageError(f"{where}: examples that are retrieved for each question are not supported")
    if not chosen:
        return Examples()
    if "template" not in config:
        raise UsageError(f"{where}: examples_type `{chosen}` is asked for, but `few_shot_examples.template` is missing")
    if "{" not in chosen:
        return Examples(_filled(config, chosen, _rows(chosen), markup))
    bare = chosen.removeprefix(nemo_skills.PREFIX)
    texts.check(bare, f"{where}: examples_type")
    sets = {name: _filled(config, name, rows, markup) for name, rows in _sets_like(chosen).items()}
    return Examples(bare, sets)


def _filled(config: Mapping[str, Any], name: str, rows: Rows, markup: TemplateConfig | None) -> str:
    fields = fields_of(markup) if markup is not None else {}
    parts = [
        texts.fill(config["template"], {**fields, **_with_tags(row, markup)}, f"{name}, example {number}")
        for number, row in enumerate(rows, 1)
    ]
    return f"{config.get('prefix', '')}{''.join(parts)}{config.get('suffix', '')}"


def _with_tags(row: Mapping[str, Any], markup: TemplateConfig | None) -> dict[str, Any]:
    """Examples mark code neutrally, {code_begin} … {code_output_end}; the model reads its own marks."""
    marked = {key: value for key, value in row.items() if isinstance(value, str) and "{code_begin}" in value}
    if not marked:
        return dict(row)
    name = "that of the prompt" if markup is not None else _FENCES
    tags = CodeTags.of(markup or template_of(_FENCES), name)
    shown = {key: _OUTPUT.sub(lambda found: tags.output("completed", found[1]), value) for key, value in marked.items()}
    marks = {key: value.replace("{code_begin}", tags.begin).replace("{code_end}", tags.end) for key, value in shown.items()}
    return {**row, **marks}


def _rows(name: str) -> Rows:
    """The examples of one set."""
    if not name.startswith(nemo_skills.PREFIX):
        return list(load_yaml(nemo_skills.named_file("examples", name)).get("examples") or [])
    sets, wanted = nemo_skills.example_sets(), name.removeprefix(nemo_skills.PREFIX)
    if wanted not in sets:
        raise UsageError(f"{nemo_skills.package()} has no examples `{wanted}`, {suggest(wanted, sets)}")
    return sets[wanted]


def _sets_like(name: str) -> dict[str, Rows]:
    """Every set that a name with columns in it can mean."""
    bare = name.removeprefix(nemo_skills.PREFIX)
    pattern = "".join(re.escape(literal) + (".+" if field is not None else "") for literal, field in texts.parts(bare))
    if name.startswith(nemo_skills.PREFIX):
        found = {known: rows for known, rows in nemo_skills.example_sets().items() if re.fullmatch(pattern, known)}
    else:
        found = {known: _rows(known) for known in conf_names("examples") if re.fullmatch(pattern, known)}
    if not found:
        raise UsageError(f"no set of examples is called like `{name}`")
    return found
