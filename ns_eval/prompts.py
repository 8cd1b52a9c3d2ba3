"""A prompt, its template and a question become what is sent: chat messages, or one text."""

from __future__ import annotations

import dataclasses
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ns_eval.config import PromptConfig, TemplateConfig, build, load_yaml
from ns_eval.errors import DataError, UsageError, suggest
from ns_eval.records import Json, Question, Request, Sampling, question_row
from ns_eval.resources import conf_file


@dataclass(frozen=True, slots=True)
class Prompt:
    """A resolved prompt: plain values, so that it travels in a job's spec and into the fingerprint.

    `examples` is the filled few-shot part; `values` fills fields that are not columns, such as total_code_executions.
    `template` set means: rendered here and sent as text.
    """

    name: str
    user: str
    system: str | None = None
    examples: str = ""
    values: Mapping[str, Json] = field(default_factory=dict)
    template: TemplateConfig | None = None


def load(
    name: str,
    *,
    template: str | None = None,
    system: str | None = None,
    examples_type: str | None = None,
    values: Mapping[str, Json] | None = None,
) -> Prompt:
    """The prompt of that name or path. `system` replaces its own system message, `values` fills fields beside the columns.

    Raises:
        UsageError: an unknown prompt, template or set of examples; a field that is not closed.
    """
    path = conf_file("prompt", name)
    config = build(PromptConfig, load_yaml(path), str(path))
    for text in (config.user, config.system or ""):
        _check_format(text, str(path))
    markup = template or config.code_tags
    chosen = _template(markup) if markup else None
    return Prompt(
        name=name,
        user=config.user,
        system=config.system if system is None else system,
        examples=_examples(config.few_shot_examples, examples_type, str(path)),
        values={**_tags(chosen), **(values or {})},
        template=chosen if template else None,
    )


def request(prompt: Prompt, question: Question, seed: int | None, sampling: Sampling) -> Request:
    """What is sent for one sample.

    Raises:
        DataError: the prompt asks for a field that the question does not have.
    """
    values = {**prompt.values, **question_row(question), "examples": prompt.examples}
    user = _fill(prompt.user, values, prompt.name)
    system = None if prompt.system is None else _fill(prompt.system, values, prompt.name)
    if prompt.template is not None:
        text = rendered(prompt.template, system, user)
        stop = (*sampling.stop, *(item for item in prompt.template.stop_phrases if item not in sampling.stop))
        return Request(question.id, seed, dataclasses.replace(sampling, stop=stop), text=text)
    messages = [] if system is None else [{"role": "system", "content": system}]
    return Request(question.id, seed, sampling, messages=(*messages, {"role": "user", "content": user}))


def rendered(template: TemplateConfig, system: str | None, user: str) -> str:
    """One text for the completions route, in the order of NeMo-Skills' templates; an absent system message is an empty one
    where the template has a system block, as there."""
    block = template.system_begin + (system or "") + template.system_end
    return template.text_begin + block + template.user_begin + user + template.user_end + template.assistant_begin


def _template(name: str) -> TemplateConfig:
    path = conf_file("template", name)
    return build(TemplateConfig, load_yaml(path), str(path))


def _tags(template: TemplateConfig | None) -> dict[str, Json]:
    if template is None:
        return {}
    return {
        "code_begin": template.code_begin,
        "code_end": template.code_end,
        "code_output_begin": template.code_output_begin,
        "code_output_end": template.code_output_end,
    }


def _examples(config: Mapping[str, Any], asked: str | None, where: str) -> str:
    """prefix + each example + suffix; empty, prefix and suffix included, where no set of examples is chosen."""
    chosen = asked or config.get("examples_type")
    if not chosen:
        return ""
    if "template" not in config:
        raise UsageError(f"{where}: examples_type `{chosen}` is asked for, but `few_shot_examples.template` is missing")
    path = conf_file("examples", chosen)
    rows: Sequence[Mapping[str, Json]] = load_yaml(path).get("examples") or []
    filled = "".join(_fill(config["template"], row, f"{path}, example {number}") for number, row in enumerate(rows, 1))
    return f"{config.get('prefix', '')}{filled}{config.get('suffix', '')}"


def _check_format(text: str, where: str) -> None:
    try:
        fields = [name for _, name, _, _ in string.Formatter().parse(text) if name is not None]
    except ValueError as error:
        raise UsageError(f"{where}: {error}", hint="a literal brace is doubled: \\boxed{{}}") from error
    for name in fields:
        if not name.isidentifier():
            raise UsageError(f"{where}: `{{{name}}}` is no column's name", hint="a literal brace is doubled: \\boxed{{}}")


def _fill(text: str, values: Mapping[str, Json], where: str) -> str:
    # One pass over the prompt's own text: a brace inside a question is never read as a field.
    parts = []
    for literal, name, _, _ in string.Formatter().parse(text):
        parts.append(literal)
        if name is None:
            continue
        if name not in values:
            raise DataError(
                f"prompt `{where}` asks for `{{{name}}}`, which the question does not have: {suggest(name, values)}"
            )
        parts.append(str(values[name]))
    return "".join(parts)
