"""The help texts, made of the schemas: nothing is described twice."""

from __future__ import annotations

import ast
import dataclasses
import functools
import inspect
import textwrap
import typing
from collections.abc import Iterator

from ns_eval.arguments import Spellings
from ns_eval.schema import REQUIRED, field_types

_WIDTH = 34


def command_help(name: str, schema: type, spellings: Spellings | None = None) -> str:
    """What `ns NAME --help` prints: summary, examples, every key with type, default and its one line, other spellings."""
    summary, _, rest = inspect.cleandoc(schema.__doc__ or "").partition("\n")
    nameless = [item for item in dataclasses.fields(schema) if item.metadata.get("positional")]
    usage = " ".join(f"{item.name.upper()}{' …' if item.metadata.get('many') else ''}" for item in nameless)
    lines = [summary, "", f"usage: ns {name} {usage + ' ' if usage else ''}[--key=value …]"]
    if rest.strip():
        lines += ["", textwrap.dedent(rest).strip("\n").replace("Examples:", "examples:")]
    lines += ["", "keys (--key=value, --key value, key=value and ++key=value are the same):"]
    lines += _keys(schema, "")
    if spellings is not None:
        lines += ["", "other spellings:"]
        lines += [f"  --{other}  is {key}" for other, key in spellings.aliases.items()]
        lines += [f"  --{other}  changes nothing: {why}" for other, why in spellings.ignored.items()]
    return "\n".join(lines)


def _keys(schema: type, prefix: str) -> Iterator[str]:
    docs = field_docs(schema)
    types = field_types(schema)
    nested = []
    inherited = set(types) - set(schema.__annotations__)
    for item in sorted(dataclasses.fields(schema), key=lambda item: item.name in inherited):
        declared = types[item.name]
        if isinstance(declared, type) and dataclasses.is_dataclass(declared):
            nested.append((item.name, declared))
            continue
        head = f"  {prefix}{item.name}: {_type_name(declared)}{_default(item)}"
        doc = docs.get(item.name, "")
        yield f"{head:<{_WIDTH}}  {doc}" if len(head) <= _WIDTH else f"{head}\n{'':<{_WIDTH}}  {doc}"
    for name, declared in nested:
        yield f"\n{prefix}{name}.*  {docs.get(name, '')}"
        yield from _keys(declared, f"{prefix}{name}.")


def _type_name(declared: object) -> str:
    parts = [part for part in typing.get_args(declared) if part is not type(None)]
    if typing.get_origin(declared) in (list, dict):
        return "list" if typing.get_origin(declared) is list else "open mapping"
    if parts:
        return " or ".join(_type_name(part) for part in parts)
    return getattr(declared, "__name__", str(declared))


def _default(item: dataclasses.Field[object]) -> str:
    if item.default == REQUIRED:
        return " (required)"
    if item.default in (dataclasses.MISSING, None, ""):
        return ""
    return f" = {str(item.default).lower() if isinstance(item.default, bool) else item.default}"


@functools.cache
def field_docs(schema: type) -> dict[str, str]:
    """Field name -> the string literal under it in the source, of the class and of those it inherits from."""
    docs: dict[str, str] = {}
    for cls in reversed(schema.__mro__):
        if not dataclasses.is_dataclass(cls):
            continue
        body = ast.parse(textwrap.dedent(inspect.getsource(cls))).body[0]
        assert isinstance(body, ast.ClassDef)
        for here, below in zip(body.body, body.body[1:], strict=False):
            if isinstance(here, ast.AnnAssign) and isinstance(here.target, ast.Name) and isinstance(below, ast.Expr):
                docs[here.target.id] = " ".join(str(ast.literal_eval(below.value)).split())
    return docs
