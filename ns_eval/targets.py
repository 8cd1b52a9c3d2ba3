"""`{"_target_": "package.module.Class", **options}` -> the object: how conf/ names plug-ins."""

from __future__ import annotations

import importlib
import importlib.metadata
from collections.abc import Mapping
from typing import Any

from ns_eval.errors import UsageError, suggest


def instantiate(spec: Mapping[str, Any]) -> Any:
    """Imports the class and calls it with the rest of the spec as keyword arguments.

    Raises:
        UsageError: no `_target_`, a module that cannot be imported (naming the distributions that provide its top-level
            name, since another one may install a package of the same name), no such class, or options it refuses.
    """
    options = dict(spec)
    target = str(options.pop("_target_", ""))
    module_name, _, name = target.rpartition(".")
    if not module_name:
        raise UsageError(f"`_target_` must read package.module.Class, found `{target}`")
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise UsageError(f"`{target}` cannot be imported: {error}", hint=_who_provides(module_name)) from error
    if not hasattr(module, name):
        public = [key for key in vars(module) if not key.startswith("_")]
        raise UsageError(f"{module_name} has no `{name}`, {suggest(name, public)}")
    try:
        return getattr(module, name)(**options)
    except TypeError as error:
        raise UsageError(f"`{target}` refuses its options: {error}") from error


def _who_provides(module_name: str) -> str:
    top = module_name.partition(".")[0]
    providers = sorted(set(importlib.metadata.packages_distributions().get(top, ())))
    if not providers:
        return f"no installed distribution provides `{top}`"
    return f"`{top}` is provided by {', '.join(providers)}; ns-eval needs an environment of its own"
