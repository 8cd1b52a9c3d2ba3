"""Prepared question files: where they lie, and one of them checked and loaded."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from ns_eval.config import BenchmarkConfig
from ns_eval.errors import DataError, suggest
from ns_eval.records import Json, Question, question_from_row, question_row, read_jsonl
from ns_eval.resources import folder as shipped_folder

# What can be asked of nobody, prepared or not.
_CLOSED = ("incompatible", "unavailable")
# An empty list is something: a sentence without an entity.
_EMPTY: tuple[Json, ...] = (None, "", {})


@dataclass(frozen=True, slots=True)
class Questions:
    """One split of a benchmark. `fingerprint` hashes what the questions say, not how the file spells it.

    `upstream_rows` is how many its source has in full, None where no origin record lies beside the file: `rows` below it is
    what every table calls (N of M).
    """

    path: Path
    questions: tuple[Question, ...]
    fingerprint: str
    rows: int
    upstream_rows: int | None


def data_dir(flag: str | None = None) -> Path:
    """`--data_dir`, else NS_DATA_DIR, else NEMO_SKILLS_DATA_DIR, else ~/.cache/ns-eval/data."""
    chosen = flag or os.environ.get("NS_DATA_DIR") or os.environ.get("NEMO_SKILLS_DATA_DIR")
    return Path(chosen).expanduser() if chosen else Path.home() / ".cache" / "ns-eval" / "data"


def split_file(benchmark: BenchmarkConfig, split: str, folder: Path) -> Path:
    """Where a split lies, whether it is there or not: a shipped benchmark needs no data folder."""
    base = shipped_folder("shipped") if benchmark.prepare.get("kind") == "shipped" else folder
    return base / benchmark.name / f"{split}.jsonl"


def readiness(benchmark: BenchmarkConfig, folder: Path) -> str:
    """prepared, or what its YAML says stands between it and that: ready, needs_source, gated, incompatible, unavailable.

    Looks at the disk alone: whether a token opens a gated set is known only when it is asked for.
    """
    return "prepared" if split_file(benchmark, benchmark.split, folder).is_file() else benchmark.status


def drawn(found: Sequence[Question], count: int) -> tuple[Question, ...]:
    """`count` of the questions, in their order; the same ones in every run, and those of a smaller count among them."""
    ranks = sorted(found, key=lambda question: hashlib.sha256(question.id.encode()).digest())
    chosen = {question.id for question in ranks[:count]}
    return tuple(question for question in found if question.id in chosen)


def origin_file(path: Path) -> Path:
    """The record of a split's origin, beside it."""
    return path.with_name(f"{path.stem}.origin.json")


def require_runnable(benchmark: BenchmarkConfig) -> None:
    """DataError for a benchmark that cannot be run at all, whether its questions can be prepared or not."""
    if benchmark.status in _CLOSED:
        raise DataError(f"{benchmark.name} is {benchmark.status}: {benchmark.reason}", hint="ns show benchmarks")


def load(benchmark: BenchmarkConfig, split: str, folder: Path) -> Questions:
    """A split of a benchmark, in the file's order.

    Raises:
        DataError: not prepared; a line that is no JSON object, a duplicate id, a
            missing problem or a column that the benchmark needs, by file and line.
    """
    path = split_file(benchmark, split, folder)
    if not path.is_file():
        raise _not_prepared(benchmark, split, path, folder)
    origin = read_origin(path)
    try:
        questions = read(path, benchmark.name, benchmark.needs)
    except DataError as error:
        raise DataError(error.message, hint=f"ns prepare_data {benchmark.name} writes the file anew") from error
    if not questions:
        raise DataError(f"{path}: there is no question in it", hint=f"ns prepare_data {benchmark.name}")
    return Questions(path, questions, fingerprint(questions), len(questions), origin.get("upstream_rows"))


