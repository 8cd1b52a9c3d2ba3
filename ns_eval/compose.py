"""argv + YAML layers -> one checked config object."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from ns_eval import resources
from ns_eval.arguments import Override, Spellings, hydra_text, parse, quoted
from ns_eval.errors import NsError, UsageError
from ns_eval.ranges import check_ranges

T = TypeVar("T")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]*")


def overrides(schema: type, argv: Sequence[str], spellings: Spellings | None = None) -> list[Override]:
    """What the command line sets. `hydra.searchpath=[file:///my/conf]` is taken out and obeyed here."""
    own = [word for word in argv if word.lstrip("+-").startswith("hydra.")]
    for word in own:
        key, _, text = word.lstrip("+-").partition("=")
        if key != "hydra.searchpath":
            raise UsageError(f"unknown key `{key}`: of Hydra's own settings only hydra.searchpath is taken")
        for item in text.strip("[]").split(","):
            resources.add_conf_folder(Path(item.strip("'\" ").removeprefix("file://")))
    return parse(schema, [word for word in argv if word not in own], spellings)


def compose(schema: type[T], given: Sequence[Override], defaults: Sequence[Override] = ()) -> T:
    """The checked config: the schema's own defaults, then `defaults` (what YAMLs say), then what was `given`.

    Of `defaults`, those that the command has no key for (a server that is only started asks nothing) do not concern it.
    The YAMLs of conf/ do not come through Hydra's config groups: a group named `model` would take the key `model` away.

    Raises:
        UsageError: a value of another type or out of its range, a mandatory value that is missing.
    """
    from hydra import compose as hydra_compose
    from hydra import initialize
    from hydra.core.config_store import ConfigStore
    from hydra.errors import HydraException
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException

    ConfigStore.instance().store(name="command", node=schema)
    known = set(OmegaConf.structured(schema))
    defaults = [item for item in defaults if item.key.partition(".")[0] in known]
    try:
        with initialize(config_path=None, version_base="1.3"):
            tree = hydra_compose("command", [hydra_text(item) for item in [*defaults, *given]])
        missing = sorted(OmegaConf.missing_keys(tree))
        if missing:
            raise UsageError("missing: " + ", ".join(f"--{key}" for key in missing), hint="`--help` lists every key")
        config = OmegaConf.to_object(tree)
    except (HydraException, OmegaConfBaseException) as error:
        raise _readable(error, given) from error
    assert isinstance(config, schema)
    check_ranges(config)
    return config


def flatten(values: Mapping[str, Any], prefix: str = "") -> list[Override]:
    """A nested mapping, as read from a YAML, as overrides. One whose keys are no names (hosts, say) stays whole."""
    found: list[Override] = []
    for key, value in values.items():
        if isinstance(value, Mapping) and value and all(_NAME.fullmatch(str(inner)) for inner in value):
            found += flatten(value, f"{prefix}{key}.")
        else:
            found.append(Override(f"{prefix}{key}", _literal(value), type(value)))
    return found


def _literal(value: Any) -> str:
    """A YAML value in Hydra's grammar; a text that stands alone is left as it is, since `hydra_text` quotes it."""
    return value if isinstance(value, str) else _inner(value)


def _inner(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{key}:{_inner(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_inner, value)) + "]"
    return quoted(value) if isinstance(value, str) else str(value)


def _readable(error: Exception, given: Sequence[Override]) -> NsError:
    cause: BaseException = error
    while cause.__cause__ is not None:
        cause = cause.__cause__
    key = getattr(cause, "full_key", None) or getattr(error, "full_key", None)
    first = re.sub(r"\s+", " ", str(cause).split("full_key")[0]).strip()
    if key:
        typed = next((item.text for item in reversed(given) if item.key == key), None)
        return UsageError(f"`{key}={typed}`: {first}" if typed is not None else f"`{key}`: {first}")
    return UsageError(first)
