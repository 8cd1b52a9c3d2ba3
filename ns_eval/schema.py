"""How a schema of settings is written, and how plain values become one.

A schema is a dataclass with a one-line doc string under each field; `positional()` marks arguments without a name and
`REQUIRED` what has no default. `build(GreetConfig, {"name": "Aya"}, "greet.yaml")` makes one of what a YAML holds.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import Any, TypeVar, cast

from ns_eval.errors import UsageError, suggest

T = TypeVar("T")

# omegaconf's own mark of a mandatory value, spelt out so that reading the schema costs no import.
REQUIRED: Any = "???"


def positional(default: Any = REQUIRED, *, many: bool = False) -> Any:
    """A field that the command line gives without a name, in the order of declaration; `many` takes all that is left."""
    metadata = {"positional": True, "many": many}
    if many:
        return field(default_factory=list, metadata=metadata)
    return field(default=default, metadata=metadata)


def repeated() -> Any:
    """A list that the command line may give in several words: `--adapter=a:x --adapter=b:y` is `--adapter=a:x,b:y`."""
    return field(default_factory=list, metadata={"repeated": True})


def build(schema: type[T], values: Mapping[str, Any], where: str) -> T:
    """A checked dataclass from plain values, as read from YAML or JSON.

    Raises:
        UsageError: an unknown key (with the nearest one) or a value of another type; `where` names the file.
    """
    refuse_unknown(schema, values, where)
    return _converted(schema, values) or _merged(schema, values, where)


def _converted(schema: type[T], values: Mapping[str, Any]) -> T | None:
    """What needs no conversion, in microseconds; None for the rest, which omegaconf converts or refuses in milliseconds."""
    import msgspec

    if any(item.default == REQUIRED and item.name not in values for item in dataclasses.fields(cast(Any, schema))):
        return None
    if "${" in repr(values):  # omegaconf's to read
        return None
    try:
        found = msgspec.convert(values, schema)
    except (msgspec.ValidationError, TypeError):
        return None
    # A mandatory value further down that is not there: omegaconf names it.
    return None if repr(REQUIRED) in repr(found) else found


def _merged(schema: type[T], values: Mapping[str, Any], where: str) -> T:
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    def merged(part: Mapping[str, Any]) -> Any:
        return OmegaConf.merge(OmegaConf.structured(schema), OmegaConf.create(dict(part)))

    def refused(name: str) -> bool:
        try:
            return merged({name: values[name]}) is None
        except OmegaConfBaseException:
            return True

    try:
        built = OmegaConf.to_object(merged(values))
    except OmegaConfBaseException as error:
        # Of some mistakes it does not say where they are.
        key = getattr(error, "full_key", None) or next(filter(refused, values), "?")
        said = str(error).splitlines()[0]
        if key in values and ("Config" in said or "AnyNode" in said):  # its words for its own classes
            kind = field_types(cast(type, schema))[key]
            told = f": expected {kind if '[' in str(kind) else kind.__name__}, found {values[key]!r}"
            raise UsageError(f"{where}: `{key}`{told}") from error
        raise UsageError(f"{where}: `{key}`{_plainly(said)}") from error
    assert isinstance(built, schema)
    return built


def _plainly(said: str) -> str:
    """What omegaconf says of a value, without its own classes."""
    if "missing mandatory value" in said:
        return " is missing"
    return ": expected a list" if "is not a ListConfig" in said else f": {said}"


def refuse_unknown(schema: type, values: Mapping[str, Any], where: str, prefix: str = "") -> None:
    """UsageError for a key that no field of `schema` declares, at any depth; open dicts take everything.

    Needed because `++misspelt=1` is added silently by Hydra even over a structured config, and dropped later.
    """
    known = field_types(schema)
    for key, value in values.items():
        if key not in known:
            raise UsageError(f"{where}: unknown key `{prefix}{key}`, {suggest(str(key), known)}")
        _refuse_inside(known[key], value, where, f"{prefix}{key}.")


def _refuse_inside(kind: Any, value: Any, where: str, prefix: str) -> None:
    """The same for the dataclasses that a field holds: as it is, or in a list, a dict, a choice of types."""
    import typing

    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
        if isinstance(value, Mapping):
            refuse_unknown(kind, value, where, prefix)
        return
    parts, origin = typing.get_args(kind), typing.get_origin(kind)
    if isinstance(value, Mapping) and origin is dict:
        for name, item in value.items():
            _refuse_inside(parts[1], item, where, f"{prefix}{name}.")
    elif isinstance(value, list) and origin is list:
        for at, item in enumerate(value):
            _refuse_inside(parts[0], item, where, f"{prefix}{at}.")
    elif origin is not dict and origin is not list:
        for part in parts:
            _refuse_inside(part, value, where, prefix)


@functools.cache
def field_types(schema: type) -> dict[str, Any]:
    """Field name -> resolved type of a dataclass."""
    import typing

    hints = typing.get_type_hints(schema)
    return {item.name: hints[item.name] for item in dataclasses.fields(schema)}


def load_yaml(path: Path) -> dict[str, Any]:
    """A YAML file that holds a mapping.

    Raises:
        UsageError: the file is no YAML, or no mapping; with line and column.
    """
    import yaml

    try:
        # libyaml's loader is ten times as fast; a YAML package built without it has the other one.
        values = yaml.load(path.read_text(encoding="utf-8"), getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    except yaml.YAMLError as error:
        raise UsageError(f"{path}: not YAML: {str(error).replace(chr(10), ' ')}") from error
    if not isinstance(values, dict):
        raise UsageError(f"{path}: expected a mapping of keys, found {type(values).__name__}")
    return values
