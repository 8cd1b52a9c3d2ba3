"""Runs what models write, where it can neither read nor harm anything: `async with Sandbox(SandboxConfig()) as sandbox`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ns_eval.sandbox.box import CodeSession, Sandbox, open_sandbox
    from ns_eval.sandbox.config import SandboxConfig
    from ns_eval.sandbox.execution import Execution
    from ns_eval.sandbox.forks import SandboxError

__all__ = ["CodeSession", "Execution", "Sandbox", "SandboxConfig", "SandboxError", "open_sandbox"]
_HOMES = {
    "CodeSession": "box",
    "Execution": "execution",
    "Sandbox": "box",
    "SandboxConfig": "config",
    "SandboxError": "forks",
    "open_sandbox": "box",
}


def __getattr__(name: str) -> Any:
    # Any: whatever the module holds. Late, because the zygote imports this package and needs none of it.
    import importlib

    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
