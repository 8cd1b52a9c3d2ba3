"""From samples on disk to numbers, tables and pictures.

    from summarize import summarize, compare, load_run

Loaded when they are first used; docs/python.md.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from summarize.api import compare, load_run, summarize

__all__ = ["compare", "load_run", "summarize"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from summarize import api

    return getattr(api, name)
