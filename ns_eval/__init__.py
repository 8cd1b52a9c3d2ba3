"""The engine of ns-eval: from a command line to graded samples on disk. It knows no benchmark, judge or metric by name.

    from ns_eval import evaluate, generate, convert

The commands as functions: docs/python.md. They are loaded when they are first used.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ns_eval.api import Run, convert, evaluate, generate

__all__ = ["Run", "convert", "evaluate", "generate"]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ns_eval import api

    return getattr(api, name)
