"""From a server's configuration to its argument list: placeholders filled, options merged, none given twice."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ns_eval.config import ServerConfig
from ns_eval.errors import UsageError

_PLACEHOLDER = re.compile(r"{([a-z_]+)}")
_OPTION = re.compile(r"-{1,2}[A-Za-z]")


def engine_argv(server: ServerConfig, values: Mapping[str, Any], *more: Mapping[str, Any]) -> list[str]:
    """The argument list that starts an engine: argv, then its options, then `more`, then the user's; the last one wins.

    Raises:
        UsageError: a placeholder that does not exist, or --server_args with an open quote.
    """
    filled = {"python": sys.executable, "package": str(Path(__file__).parent.parent), **values}
    command = [part for text in server.argv for part in _fill(text, filled)]
    options: dict[str, list[str]] = {}
    for table in (server.args, *more):
        for name, value in table.items():
            _set(options, server, f"--{name}", _words(value, filled))
    for name, words in split_options(server.server_args):
        _set(options, server, name, words)
    return [*command, *(word for words in options.values() for word in words)]


def has_option(argv: Sequence[str], server: ServerConfig, name: str) -> bool:
    """Whether an argument list holds an option, under any of its spellings."""
    wanted = _canonical(server, f"--{name}")
    return any(_canonical(server, word.partition("=")[0]) == wanted for word in argv if _OPTION.match(word))


def split_options(text: str) -> list[tuple[str, list[str]]]:
    """`--a 1 --b=x y` -> (name, its words as written, the name first) of each option.

    Raises:
        UsageError: a quote that is not closed, or a word before the first option.
    """
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise UsageError(f"--server_args: {error}: {text}") from error
    found: list[tuple[str, list[str]]] = []
    for word in words:
        if _OPTION.match(word):
            found.append((word.partition("=")[0], [word]))
        elif found:
            found[-1][1].append(word)
        else:
            raise UsageError(f"--server_args begins with `{word}`, which is no option", hint='--server_args="--name value"')
    return found


def _set(options: dict[str, list[str]], server: ServerConfig, name: str, words: list[str] | None) -> None:
    key = _canonical(server, name)
    options.pop(key, None)
    if words is not None:
        options[key] = words if words and words[0].startswith(name) else [name, *words]


def _canonical(server: ServerConfig, name: str) -> str:
    """One name for all spellings of an option: vLLM takes `--max_model_len` for `--max-model-len`, and `-tp`."""
    plain = name.replace("_", "-")
    return server.aliases.get(plain, server.aliases.get(name, plain))


def _words(value: Any, filled: Mapping[str, Any]) -> list[str] | None:
    """The words behind an option; None where it is to be left out."""
    if value is None or value is False:
        return None
    if value is True:
        return []
    if not isinstance(value, list):
        value = [value]
    words = [word for item in value for word in _fill(str(item), filled)]
    return words or None


def _fill(text: str, filled: Mapping[str, Any]) -> list[str]:
    """The text with its placeholders filled; a list spreads, and an unset value leaves nothing."""
    whole = _PLACEHOLDER.fullmatch(text)
    if whole:
        value = _value(whole[1], filled)
        return [] if value is None else [str(item) for item in value] if isinstance(value, list) else [str(value)]
    return [_PLACEHOLDER.sub(lambda match: str(_value(match[1], filled)), text)]


def _value(name: str, filled: Mapping[str, Any]) -> Any:
    if name not in filled:
        raise UsageError(f"server.args: unknown placeholder {{{name}}}; known: {', '.join(sorted(filled))}")
    return filled[name]
