"""Format texts of prompts: fields in braces, a literal brace doubled, as in `str.format`."""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping

from ns_eval.errors import DataError, UsageError, suggest

_DOUBLED = "a literal brace is doubled: \\boxed{{}}"


def check(text: str, where: str) -> None:
    """UsageError, naming the file, where a brace is not closed or holds something else than a column's name."""
    try:
        fields = [name for _, name in parts(text) if name is not None]
    except ValueError as error:
        raise UsageError(f"{where}: {error}", hint=_DOUBLED) from error
    for name in fields:
        if not name.isidentifier():
            raise UsageError(f"{where}: `{{{name}}}` is no column's name", hint=_DOUBLED)


def fill(text: str, values: Mapping[str, object], where: str) -> str:
    """The text with its fields filled. One pass: a brace inside a value is never read as a field.

    Raises:
        DataError: a field that `values` does not have; names the nearest one.
    """
    made = []
    for literal, name in parts(text):
        made.append(literal)
        if name is None:
            continue
        if name not in values:
            raise DataError(
                f"prompt `{where}` asks for `{{{name}}}`, which the question does not have: {suggest(name, values)}"
            )
        made.append(str(values[name]))
    return "".join(made)


def parts(text: str) -> Iterator[tuple[str, str | None]]:
    """(literal text, the field behind it or None), in order. ValueError where a brace is not closed."""
    return ((literal, name) for literal, name, _, _ in string.Formatter().parse(text))
