"""What a GGUF file says of itself, read from its first bytes.

Format: https://github.com/ggml-org/ggml/blob/7bffd79/docs/gguf.md
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from ns_eval.errors import DataError
from ns_eval.records import Json

_SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
_STRING, _ARRAY = 8, 9
_LONGEST_BYTES = 1 << 24


def gguf_metadata(path: Path) -> dict[str, Json]:
    """Key -> value of the header; arrays (the vocabulary) are skipped.

    Raises:
        DataError: the file is no GGUF file, or is cut within its header.
    """
    try:
        with path.open("rb") as file:
            if file.read(4) != b"GGUF":
                raise DataError(f"{path} is no GGUF file", hint="give a .gguf file, or a folder to --server_type=vllm")
            return dict(_pairs(file))
    except (struct.error, UnicodeDecodeError) as error:
        raise DataError(f"{path} is cut off or damaged within its header", hint="copy or download it again") from error
    except OSError as error:
        raise DataError(f"cannot read the model {path}: {error.strerror}") from error


def _pairs(file: BinaryIO) -> Iterator[tuple[str, Json]]:
    _, _, count = struct.unpack("<IQQ", file.read(20))
    for _ in range(count):
        key, value = _string(file), _value(file, _number(file, "<I"))
        if value is not None:
            yield key, value


def gguf_context(path: Path) -> int | None:
    """The context a model was trained for, in tokens."""
    metadata = gguf_metadata(path)
    found = metadata.get(f"{metadata.get('general.architecture')}.context_length")
    return int(found) if found else None


def _number(file: BinaryIO, form: str) -> Json:
    return struct.unpack(form, file.read(struct.calcsize(form)))[0]


def _string(file: BinaryIO) -> str:
    length = _number(file, "<Q")
    if length > _LONGEST_BYTES:
        raise struct.error(f"a string of {length} bytes")
    return file.read(length).decode()


def _value(file: BinaryIO, kind: int) -> Json:
    if kind in _SCALARS:
        return _number(file, _SCALARS[kind])
    if kind == _STRING:
        return _string(file)
    if kind != _ARRAY:
        raise struct.error(f"unknown type {kind}")
    inner, length = _number(file, "<I"), _number(file, "<Q")
    if inner in _SCALARS:
        file.seek(length * struct.calcsize(_SCALARS[inner]), 1)
    else:
        for _ in range(length):
            _value(file, inner)
    return None
