"""`{"_target_": "package.module.Class", **options}` -> the object: how conf/ names plug-ins."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ns_eval.errors import UsageError
from ns_eval.resources import locate


def instantiate(spec: Mapping[str, Any]) -> Any:
    """Imports the class and calls it with the rest of the spec as keyword arguments.

    Raises:
        UsageError: no `_target_`, a class that cannot be loaded (see `resources.locate`), or options that it refuses.
    """
    options = dict(spec)
    target = str(options.pop("_target_", ""))
    if "." not in target:
        raise UsageError(f"`_target_` must read package.module.Class, found `{target}`")
    build = locate(target)
    try:
        return build(**options)
    except TypeError as error:
        raise UsageError(f"`{target}` refuses its options: {error}") from error
