"""The result of one check: ok, warn or fail, what was seen, and what to do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

State = Literal["ok", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Line:
    """One check. `todo` is empty where nothing is to be done."""

    state: State
    name: str
    said: str
    todo: str = ""


def shown(lines: Sequence[Line]) -> str:
    """The lines for people: state, name, what was seen; what to do stands below."""
    width = max((len(line.name) for line in lines), default=0)
    found = []
    for line in lines:
        found.append(f"{line.state:<4}  {line.name:<{width}}  {line.said}")
        if line.todo:
            found.append(f"{'':<4}  {'':<{width}}  -> {line.todo}")
    return "\n".join(found)
