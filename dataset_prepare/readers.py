"""Files of any usual format -> rows, one at a time, each with the place it stands at."""

from __future__ import annotations

import csv
import gzip
import itertools
import sys
import zlib
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import orjson

from ns_eval.errors import DataError, UsageError, suggest
from ns_eval.records import Json
from ns_eval.resources import locate

BATCH_ROWS = 1024
# An ending that is never wrong, whatever a YAML says of the upstream's text files.
_BINARY = ("parquet", "arrow")


@dataclass(frozen=True, slots=True)
class Raw:
    """One row as the upstream wrote it. `where` is `file:line`, or `file:row` in a format without lines."""

    where: str
    values: Mapping[str, Json]


def read(path: Path, file_format: str = "", header: list[str] | None = None) -> Iterator[Raw]:
    """The rows of a file. Every row also holds `_file`, the file's name without its ending.

    Raises:
        DataError: not that format, a broken row by line, not UTF-8.
        UsageError: a format that nobody reads.
    """
    ending = format_of(path)
    name = ending if ending in _BINARY else file_format or ending
    if ":" in name:
        reader: Callable[[Path], Iterator[Raw]] = locate(name)
        rows = reader(path)
    elif name in ("csv", "tsv"):
        rows = _delimited(path, "," if name == "csv" else "\t", header)
    elif name in _READERS:
        rows = _READERS[name](path)
    else:
        known = [*_READERS, "csv", "tsv"]
        raise UsageError(f"{path}: unknown format `{name}`, {suggest(name, known)}", hint="set `format:` in its YAML")
    stem = path.name.split(".")[0]
    try:
        for raw in rows:
            yield Raw(raw.where, {"_file": stem, **raw.values})
    except UnicodeDecodeError as error:
        raise DataError(f"{path}: not UTF-8 at byte {error.start} ({error.reason})") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise DataError(f"{path}: not a gzip file, or cut short ({error})") from error


def format_of(path: Path) -> str:
    """The ending that tells the format; that of `rows.jsonl.gz` is jsonl."""
    suffixes = [suffix.lstrip(".").lower() for suffix in path.suffixes if suffix.lower() not in (".gz", ".partial")]
    return {"ndjson": "jsonl", "arrows": "arrow"}.get(suffixes[-1], suffixes[-1]) if suffixes else ""


@contextmanager
def opened(path: Path) -> Iterator[IO[str]]:
    """Text of a file, unpacked where it is gzipped; line ends as they are, a byte order mark left out."""
    if path.suffix == ".gz":
        with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as unpacked:
            yield unpacked
    else:
        with path.open(encoding="utf-8-sig", newline="") as file:
            yield file


def _jsonl(path: Path) -> Iterator[Raw]:
    with opened(path) as lines:
        # Splitting by "\n" alone: U+2028 inside a text is no line end.
        for number, line in enumerate(lines, 1):
            if line.isspace():
                continue
            try:
                row = orjson.loads(line)
            except ValueError as error:
                raise DataError(f"{path}:{number}: not a line of JSON ({error})") from error
            if not isinstance(row, dict):
                raise DataError(f"{path}:{number}: expected a JSON object, found {type(row).__name__}")
            yield Raw(f"{path}:{number}", row)


def _json(path: Path) -> Iterator[Raw]:
    """A list of objects; an object of objects, whose keys become `_key`; or lines of JSON under the wrong ending."""
    with opened(path) as file:
        text = file.read()
    try:
        whole = orjson.loads(text)
    except ValueError:
        yield from _jsonl(path)
        return
    if isinstance(whole, dict) and whole and all(isinstance(value, dict) for value in whole.values()):
        items = [{"_key": key, **value} for key, value in whole.items()]
    else:
        items = whole if isinstance(whole, list) else [whole]
    for number, row in enumerate(items, 1):
        if not isinstance(row, dict):
            raise DataError(f"{path}:{number}: expected a JSON object, found {type(row).__name__}")
        yield Raw(f"{path}:{number}", row)


def _delimited(path: Path, delimiter: str, header: list[str] | None) -> Iterator[Raw]:
    """Rows of CSV: quoted fields may hold commas and line breaks; the place is the line a row starts at."""
    csv.field_size_limit(sys.maxsize)
    with opened(path) as file:
        names = header
        for line, cells in _cells(path, csv.reader(file, delimiter=delimiter, strict=True)):
            if names is None:
                names = cells
            elif len(cells) == len(names):
                yield Raw(f"{path}:{line}", dict(zip(names, cells, strict=True)))
            else:
                raise DataError(f"{path}:{line}: {len(cells)} cells, expected {len(names)}: {', '.join(names)}")


def _cells(path: Path, reader: Json) -> Iterator[tuple[int, list[str]]]:
    """(line a row starts at, its cells), empty lines left out."""
    start = 1
    try:
        for cells in reader:
            if cells:
                yield start, cells
            start = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"{path}:{start}: not CSV ({error})") from error


def _parquet(path: Path) -> Iterator[Raw]:
    import pyarrow
    import pyarrow.parquet

    try:
        with pyarrow.parquet.ParquetFile(path) as file:
            yield from _numbered(path, file.iter_batches(batch_size=BATCH_ROWS))
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: not a Parquet file ({error})") from error


def _arrow(path: Path) -> Iterator[Raw]:
    """What `datasets.save_to_disk` writes (a stream), or the file format of Arrow."""
    import pyarrow

    try:
        with pyarrow.memory_map(str(path)) as mapped:
            try:
                yield from _numbered(path, pyarrow.ipc.open_stream(mapped))
            except pyarrow.ArrowInvalid:
                file = pyarrow.ipc.open_file(mapped)
                yield from _numbered(path, (file.get_batch(index) for index in range(file.num_record_batches)))
    except (pyarrow.ArrowInvalid, OSError) as error:
        raise DataError(f"{path}: not an Arrow file ({error})") from error


def _numbered(path: Path, batches: Iterator[Json]) -> Iterator[Raw]:
    number = 0
    for batch in batches:
        for row in batch.to_pylist():
            number += 1
            yield Raw(f"{path}:row {number}", row)


def _conll(path: Path) -> Iterator[Raw]:
    """One row a sentence: tokens, their BIO tags (first and last column), and the document a -DOCSTART- line names."""
    document = ""
    pairs: list[tuple[str, str]] = []
    first = 1
    with opened(path) as lines:
        for number, line in enumerate(itertools.chain(lines, [""]), 1):
            cells = line.split()
            starts = bool(cells) and cells[0].startswith("-DOCSTART-")
            if pairs and (starts or not cells):
                tokens, tags = zip(*pairs, strict=True)
                yield Raw(f"{path}:{first}", {"tokens": list(tokens), "tags": list(tags), "document": document})
                pairs = []
            if starts:
                document = line.partition("(")[2].partition(")")[0].strip() or document
            elif len(cells) == 1:
                raise DataError(f"{path}:{number}: expected a token and its tag, found `{line.strip()}`")
            elif cells:
                first = first if pairs else number
                pairs.append((cells[0], cells[-1]))


_READERS: dict[str, Callable[[Path], Iterator[Raw]]] = {
    "jsonl": _jsonl,
    "json": _json,
    "parquet": _parquet,
    "arrow": _arrow,
    "conll": _conll,
}
