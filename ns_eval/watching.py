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

    def __init__(self, output_dir: Path, names: Sequence[str]) -> None:
        self._paths = [progress_path(output_dir, name) for name in names]
        self._terminal = sys.stderr.isatty()
        self._said = ""
        self._at = time.monotonic()

    def show(self) -> None:
        now = time.monotonic()
        if now - self._at >= (_TERMINAL_S if self._terminal else _LOG_S):
            self._say()
            self._at = now

    def close(self) -> None:
        """The last state, and a new line for what follows."""
        if any(path.exists() for path in self._paths):
            self._say()
        if self._terminal and self._said:
            print(file=sys.stderr)

    def _say(self) -> None:
        text = progress.line(progress.summed(progress.read(path) for path in self._paths))
        if text == self._said:
            return
        if self._terminal:
            # A line that wraps could not be rewritten.
            print(f"\r\x1b[K{text[: shutil.get_terminal_size().columns - 1]}", end="", file=sys.stderr, flush=True)
        else:
            print(text, file=sys.stderr, flush=True)
        self._said = text
