"""Every command that the documentation shows is one that the command line takes."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from ns_eval.cli import COMMANDS, command_of
from ns_eval.compose import overrides
from ns_eval.resources import locate
from tests.paths import REPO, SHARED, needs_shared

PAGES = sorted([REPO / "README.md", *(REPO / "docs").glob("*.md"), *(REPO / "examples").rglob("*.md")])


def shown(text: str) -> Iterator[str]:
    """The `ns` command lines of fenced blocks, continuations joined."""
    for block in re.findall(r"^```(?:bash|sh|console|text)?\n(.*?)^```", text, flags=re.MULTILINE | re.DOTALL):
        for line in re.sub(r"\\\n\s*", " ", block).splitlines():
            line = line.strip().removeprefix("$ ")
            if re.match(r"ns [a-z]", line):
                yield line


def taken(line: str) -> None:
    """Parses a command line as the door does, up to the point where something would start."""
    spoken = shlex.split(line, comments=True)
    _, *given = itertools.takewhile(lambda word: word not in ("|", ">", "&&"), spoken)
    name, words = command_of(given)
    command = COMMANDS[name]
    if "--help" in words or "…" in words:
        return
    overrides(locate(command.schema), words, locate(command.spellings) if command.spellings else None)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(REPO)))
def test_a_pages_commands_are_taken(page: Path) -> None:
    for line in shown(page.read_text(encoding="utf-8")):
        taken(line)


@pytest.mark.parametrize("command", COMMANDS)
def test_the_examples_of_a_commands_help_are_taken(command: str) -> None:
    doc = locate(COMMANDS[command].schema).__doc__ or ""
    lines = [line.strip() for line in re.sub(r"\\+\n\s*", " ", doc).splitlines() if line.strip().startswith("ns ")]
    assert lines
    for line in lines:
        taken(line)


@needs_shared
def test_every_command_of_the_evaluation_guide_is_taken() -> None:
    (guide,) = (SHARED / "sources").glob("003_*.txt")
    lines = list(shown(guide.read_text(encoding="utf-8")))
    assert len(lines) >= 9
    for line in lines:
        taken(line)
