"""Which weight files a model folder has, what each holds, and whether it is whole; no tensor is loaded.

Safetensors: 8 bytes of header length, a JSON header, then the tensors without gaps
(https://github.com/huggingface/safetensors/blob/v0.5.3/README.md, "Format"). A .bin file is a zip archive since torch 1.6.
"""

from __future__ import annotations

import json
import math
import re
import struct
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ns_eval.errors import DataError
from ns_eval.records import Json

_MOST_HEADER_BYTES = 100_000_000
_BITS = {"F64": 64, "F32": 32, "F16": 16, "BF16": 16, "I64": 64, "I32": 32, "I16": 16, "I8": 8, "BOOL": 8, "C64": 64}
_BITS |= {"U64": 64, "U32": 32, "U16": 16, "U8": 8, "F8_E4M3": 8, "F8_E5M2": 8, "F8_E8M0": 8, "F4": 4}
_AGAIN = "copy or download this file again"
_INDEXES = {"model.safetensors.index.json": "safetensors", "pytorch_model.bin.index.json": "bin"}
_NUMBERED = re.compile(r"-(\d+)-of-(\d+)\.(?:safetensors|bin)$")


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a safetensors file: `dtype` in the format's own name (BF16), `start` and `end` in bytes of the file."""

    file: Path
    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def elements(self) -> int:
        return math.prod(self.shape)


def safetensors(path: Path) -> dict[str, Tensor]:
    """Tensor name -> where it lies in the file.

    Raises:
        DataError: the file is cut off, damaged, or a pointer to a file that was never fetched.
    """
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            start = file.read(8)
            _refuse_pointer(path, start + file.read(32))
            header_bytes = struct.unpack("<Q", start)[0] if len(start) == 8 else 0
            if not 2 <= header_bytes <= _MOST_HEADER_BYTES:
                raise DataError(f"{path} is no safetensors file: its header would be {header_bytes} bytes long", hint=_AGAIN)
            file.seek(8)
            header = file.read(header_bytes)
    except OSError as error:
        raise DataError(f"cannot read the weights {path}: {error.strerror}") from error
    if len(header) < header_bytes:
        raise DataError(f"{path} is cut off within its header: {size} of at least {8 + header_bytes} bytes", hint=_AGAIN)
    tensors = dict(_tensors(path, header, 8 + header_bytes))
    _check_whole(path, tensors, 8 + header_bytes, size)
    return tensors


def check_bin(path: Path) -> None:
    """Refuses a .bin file that torch could not open.

    Raises:
        DataError: the file is empty, cut off, or a pointer to a file that was never fetched.
    """
    try:
        with path.open("rb") as file:
            start = file.read(40)
    except OSError as error:
        raise DataError(f"cannot read the weights {path}: {error.strerror}") from error
    _refuse_pointer(path, start)
    pickled = start[:2] == b"\x80\x02"  # torch < 1.6 wrote a bare pickle, which does not say how long it is
    if not pickled and not zipfile.is_zipfile(path):
        raise DataError(f"{path} is cut off or damaged: it is no whole torch archive", hint=_AGAIN)


def weight_files(path: Path) -> tuple[str, tuple[Path, ...], frozenset[str]]:
    """(safetensors or bin, files, tensor names that an index promises): an index goes before names, safetensors before .bin.

    Raises:
        DataError: a file that the index or the other names promise is not there, or there is none at all.
    """
    for index, kind in _INDEXES.items():
        if (path / index).is_file():
            places = json_object(path / index).get("weight_map")
            if not isinstance(places, dict):
                raise DataError(f"{path / index} is damaged: it has no weight_map", hint=_AGAIN)
            return kind, present(path, sorted(set(places.values())), index), frozenset(places)
    for kind, pattern in (("safetensors", "*.safetensors"), ("bin", "pytorch_model*.bin")):
        names = sorted(file.name for file in path.glob(pattern) if not file.name.startswith("consolidated"))
        if names:
            return kind, present(path, list(_all_numbered(names)), "the file names"), frozenset()
    raise DataError(f"{path} holds no weights: neither *.safetensors nor pytorch_model*.bin", hint="download it whole")


def _all_numbered(names: list[str]) -> Iterator[str]:
    """The names, and those that `-00001-of-00003` says must be there as well."""
    yield from names
    for name in names:
        match = _NUMBERED.search(name)
        if match:
            width = len(match[1])
            start, end = match.span(1)
            yield from (f"{name[:start]}{number:0{width}}{name[end:]}" for number in range(1, int(match[2]) + 1))
            return


def present(path: Path, names: list[str], told_by: str) -> tuple[Path, ...]:
    """The files of these names in a folder, in order; DataError where one is missing."""
    missing = sorted(name for name in set(names) if not (path / name).is_file())
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise DataError(f"{path / missing[0]}{more} is missing, {told_by} names it", hint="download the model again, whole")
    return tuple(path / name for name in sorted(set(names)))


def json_object(path: Path) -> dict[str, Json]:
    """A JSON file that holds an object; DataError otherwise."""
    try:
        values = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror}") from error
    except ValueError as error:
        raise DataError(f"{path} is damaged: {error}", hint=_AGAIN) from error
    if not isinstance(values, dict):
        raise DataError(f"{path}: expected an object, found {type(values).__name__}")
    return values


def _tensors(path: Path, header: bytes, data_start: int) -> Iterator[tuple[str, Tensor]]:
    try:
        entries: Mapping[str, Json] = json.loads(header)
        for name, entry in entries.items():
            if name != "__metadata__":
                start, end = entry["data_offsets"]
                shape = tuple(int(length) for length in entry["shape"])
                yield name, Tensor(path, str(entry["dtype"]), shape, data_start + start, data_start + end)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DataError(f"{path} is damaged: its header cannot be read ({error!r})", hint=_AGAIN) from error


def _check_whole(path: Path, tensors: Mapping[str, Tensor], data_start: int, size: int) -> None:
    end = data_start
    for name, tensor in sorted(tensors.items(), key=lambda item: (item[1].start, item[1].end)):
        bits = _BITS.get(tensor.dtype)
        held = tensor.end - tensor.start
        if tensor.start != end or (bits is not None and held * 8 != tensor.elements * bits):
            raise DataError(f"{path} is damaged: the place of tensor `{name}` does not fit its shape", hint=_AGAIN)
        end = tensor.end
    if size < end:
        raise DataError(f"{path} is cut off: {size} of {end} bytes", hint=_AGAIN)
    if size > end:
        raise DataError(f"{path} is damaged: {size - end} bytes follow its last tensor", hint=_AGAIN)


def _refuse_pointer(path: Path, start: bytes) -> None:
    if not start:
        raise DataError(f"{path} is empty", hint=_AGAIN)
    if start.startswith(b"version https://git-lfs"):
        raise DataError(f"{path} is a Git LFS pointer: its weights were not fetched", hint=f"git -C {path.parent} lfs pull")
