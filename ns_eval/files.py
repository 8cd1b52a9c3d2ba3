"""Files that are never seen half-written, and their fingerprints."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


@contextlib.contextmanager
def replacing(path: Path, *, durable: bool = True) -> Iterator[BinaryIO]:
    """Opens a `.partial` beside `path` for bytes; on success it is renamed to `path`, else removed.

    `durable` waits for the disk first; what is rewritten every second need not.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    # Two machines may have a process of the same number.
    partial = path.with_name(f"{path.name}.{os.uname().nodename}.{os.getpid()}.partial")
    try:
        with partial.open("wb") as file:
            yield file
            if durable:
                file.flush()
                os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Replaces `path` by `text`, whole or not at all."""
    with replacing(path) as file:
        file.write(text.encode())


def sha256(path: Path) -> str:
    """The hex digest of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
