"""Rubrics as data: what conf/rubric/*.yaml may hold, and what becomes of it in a prompt and in a request."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ns_eval.errors import UsageError
from ns_eval.records import Json
from ns_eval.resources import conf_file
from ns_eval.schema import REQUIRED, build, load_yaml

OVERALL = "overall_score"
COMMENTS = "comments"


@dataclass
class Criterion:
    """One thing that is rated."""

    name: str = REQUIRED
    """Its column: lower case, words joined by _."""
    about: str = REQUIRED
    """What is rated, as the judge reads it."""


@dataclass
class ScaleConfig:
    """The ratings there are."""

    minimum: int = REQUIRED
    """The lowest."""
    maximum: int = REQUIRED
    """The highest."""


@dataclass
class RubricConfig:
    """A rubric. conf/rubric/<name>.yaml"""

    name: str = ""
    """Equals the file's name."""
    about: str = ""
    """One line: what it rates, and whose it is."""
    scale: ScaleConfig = REQUIRED
    """Integers from minimum to maximum."""
    criteria: list[Criterion] = REQUIRED
    """What is rated, in order."""
    levels: dict[int, str] = field(default_factory=dict)
    """What a rating means; not every one needs a text."""
    comments: bool = True
    """Ask for one or two sentences of reasons."""


def load_rubric(rubric: str | Mapping[str, Any]) -> RubricConfig:
    """A checked rubric by name or path, or from plain data.

    Raises:
        UsageError: an unknown name; a missing scale or no criteria; a level outside the scale; two criteria of one name.
    """
    path = conf_file("rubric", rubric) if isinstance(rubric, str) else None
    values = load_yaml(path) if path is not None else dict(rubric) if isinstance(rubric, Mapping) else {}
    where = str(path or "rubric")
    for key in ("scale", "criteria"):
        if not values.get(key):
            raise UsageError(
                f"{where}: `{key}` is missing", hint="a rubric needs scale: {minimum: 1, maximum: 5} and criteria"
            )
    if isinstance(values.get("levels"), Mapping):  # JSON, in which plain data travels, has text keys only
        values["levels"] = {int(key) if str(key).isdecimal() else key: text for key, text in values["levels"].items()}
    built = build(RubricConfig, values, where)
    names = [criterion.name for criterion in built.criteria]
    if len(set(names)) != len(names):
        raise UsageError(f"{where}: two criteria have one name: {', '.join(names)}")
    for name in names:
        if not name.isidentifier() or name in (OVERALL, COMMENTS):
            raise UsageError(
                f"{where}: criterion `{name}` cannot be a column: letters, digits and _, not {OVERALL} or {COMMENTS}"
            )
    low, high = built.scale.minimum, built.scale.maximum
    if low >= high:
        raise UsageError(f"{where}: scale: minimum {low} is not below maximum {high}")
    outside = [level for level in built.levels if not low <= level <= high]
    if outside:
        raise UsageError(f"{where}: levels: {outside[0]} is outside the scale from {low} to {high}")
    return built


def plain_rubric(rubric: RubricConfig) -> dict[str, Json]:
    """The rubric as JSON values."""
    return {**dataclasses.asdict(rubric), "levels": {str(level): text for level, text in rubric.levels.items()}}


def rubric_values(rubric: RubricConfig) -> dict[str, Json]:
    """The fields of a rubric for its prompt."""
    low, high = rubric.scale.minimum, rubric.scale.maximum
    example: dict[str, Json] = {criterion.name: f"<{low}-{high}>" for criterion in rubric.criteria}
    if rubric.comments:
        example = {COMMENTS: "<one or two sentences>"} | example
    return {
        "criteria": "\n".join(f"- {criterion.name}: {criterion.about}" for criterion in rubric.criteria),
        "levels": "\n".join(f"{level} = {text}" for level, text in sorted(rubric.levels.items())),
        "minimum": low,
        "maximum": high,
        "format": json.dumps(example).replace('"<' + f"{low}-{high}" + '>"', f"<{low}-{high}>"),
    }


def schema_of(rubric: RubricConfig) -> dict[str, Json]:
    """The request's `response_format`: comments first, so that reasons come before ratings; integers by enum."""
    levels = list(range(rubric.scale.minimum, rubric.scale.maximum + 1))
    properties: dict[str, Json] = {COMMENTS: {"type": "string"}} if rubric.comments else {}
    properties |= {criterion.name: {"type": "integer", "enum": levels} for criterion in rubric.criteria}
    schema = {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}
    name = rubric.name or "rubric"
    return {"type": "json_schema", "json_schema": {"name": name, "strict": True, "schema": schema}}