def read(path: Path, benchmark: str, needs: Sequence[str] = ()) -> tuple[Question, ...]:
    """The questions of a prepared file, in its order.

    Raises:
        DataError: see `checked`.
    """
    # NeMo-Skills' own files of several benchmarks have no ids: there a question's place is its name.
    rows = ((number, {"id": f"{benchmark}-{index}", **row}) for index, (number, row) in enumerate(read_jsonl(path)))
    return tuple(checked(rows, needs, str(path)))


def read_rows(path: Path) -> tuple[Question, ...]:
    """Any rows of JSON as questions: what the records do not know is a column that a prompt may use.

    Raises:
        DataError: a line that is no JSON object, an id twice.
    """
    found: dict[str, Question] = {}
    for index, (number, row) in enumerate(read_jsonl(path)):
        question = question_from_row({"id": str(index), "problem": "", **row})
        if question.id in found:
            raise DataError(f"{path}:{number}: id `{question.id}` stands there twice")
        found[question.id] = question
    return tuple(found.values())


def checked(rows: Iterator[tuple[int, dict[str, Json]]], needs: Sequence[str], where: str) -> Iterator[Question]:
    """Questions out of numbered rows.

    Raises:
        DataError: a duplicate id, no problem, an empty column that the benchmark needs, as `file:line: what`.
    """
    first_line: dict[str, int] = {}
    for number, row in rows:
        check_row(row, needs, f"{where}:{number}")
        question = question_from_row(row)
        if question.id in first_line:
            raise DataError(f"{where}:{number}: id `{question.id}` stands already in line {first_line[question.id]}")
        first_line[question.id] = number
        yield question


def check_row(row: Mapping[str, Json], needs: Sequence[str], where: str) -> None:
    """DataError for a row without a problem or without a column that its judge needs; `where` is `file:line`."""
    problem = row.get("problem")
    if not isinstance(problem, str) or not problem.strip():
        raise DataError(f"{where}: `problem` is {_shown(row, 'problem')}")
    for column in needs:
        if row.get(column) in _EMPTY:
            raise DataError(f"{where}: `{column}` is {_shown(row, column)}, and its judge needs one")


def fingerprint(questions: tuple[Question, ...]) -> str:
    """16 hex digits over ids and contents, whatever the order of columns in the file."""
    digest = hashlib.sha256()
    for question in questions:
        digest.update(orjson.dumps(question_row(question), option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE))
    return digest.hexdigest()[:16]


def read_origin(path: Path) -> Mapping[str, Json]:
    """The origin record beside a question file; empty where there is none.

    Raises:
        DataError: it is there and no JSON object.
    """
    origin = origin_file(path)
    if not origin.is_file():
        return {}
    try:
        values = orjson.loads(origin.read_bytes())
    except ValueError as error:
        raise DataError(f"{origin}: not JSON ({error})") from error
    if not isinstance(values, dict):
        raise DataError(f"{origin}: expected an object, found {type(values).__name__}")
    return values


def _shown(row: Mapping[str, Json], column: str) -> str:
    if column not in row:
        return f"missing ({suggest(column, row)})"
    return "empty" if row[column] in _EMPTY or not str(row[column]).strip() else f"no text: {row[column]!r:.60}"


def _not_prepared(benchmark: BenchmarkConfig, split: str, path: Path, folder: Path) -> DataError:
    others = sorted(item.stem for item in path.parent.glob("*.jsonl")) if path.parent.is_dir() else []
    if others:
        return DataError(f"{benchmark.name} has no split `{split}` in {path.parent}: {suggest(split, others)}")
    given = "" if folder == data_dir() else f" --data_dir={folder}"
    why = f" ({benchmark.status}: {benchmark.reason})" if benchmark.reason else ""
    source = " --source=PATH" if benchmark.status == "needs_source" else ""
    return DataError(
        f"{benchmark.name} is not prepared: {path} does not exist{why}",
        hint=f"ns prepare_data {benchmark.name}{source}{given}",
    )
