"""A checkpoint's own chat template, rendered here for the text route, as its tokenizer would render it. Owns jinja2."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ns_eval.errors import DataError, UsageError
from ns_eval.records import Json


@dataclass(frozen=True, slots=True)
class ChatTemplate:
    """Plain values, so that it travels in a job's spec. `tokens` are the special tokens by name, `values` what the user
    gives the template, `strips_start` that the server puts the first token in front itself: it would stand there twice.
    """

    text: str
    tokens: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Json] = field(default_factory=dict)
    strips_start: bool = False


def chat_template(folder: Path, values: Mapping[str, Json], *, raw: bool = False) -> ChatTemplate:
    """The template of a tokenizer's folder; `raw` says that the server is told to add no tokens of its own.

    Raises:
        UsageError: the folder holds no chat template.
        DataError: a file of it cannot be read.
    """
    config = _read(folder / "tokenizer_config.json")
    text = _text(folder, config)
    if text is None:
        raise UsageError(
            f"++inference.endpoint_type=text renders the chat template of the tokenizer, and {folder} has none",
            hint="--prompt_template=qwen-instruct (`ns show templates`), or ++tokenizer=FOLDER of one that has",
        )
    named = {**_read(folder / "special_tokens_map.json"), **config}
    tokens = {name: _content(value) for name, value in named.items() if name.endswith("_token") and _content(value)}
    start = tokens.get("bos_token", "")
    processor = json.dumps(_read(folder / "tokenizer.json").get("post_processor"), ensure_ascii=False)
    adds = bool(start) and (config.get("add_bos_token") is True or json.dumps(start, ensure_ascii=False) in processor)
    return ChatTemplate(text, tokens, dict(values), strips_start=adds and not raw)


def render(template: ChatTemplate, messages: Sequence[Mapping[str, Json]]) -> str:
    """The text that a model continues with its answer.

    Raises:
        UsageError: the template is broken, or refuses these messages in its own words.
    """
    from jinja2 import TemplateError

    try:
        found = str(
            _compiled(template.text).render(
                messages=list(messages), add_generation_prompt=True, **template.tokens, **template.values
            )
        )
    except TemplateError as error:
        raise UsageError(f"the chat template refuses the messages: {error}") from error
    start = template.tokens.get("bos_token", "")
    return found.removeprefix(start) if template.strips_start and start else found


@functools.lru_cache(maxsize=8)
def _compiled(text: str) -> Any:
    """As transformers compiles it: blocks trimmed, loop controls, no access to Python's insides.

    Source: huggingface/transformers, src/transformers/utils/chat_template_utils.py, _compile_jinja_template, v4.56.
    """
    from jinja2 import TemplateError, TemplateSyntaxError
    from jinja2.ext import loopcontrols
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    def raise_exception(message: str) -> None:
        raise TemplateError(message)

    def tojson(value: Json, indent: int | None = None) -> str:
        return json.dumps(value, ensure_ascii=False, indent=indent)

    environment = ImmutableSandboxedEnvironment(trim_blocks=True, lstrip_blocks=True, extensions=[loopcontrols])
    environment.filters["tojson"] = tojson
    environment.globals["raise_exception"] = raise_exception
    environment.globals["strftime_now"] = _now
    try:
        return environment.from_string(text)
    except TemplateSyntaxError as error:
        raise UsageError(f"the chat template is broken, line {error.lineno}: {error.message}") from error


def _now(form: str) -> str:
    from datetime import datetime

    return datetime.now().strftime(form)


def _text(folder: Path, config: Mapping[str, Json]) -> str | None:
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    found = _read(folder / "chat_template.json").get("chat_template") or config.get("chat_template")
    if isinstance(found, list):  # several, by name
        found = next((item.get("template") for item in found if item.get("name") == "default"), None)
    return found if isinstance(found, str) else None


def _content(value: Json) -> str:
    return str(value.get("content") or "") if isinstance(value, dict) else value if isinstance(value, str) else ""


def _read(file: Path) -> dict[str, Json]:
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{file} is no JSON: {error}") from error
    return found if isinstance(found, dict) else {}
