"""A prompt, its template and a question become what is sent: chat messages, or one text."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field

from ns_eval import texts
from ns_eval.chat_template import ChatTemplate, render
from ns_eval.config import PromptConfig, TemplateConfig
from ns_eval.errors import DataError, suggest
from ns_eval.examples import examples_of
from ns_eval.markup import fields_of, template_of
from ns_eval.nemo_skills import PREFIX, named_file
from ns_eval.records import Json, Question, Request, Sampling, question_row
from ns_eval.schema import build, load_yaml


@dataclass(frozen=True, slots=True)
class Prompt:
    """A resolved prompt: plain values, so that it travels in a job's spec and into the fingerprint.

    `examples` is the filled few-shot part. Where a question chooses it, it is the name of a set, with columns in it as in
    `mmlu_few_shot_{topic}`, and `example_sets` holds the sets. `values` fills fields that are not columns, such as
    total_code_executions. `template` set means: rendered here and sent as text, as the checkpoint's own `chat_template` is.
    `code_tags` names the template whose marks stand around code.
    """

    name: str
    user: str
    system: str | None = None
    examples: str = ""
    example_sets: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Json] = field(default_factory=dict)
    template: TemplateConfig | None = None
    code_tags: str = ""
    chat_template: ChatTemplate | None = None

    @property
    def as_text(self) -> bool:
        """Whether it is rendered here and sent to the text route."""
        return self.template is not None or self.chat_template is not None


def load(
    name: str,
    *,
    template: str | None = None,
    system: str | None = None,
    examples_type: str | None = None,
    code_tags: str | None = None,
    values: Mapping[str, Json] | None = None,
) -> Prompt:
    """The prompt of that name or path, or `nemo_skills:NAME` of a checkout. `system` replaces its own system message,
    `values` fills fields beside the columns.

    Raises:
        UsageError: an unknown prompt, template or set of examples; a field that is not closed.
    """
    path = named_file("prompt", name)
    config = build(PromptConfig, load_yaml(path), str(path))
    for text in (config.user, config.system or ""):
        texts.check(text, str(path))
    markup = code_tags or template or _beside(config.code_tags, name) or ""
    marks = template_of(markup) if markup else None
    chosen = _beside(examples_type or config.few_shot_examples.get("examples_type"), name)
    examples = examples_of(config.few_shot_examples, chosen, marks, str(path))
    return Prompt(
        name=name,
        user=config.user,
        # An empty message of a YAML is none, as in NeMo-Skills; a template's empty block stands either way.
        system=(config.system or None) if system is None else system,
        examples=examples.text,
        example_sets=examples.sets or {},
        values={**(fields_of(marks) if marks is not None else {}), **(values or {})},
        template=template_of(template) if template else None,
        code_tags=markup,
    )


def request(prompt: Prompt, question: Question, seed: int | None, sampling: Sampling) -> Request:
    """What is sent for one sample.

    Raises:
        DataError: the prompt asks for a field that the question does not have.
    """
    row = question_row(question)
    values = {**prompt.values, **row, "examples": _examples_for(prompt, row)}
    user = texts.fill(prompt.user, values, prompt.name)
    system = None if prompt.system is None else texts.fill(prompt.system, values, prompt.name)
    if prompt.template is not None:
        text = rendered(prompt.template, system, user)
        stop = (*sampling.stop, *(item for item in prompt.template.stop_phrases if item not in sampling.stop))
        return Request(question.id, seed, dataclasses.replace(sampling, stop=stop), text=text)
    head = [] if system is None else [{"role": "system", "content": system}]
    messages = (*head, {"role": "user", "content": user})
    if prompt.chat_template is not None:
        return Request(question.id, seed, sampling, text=render(prompt.chat_template, messages))
    return Request(question.id, seed, sampling, messages=messages)


def rendered(template: TemplateConfig, system: str | None, user: str) -> str:
    """One text for the completions route, in the order of NeMo-Skills' templates; an absent system message is an empty one
    where the template has a system block, as there."""
    block = template.system_begin + (system or "") + template.system_end
    return template.text_begin + block + template.user_begin + user + template.user_end + template.assistant_begin


def _beside(name: str | None, prompt: str) -> str | None:
    """A name that a prompt of a checkout mentions is one of that checkout, unless it is a path."""
    if not name or not prompt.startswith(PREFIX) or name.startswith(PREFIX) or name.endswith((".yaml", ".yml")):
        return name
    return PREFIX + name


def _examples_for(prompt: Prompt, row: Mapping[str, Json]) -> str:
    if not prompt.example_sets:
        return prompt.examples
    name = texts.fill(prompt.examples, row, f"{prompt.name}: examples_type")
    if name not in prompt.example_sets:
        raise DataError(f"prompt `{prompt.name}` has no examples `{name}`, {suggest(name, prompt.example_sets)}")
    return prompt.example_sets[name]
