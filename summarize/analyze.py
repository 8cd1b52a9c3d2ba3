"""`python -m summarize.analyze evals|scores …`: source 002's own command lines."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ns_eval import cli
from ns_eval.errors import UsageError, suggest

_COMMANDS = ("evals", "scores")


def main(argv: Sequence[str] | None = None) -> int:
    """Hands the words to `ns`; returns its exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] not in (*_COMMANDS, "--help", "-h"):
        wrong = words[0] if words else ""
        error = UsageError(
            f"analyze takes evals or scores, {suggest(wrong, _COMMANDS)}", hint="ns --help lists all commands"
        )
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    return cli.main(words)


if __name__ == "__main__":
    sys.exit(main())
