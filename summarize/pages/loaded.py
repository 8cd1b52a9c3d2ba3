"""The runs that the dashboard shows, read once for each state of their folders, and before the first browser asks."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from summarize.pages.runs import Book, load
from summarize.pages.samples import frame

_KEPT = 2
_lock = threading.Lock()
_books: dict[object, tuple[Book, Any]] = {}


def loaded(paths: Sequence[str], benchmarks: Sequence[str], level: float, stamped: object) -> tuple[Book, Any]:
    """The runs and the frame of their samples; `stamped` is what changes with the folders.

    Whoever comes while another thread reads them waits for that one.
    """
    key = (tuple(paths), tuple(benchmarks), level, stamped)
    with _lock:
        if key not in _books:
            book = load([Path(path) for path in paths], benchmarks, level)
            _books[key] = book, frame(book)
            for old in list(_books)[:-_KEPT]:
                del _books[old]
        return _books[key]
