"""One split on disk: the question file, the pictures it names, and the record of where it came from."""

from __future__ import annotations

import collections
import functools
import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import orjson

from dataset_prepare.fetch import Fetched
from dataset_prepare.images import store_images
from dataset_prepare.readers import Raw, read
from dataset_prepare.rows import question_rows
from dataset_prepare.sources import PrepareSource, SplitSource, source
from ns_eval import questions
from ns_eval.config import BenchmarkConfig
from ns_eval.errors import DataError
from ns_eval.files import replacing, write_text
from ns_eval.records import Json, dumps


@dataclass(frozen=True, slots=True)
class Prepared:
    """One split on disk. `notes` are what a person should know, such as fewer rows than upstream has."""

    path: Path
    rows: int
    upstream_rows: int | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """What went into a file: its digest, and how many questions of each subset."""

    sha256: str
    subsets: Mapping[str, int]

    @property
    def rows(self) -> int:
        return sum(self.subsets.values())


def write_split(benchmark: BenchmarkConfig, name: str, folder: Path, files: Fetched, *, strict: bool) -> Prepared:
    """Writes `<folder>/<benchmark>/<name>.jsonl` and its origin record; an older file stays where anything is wrong.

    `strict` is for what was downloaded: there another number of rows than declared is an error, else a note.

    Raises:
        DataError: a wrong row by file and line, no row at all, a folder that cannot be written.
    """
    declared = source(benchmark)
    split = declared.splits[name]
    path = folder / benchmark.name / f"{name}.jsonl"
    rows = question_rows(_raws(declared, files, name), benchmark, declared, name, _ids(files.ids))
    try:
        with replacing(path) as out:
            written = _write_rows(out, map(functools.partial(store_images, folder=path.parent), rows))
            if not written.rows:
                raise _without_questions(f"{benchmark.name}/{name}", declared, files, name)
            notes = tuple(_differences(split, written))
            if strict and notes:
                raise DataError(
                    f"{declared.id}: {notes[0]}", hint="the upstream changed; give a copy that you trust with --source=PATH"
                )
        record = _origin(benchmark.name, name, declared, files, written)
        record |= {"from": "the upstream" if strict else "a local copy", "notes": notes}
        text = orjson.dumps(record, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
        write_text(questions.origin_file(path), text)
    except OSError as error:
        where = error.filename or path
        raise DataError(f"cannot prepare {path}: {where}: {error.strerror}", hint="choose another --data_dir") from error
    return Prepared(path, written.rows, split.rows or None, notes)


def upstream_form(declared: PrepareSource) -> str:
    """What a person has to bring, in one line."""
    parts = [declared.id, ", ".join(declared.configs), f"at {declared.revision[:12]}" if declared.revision else ""]
    return "expected the files of " + " ".join(part for part in parts if part)


def _without_questions(what: str, declared: PrepareSource, files: Fetched, name: str) -> DataError:
    read_from = ", ".join(str(file) for _, file in files.files)
    if next(_raws(declared, files, name), None) is None:
        return DataError(f"{what}: {read_from} holds no rows", hint=upstream_form(declared))
    return DataError(f"no question of {what} is in {read_from}", hint=upstream_form(declared))


def _write_rows(out: Json, rows: Iterator[dict[str, Json]]) -> Written:
    digest, subsets = hashlib.sha256(), collections.Counter[str]()
    for row in rows:
        line = dumps(row)
        out.write(line)
        digest.update(line)
        subsets[row.get("subset_for_metrics", "")] += 1
    return Written(digest.hexdigest(), subsets)


def _raws(declared: PrepareSource, files: Fetched, name: str) -> Iterator[Raw]:
    """Every row of a split; `_config` and `_split` say what a loader may need and the row does not hold."""
    for config, file in files.files:
        for raw in read(file, declared.format, declared.header or None):
            yield Raw(raw.where, {"_config": config, "_split": name, **raw.values})


def _ids(path: Path | None) -> frozenset[str] | None:
    if path is None:
        return None
    try:
        return frozenset(str(item) for item in orjson.loads(path.read_bytes()))
    except ValueError as error:
        raise DataError(f"{path}: not JSON ({error})") from error


def _differences(split: SplitSource, written: Written) -> Iterator[str]:
    if split.rows and written.rows != split.rows:
        yield f"{written.rows} questions, {split.rows} were declared: every table will say ({written.rows} of {split.rows})"
    for subset, expected in split.subsets.items():
        if written.subsets.get(subset, 0) != expected:
            yield f"subset {subset} has {written.subsets.get(subset, 0)} questions, {expected} were declared"


def _origin(benchmark: str, name: str, declared: PrepareSource, files: Fetched, written: Written) -> dict[str, Json]:
    return {
        "benchmark": benchmark,
        "split": name,
        "kind": declared.kind,
        "id": declared.id,
        "config": ",".join(declared.configs),
        "revision": files.revision,
        "licence": declared.licence,
        "files": [str(file) for _, file in files.files],
        "rows": written.rows,
        "upstream_rows": declared.splits[name].rows or None,
        "sha256": written.sha256,
        "columns": dict(declared.columns),
        "loader": declared.rows,
        "evidence": vars(declared.evidence),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
    }
