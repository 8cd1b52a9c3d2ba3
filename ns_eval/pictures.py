"""Pictures of a question inside a chat message, as data URLs: no server has to reach a file or the network."""

from __future__ import annotations

import base64
import dataclasses
from collections.abc import Sequence
from pathlib import Path

from ns_eval.errors import DataError, UsageError
from ns_eval.records import Json, Question, Request

# OpenAI-compatible servers commonly refuse larger requests. Base64 makes four bytes of three.
LIMIT_BYTES = 20_000_000
_TYPES = {".png": "image/png", ".jpg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp"}


def files_of(question: Question, folder: Path) -> list[Path]:
    """The pictures of a question; `folder` is that of its question file. None are read.

    Raises:
        DataError: a picture that is missing, of another kind, or too large for a request; names the question.
    """
    found = [folder / str(name) for name in question.meta.get("images") or ()]
    for path in found:
        if path.suffix not in _TYPES:
            raise DataError(f"question {question.id}: {path.name} is none of {', '.join(_TYPES)}")
        if not path.is_file():
            raise DataError(
                f"question {question.id}: its picture {path} does not exist",
                hint="the pictures lie beside the question file: copy the whole folder, or prepare the benchmark again",
            )
    size = sum(path.stat().st_size for path in found)
    if size > LIMIT_BYTES:
        raise DataError(f"question {question.id}: its pictures have {size:,} bytes, more than {LIMIT_BYTES:,}")
    return found


def with_pictures(request: Request, files: Sequence[Path]) -> Request:
    """The request with pictures before the words of its last message.

    Raises:
        UsageError: it is a text, which cannot hold any.
    """
    if not files:
        return request
    if request.messages is None:
        raise UsageError(
            "a picture cannot be sent on the text route", hint="leave --prompt_template and inference.endpoint_type out"
        )
    *before, last = request.messages
    parts: list[Json] = [{"type": "image_url", "image_url": {"url": data_url(path)}} for path in files]
    content = [*parts, {"type": "text", "text": last["content"]}]
    return dataclasses.replace(request, messages=(*before, {**last, "content": content}))


def data_url(path: Path) -> str:
    """`data:image/png;base64,…` of a file."""
    return f"data:{_TYPES[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"
