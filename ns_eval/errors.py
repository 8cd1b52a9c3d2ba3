"""The errors a user can act on, each with the exit code it ends the program with.

NsError
├── UsageError        2  the command line or a configuration value
├── DataError         3  a question file, a run folder, a table
├── ServerError       4  a model server that is absent, wrong or broken
├── JobError          5  a job that failed, here or on a cluster
│   └── BudgetError      the next request could cost more than ++budget_usd leaves
├── CoverageError     6  fewer samples than --min_coverage asks for
└── GateError         7  a comparison that failed its gate

Anything else that reaches the door is a bug of ours and ends with 1; an interrupt ends with 130.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class NsError(Exception):
    """What happened and where (file, line, key), then the command to type."""

    exit_code = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return self.message if self.hint is None else f"{self.message}\n\nhint: {self.hint}"


class UsageError(NsError):
    exit_code = 2


class DataError(NsError):
    exit_code = 3


class ServerError(NsError):
    exit_code = 4


class JobError(NsError):
    exit_code = 5


class BudgetError(JobError):
    """What was answered is kept; a larger budget goes on from there."""


class CoverageError(NsError):
    exit_code = 6


class GateError(NsError):
    exit_code = 7


def suggest(wrong: str, known: Iterable[str], limit: int = 3) -> str:
    """`did you mean "a" or "b"?`, or what is known where nothing is near."""
    names = sorted(known)
    near = difflib.get_close_matches(wrong, names, n=limit, cutoff=0.6)
    if near:
        return "did you mean " + " or ".join(f"`{name}`" for name in near) + "?"
    shown = ", ".join(names[:20]) + (", …" if len(names) > 20 else "")
    return f"known: {shown}" if names else "none is known"
