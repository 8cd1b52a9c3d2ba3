"""Progress on the terminal: one live line with a bar, or a plain line now and then where there is no terminal."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

from ns_eval.progress import Snapshot, line

_PLAIN_EVERY_S = 10.0


class Display:
    """`with Display() as display: display.show(snapshot)` as often as there is news. Writes to stderr."""

    def __init__(self) -> None:
        self._live = None
        self._said = ""
        self._last = time.monotonic()
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, Progress, TextColumn

            self._live = Progress(
                BarColumn(bar_width=24), TextColumn("{task.description}"), console=Console(stderr=True), transient=True
            )
            self._task = self._live.add_task("starting", total=None)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()
        if self._said:
            print(self._said, file=sys.stderr, flush=True)

    def show(self, now: Snapshot) -> None:
        said = line(now)
        if self._live is not None:
            self._said = said
            self._live.update(self._task, description=said, total=now.total or None, completed=now.done)
        elif said != self._said and time.monotonic() - self._last >= _PLAIN_EVERY_S:
            self._last = time.monotonic()
            self._said = ""
            print(said, file=sys.stderr, flush=True)
        else:
            self._said = said
