"""argv -> overrides of config keys, in every spelling: `--key=value`, `--key value`, `--key-x`, `key=value`, `++a.b=c`."""

from __future__ import annotations

import dataclasses
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ns_eval.errors import UsageError, suggest
from ns_eval.schema import field_types

_BOOLEAN_WORDS = {"true", "false", "yes", "no", "on", "off", "1", "0"}


@dataclass(frozen=True, slots=True)
class Override:
    """One setting as typed: the dotted key, its text, and the type that its field declares (None inside an open dict)."""

    key: str
    text: str
    type: Any = None


@dataclass(frozen=True, slots=True)
class Spellings:
    """Older names of a command: `aliases` are taken for another key, `refused` are answered with the replacement, and
    `instead` are other commands' words, {value} filled in."""

    aliases: Mapping[str, str] = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    ignored: Mapping[str, str] = field(default_factory=dict)
    instead: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def other_command(self, words: Sequence[str]) -> list[str] | None:
        """The words of the command that one of these words stands for; None where none does."""
        for place, word in enumerate(words):
            key, text = _split(word) if word.startswith(("--", "+")) else ("", None)
            if key in self.instead:
                wanted = self.instead[key]
                if text is None and any("{value}" in part for part in wanted):
                    text = _next_value(key, str, list(words[place + 1 :]))
                return [part.replace("{value}", text or "") for part in wanted]
        return None


def parse(schema: type, argv: Sequence[str], spellings: Spellings | None = None) -> list[Override]:
    """The overrides that `argv` holds, in its order.

    Raises:
        UsageError: a key that no field declares (with the nearest ones), a value that is missing, an argument too many.
    """
    spellings = spellings or Spellings()
    nameless = [item for item in dataclasses.fields(schema) if item.metadata.get("positional")]
    repeated = {item.name for item in dataclasses.fields(schema) if item.metadata.get("repeated")}
    overrides: list[Override] = []
    taken: list[str] = []
    rest = list(argv)
    while rest:
        word = rest.pop(0)
        if word == "--":
            taken += rest
            break
        if _is_nameless(word, schema, nameless):
            taken.append(word)
            continue
        key, text = _split(word)
        key = spellings.aliases.get(key, key)
        if key in spellings.refused:
            raise UsageError(f"`{key}` is not taken here: {spellings.refused[key]}")
        ignored = key in spellings.ignored
        declared = bool if ignored else _type_of(schema, key)
        if text is None:
            text = _next_value(key, declared, rest)
        if key in repeated:
            text = ",".join([*(item.text for item in overrides if item.key == key), text])
            overrides = [item for item in overrides if item.key != key]
        if not ignored:
            overrides.append(Override(key, text, declared))
    return _positional(nameless, taken) + overrides


def is_list(declared: Any) -> bool:
    """Whether a field of this type takes several values."""
    return any(typing.get_origin(part) is list for part in _parts(declared))


def is_text(declared: Any) -> bool:
    """Whether a field of this type holds text."""
    return str in _parts(declared)


def paths(schema: type, prefix: str = "") -> list[str]:
    """Every dotted key of a schema."""
    found = []
    for name, declared in field_types(schema).items():
        found.append(prefix + name)
        if dataclasses.is_dataclass(declared):
            found += paths(typing.cast(type, declared), f"{prefix}{name}.")
    return found


def _is_nameless(word: str, schema: type, nameless: Sequence[dataclasses.Field[Any]]) -> bool:
    if word.startswith(("--", "+")) and len(word) > 2:
        return False
    key, equals, _ = word.partition("=")
    if equals and (key.split(".")[0] in field_types(schema) or not nameless):
        return False
    if not nameless:
        raise UsageError(f"unexpected argument `{word}`", hint=f"write --key={word}; options begin with `--`")
    return True


def _split(word: str) -> tuple[str, str | None]:
    plain = word.lstrip("-" if word.startswith("--") else "+")
    key, equals, text = plain.partition("=")
    if word.startswith("--"):
        key = key.replace("-", "_")
    return key, text if equals else None


def _next_value(key: str, declared: Any, rest: list[str]) -> str:
    if bool in _parts(declared):
        return rest.pop(0) if rest and rest[0].lower() in _BOOLEAN_WORDS else "true"
    if not rest or rest[0].startswith("--"):
        raise UsageError(f"--{key} needs a value", hint=f"--{key}=VALUE")
    return rest.pop(0)


def _type_of(schema: type, key: str) -> Any:
    """The declared type of a dotted key; None inside an open dict."""
    here: Any = schema
    for depth, name in enumerate(key.split(".")):
        if here is None or typing.get_origin(here) is dict:
            return None
        known = field_types(here) if isinstance(here, type) and dataclasses.is_dataclass(here) else {}
        if name not in known:
            below = ".".join(key.split(".")[:depth])
            raise UsageError(f"unknown key `{key}`, {_nearest(schema, key, name, below)}")
        here = known[name]
    return here


def _nearest(schema: type, key: str, name: str, below: str) -> str:
    known = paths(schema)
    same_end = [path for path in known if path.rpartition(".")[2] == name]
    if same_end:
        return "did you mean " + " or ".join(f"`{path}`" for path in same_end) + "?"
    near = suggest(key, known, limit=3)
    if near.startswith("known"):
        inside = [path for path in known if path.startswith(f"{below}.")] if below else [p for p in known if "." not in p]
        return suggest(name, [path.rpartition(".")[2] for path in inside])
    return near


def _parts(declared: Any) -> tuple[Any, ...]:
    if typing.get_origin(declared) in (types.UnionType, typing.Union):
        return typing.get_args(declared)
    return (declared,)


def _positional(nameless: Sequence[dataclasses.Field[Any]], taken: list[str]) -> list[Override]:
    overrides: list[Override] = []
    for item in nameless:
        if item.metadata.get("many"):
            return [*overrides, Override(item.name, list_text(taken), list[str])] if taken else overrides
        if taken:
            overrides.append(Override(item.name, taken.pop(0), str))
    if taken:
        raise UsageError(f"unexpected argument `{taken[0]}`")
    return overrides


def hydra_text(override: Override) -> str:
    """The override in Hydra's grammar. Text of a text field is quoted whole, so `</think>`, `a=b` or `(x)` need no care."""
    text = override.text
    if is_text(override.type):
        value = "null" if text in ("null", "None") and type(None) in _parts(override.type) else quoted(text)
    elif is_list(override.type) and not text.startswith("["):
        value = "null" if text == "null" else list_text(text.split(",") if text else [])
    elif override.type is None and not _parses(override.key, text):
        value = quoted(text)
    else:
        value = text if text else "''"
    return f"++{override.key}={value}"


def list_text(items: Iterable[str]) -> str:
    """Several texts as one list of Hydra's grammar."""
    return "[" + ",".join(quoted(item) for item in items) + "]"


def _parses(key: str, text: str) -> bool:
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        OverridesParser.create().parse_override(f"++{key}={text}")
    except HydraException:
        return False
    return True


def quoted(text: str) -> str:
    """A quoted string of Hydra's grammar: only quotes, and backslashes before a quote, are escaped; no interpolation."""
    out = []
    backslashes = 0
    for character in text:
        if character == "\\":
            backslashes += 1
            continue
        out.append("\\" * (backslashes * 2 + 1 if character == "'" else backslashes) + character)
        backslashes = 0
    out.append("\\" * backslashes * 2)
    return "'" + "".join(out).replace("${", "\\${") + "'"
