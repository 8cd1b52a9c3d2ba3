"""What came of one piece of model-written code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Status = Literal["ok", "error", "timeout", "killed"]
CUT = "<output cut>"


@dataclass(frozen=True, slots=True)
class Execution:
    """`ok`: it ran to its end; `error`: it raised; `timeout`: past its limit; `killed`: its process died or was ended.

    `error` is the exception's name, `phase` where it arose (compile, run, program, tests), `reason` why it was killed.
    `state_lost`: the session's variables are gone, now or since the call before. `ended`: its process is gone.
    `proved` is set only
    for a test program that answered a nonce after its last test: an exit code of 0 proves nothing. `cpu_seconds` is
    what the process itself reports.
    """

    status: Status
    stdout: str = ""
    stderr: str = ""
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    state_lost: bool = False
    truncated: bool = False
    error: str | None = None
    phase: str | None = None
    reason: str | None = None
    proved: bool = False
    ended: bool = False


def clip(text: str, limit: int) -> str:
    """At most `limit` characters, with a mark where something is left out."""
    return text if len(text) <= limit else text[:limit] + CUT
