"""How far running jobs are, on stderr: one line that is rewritten on a terminal, else a line now and then."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from ns_eval import progress
from ns_eval.job_files import progress_path

_TERMINAL_S = 0.5
_LOG_S = 10.0


class Watching:
    """Call `show` often; it says something when there is something new and the time has come."""

    def __init__(self, output_dir: Path, names: Sequence[tuple[str, str]]) -> None:
        """`names` are those of jobs, each with that of the job whose rest it does, or none."""
        chains: dict[str, list[Path]] = {}
        for name, continues in names:
            chains[name] = [*chains.pop(continues, []), progress_path(output_dir, name)]
        self._chains = list(chains.values())
        self._terminal = sys.stderr.isatty()
        self._said = self._waiting = ""
        self._at = time.monotonic()

    def show(self, waiting: str = "") -> None:
        """`waiting` says which jobs have not begun, and why."""
        self._waiting = waiting
        now = time.monotonic()
        if now - self._at >= (_TERMINAL_S if self._terminal else _LOG_S):
            self._say()
            self._at = now

    def close(self) -> None:
        """The last state, and a new line for what follows."""
        self._waiting = ""
        if any(path.exists() for paths in self._chains for path in paths):
            self._say()
        if self._terminal and self._said:
            print(file=sys.stderr)

    def _say(self) -> None:
        # The last of a chain that has begun counts what those before it did.
        begun = [next((path for path in reversed(paths) if path.exists()), paths[0]) for paths in self._chains]
        counts = progress.summed(progress.read(path) for path in begun)
        parts = [progress.line(counts)] if counts.total or not self._waiting else []
        text = " · ".join([*parts, *filter(None, [self._waiting])])
        if text == self._said:
            return
        if self._terminal:
            # A line that wraps could not be rewritten.
            print(f"\r\x1b[K{text[: shutil.get_terminal_size().columns - 1]}", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)
        self._said = text
