"""Pictures of a question: checked, and kept as files beside the question file, named by their content."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from ns_eval.errors import DataError
from ns_eval.files import replacing
from ns_eval.records import Json

# What OpenAI-compatible servers commonly take in one data URL; base64 makes a third more of it.
LIMIT_BYTES = 20_000_000
# (ending, first bytes, last bytes): a file that was cut short has the first and not the last.
_KINDS = (
    ("png", b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"),
    ("jpg", b"\xff\xd8\xff", b"\xff\xd9"),
    ("gif", b"GIF8", b";"),
    ("webp", b"RIFF", b""),
)


def store_images(row: dict[str, Json], folder: Path) -> dict[str, Json]:
    """The row with `images` as paths relative to its question file; a row without pictures is itself.

    Raises:
        DataError: a picture that is broken, cut short, of another kind or too large; names the question.
    """
    if not row.get("images"):
        return row
    return {**row, "images": [_store(image, folder, str(row["id"])) for image in row["images"]]}


def _store(image: Json, folder: Path, question: str) -> str:
    content = image.get("bytes") if isinstance(image, Mapping) else image
    if not isinstance(content, bytes | bytearray):
        raise DataError(f"question {question}: the picture has no bytes, only {image!r:.80}")
    ending = picture_kind(bytes(content), question)
    relative = f"images/{hashlib.sha256(content).hexdigest()[:20]}.{ending}"
    path = folder / relative
    if not path.is_file():
        with replacing(path) as out:
            out.write(content)
    return relative


def picture_kind(content: bytes, question: str) -> str:
    """png, jpg, gif or webp.

    Raises:
        DataError: none of these, cut short, or larger than a server takes.
    """
    if len(content) > LIMIT_BYTES:
        raise DataError(f"question {question}: the picture has {len(content):,} bytes, more than {LIMIT_BYTES:,}")
    for ending, start, end in _KINDS:
        if not content.startswith(start):
            continue
        if ending == "webp" and (content[8:12] != b"WEBP" or len(content) < 8 + int.from_bytes(content[4:8], "little")):
            break
        if not content.rstrip(b"\0").endswith(end):
            break
        return ending
    else:
        raise DataError(f"question {question}: not a picture (its first bytes are {content[:8]!r})")
    raise DataError(f"question {question}: the picture is broken or cut short after {len(content):,} bytes")
