"""Arrow columns from Python values, and numpy arrays from Arrow columns, buffer by buffer.

`pyarrow.array` and `to_numpy` would do, but both import pandas on their first call where it is installed: 0.4 s of CPU,
which is more than the rest of a summary.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Floats: TypeAlias = npt.NDArray[np.float64]
Codes: TypeAlias = npt.NDArray[np.int64]
# `cast` and `dictionary_encode` import pyarrow.compute, another 0.1 s: not on the way of our own tables.
_WIDTHS = {pa.int32(): np.int32, pa.int64(): np.int64, pa.float64(): np.float64}


def column(values: Sequence[Any], kind: pa.DataType) -> pa.Array:
    """Values of str, bool, int or float, None for null, as a column of that type."""
    present = np.fromiter((value is not None for value in values), np.bool_, len(values))
    validity = None if present.all() else _bits(present)
    if kind == pa.string():
        texts = [b"" if value is None else str(value).encode("utf-8", "replace") for value in values]
        offsets = np.fromiter(itertools.accumulate(map(len, texts), initial=0), np.int32, len(texts) + 1)
        return pa.Array.from_buffers(kind, len(values), [validity, pa.py_buffer(offsets), pa.py_buffer(b"".join(texts))])
    filled = (0 if value is None else value for value in values)
    if kind == pa.bool_():
        return pa.Array.from_buffers(kind, len(values), [validity, _bits(np.fromiter(filled, np.bool_, len(values)))])
    numbers = np.fromiter(filled, _WIDTHS[kind], len(values))
    return pa.Array.from_buffers(kind, len(values), [validity, pa.py_buffer(numbers)])


def category(values: Sequence[str | None]) -> pa.Array:
    """Text of few different values as a dictionary column."""
    known = {text: code for code, text in enumerate(dict.fromkeys(value for value in values if value is not None))}
    codes = [None if value is None else known[value] for value in values]
    return pa.DictionaryArray.from_arrays(column(codes, pa.int32()), column(list(known), pa.string()))


def floats(found: pa.ChunkedArray) -> Floats:
    """A numeric or boolean column as float64, NaN for null."""
    merged = _merged(found)
    values = _numbers(merged).astype(np.float64)
    values[~_present(merged)] = np.nan
    return values


def integers(found: pa.ChunkedArray, null: int = -1) -> Codes:
    """An integer column as int64, `null` for null."""
    merged = _merged(found)
    values = _numbers(merged).astype(np.int64)
    values[~_present(merged)] = null
    return values


def codes(found: pa.ChunkedArray) -> tuple[Codes, list[str]]:
    """A text column as (code of each row, the texts in order of first appearance); -1 for null."""
    merged = _merged(found)
    if not pa.types.is_dictionary(merged.type):
        merged = merged.dictionary_encode()
    return integers(pa.chunked_array([merged.indices])), merged.dictionary.to_pylist()


def _numbers(merged: pa.Array) -> npt.NDArray[Any]:
    if pa.types.is_boolean(merged.type):
        bits = np.unpackbits(np.frombuffer(merged.buffers()[1], np.uint8), bitorder="little")
        return bits[merged.offset : merged.offset + len(merged)]
    kind = np.dtype(_WIDTHS[merged.type])
    return np.frombuffer(merged.buffers()[1], kind, len(merged), merged.offset * kind.itemsize)


def _merged(found: pa.ChunkedArray) -> pa.Array:
    merged = found.combine_chunks()
    return merged if isinstance(merged, pa.Array) else pa.concat_arrays(merged.chunks)


def _present(merged: pa.Array) -> npt.NDArray[np.bool_]:
    validity = merged.buffers()[0]
    if validity is None:
        return np.ones(len(merged), np.bool_)
    bits = np.unpackbits(np.frombuffer(validity, np.uint8), bitorder="little")
    return bits[merged.offset : merged.offset + len(merged)].astype(np.bool_)


def _bits(flags: npt.NDArray[np.bool_]) -> pa.Buffer:
    return pa.py_buffer(np.packbits(flags, bitorder="little"))
