"""The five records that every stage hands on, and their one form on disk: a line of JSON with NeMo-Skills' column names.

A record is made once and never edited; a stage that adds something returns a new one.

    Question -> Request -> Generation -> Verdict
                     all four in a Sample, one (question, seed)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec
import orjson

from ns_eval.errors import DataError
from ns_eval.files import replacing

T = TypeVar("T")
# A row's free part is JSON: Any, because JSON is recursive and every reader checks what it takes out.
Json: TypeAlias = Any
Status = Literal["ok", "no_answer", "truncated", "filtered", "error"]
STATUSES: tuple[Status, ...] = ("error", "filtered", "truncated", "no_answer", "ok")


@dataclass(frozen=True, slots=True)
class Question:
    """One problem of a benchmark. `meta` holds what only some benchmarks have: choices, turns, images, tests."""

    id: str
    problem: str
    expected_answer: str | None = None
    subset: str | None = None
    cluster: str | None = None
    meta: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Sampling:
    """What shapes one answer; None is "the server's own default". `max_tokens` None is the room that is left."""

    temperature: float = 0.0
    top_p: float = 1.0
    top_k: int = -1
    min_p: float = 0.0
    repetition_penalty: float = 1.0
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    top_logprobs: int | None = None
    extra_body: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Request:
    """What is sent for one sample: chat messages, or one text for the completions route. `seed` None is greedy."""

    question_id: str
    seed: int | None
    sampling: Sampling
    messages: tuple[Mapping[str, Json], ...] | None = None
    text: str | None = None


@dataclass(frozen=True, slots=True)
class Generation:
    """What came back. `error` set means infrastructure failed: then `text` is empty and nothing of it is an answer.

    `seconds` is the wall time of the last attempt, `started` and `ended` are Unix times, `attempts` counts from 1.
    """

    text: str
    reasoning: str | None = None
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    seconds: float = 0.0
    started: float = 0.0
    ended: float = 0.0
    attempts: int = 1
    error: str | None = None
    meta: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Verdict:
    """What one judge says of one sample.

    `correct` None is "not judged": left out of means and counted on its own, never 0. `extracted` is the answer as the
    model wrote it, `answer` its canonical form: equal answers have equal canonical strings wherever the judge can give
    one. `comment` names what decided; `error` says why there is no verdict.
    """

    judge: str
    correct: bool | None
    answer: str | None = None
    extracted: str | None = None
    scores: Mapping[str, float] = field(default_factory=dict)
    comment: str | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Sample:
    """One (question, seed): what was asked, what came, what the judges say. `seed` None is the greedy answer."""

    question: Question
    seed: int | None
    status: Status
    generation: Generation
    verdicts: tuple[Verdict, ...] = ()
    meta: Mapping[str, Json] = field(default_factory=dict)


QUESTION_COLUMNS = ("id", "problem", "expected_answer", "subset_for_metrics", "cluster")
_GENERATION_COLUMNS = {
    "reasoning_content": "reasoning",
    "finish_reason": "finish_reason",
    "num_input_tokens": "prompt_tokens",
    "num_generated_tokens": "completion_tokens",
    "generation_time": "seconds",
    "generation_start_time": "started",
    "generation_end_time": "ended",
    "num_attempts": "attempts",
    "error": "error",
}
_VERDICT_COLUMNS = ("correct", "answer", "extracted", "scores", "comment", "error")


def question_row(question: Question) -> dict[str, Json]:
    """The columns of a prepared question file; absent values are left out."""
    known = {
        "id": question.id,
        "problem": question.problem,
        "expected_answer": question.expected_answer,
        "subset_for_metrics": question.subset,
        "cluster": question.cluster,
    }
    return {key: value for key, value in known.items() if value is not None} | dict(question.meta)


def question_from_row(row: Mapping[str, Json]) -> Question:
    """The reverse of `question_row`; columns that the record does not know go to `meta`."""
    answer = row.get("expected_answer")
    return Question(
        id=str(row["id"]),
        problem=row["problem"],
        expected_answer=None if answer is None else str(answer),
        subset=row.get("subset_for_metrics"),
        cluster=row.get("cluster"),
        meta={key: value for key, value in row.items() if key not in QUESTION_COLUMNS},
    )


def sample_row(sample: Sample) -> dict[str, Json]:
    """One flat line of an output file: what the model gave first, then the question's own columns.

    `predicted_answer` and `<judge>_correct` are NeMo-Skills' names; what our records hold beyond them stands under
    `verdicts` and `sample_meta`. A question column of the same name as an output column is dropped, as there.
    """
    generation = sample.generation
    row: dict[str, Json] = {"generation": generation.text, "seed": sample.seed, "status": sample.status}
    for column, name in _GENERATION_COLUMNS.items():
        value = getattr(generation, name)
        if value is not None:
            row[column] = value
    if generation.meta:
        row["generation_meta"] = dict(generation.meta)
    for verdict in sample.verdicts:
        row[f"{verdict.judge}_correct"] = verdict.correct
    if sample.verdicts:
        row["predicted_answer"] = sample.verdicts[0].extracted
        row["verdicts"] = {verdict.judge: verdict_columns(verdict) for verdict in sample.verdicts}
    if sample.meta:
        row["sample_meta"] = dict(sample.meta)
    return row | {key: value for key, value in question_row(sample.question).items() if key not in row}


def sample_from_row(row: Mapping[str, Json]) -> Sample:
    """The reverse of `sample_row`, for lines that this project wrote."""
    verdicts = row.get("verdicts") or {}
    written = {"generation", "seed", "status", "generation_meta", "predicted_answer", "verdicts", "sample_meta"}
    written |= set(_GENERATION_COLUMNS) | {f"{judge}_correct" for judge in verdicts}
    return Sample(
        question=question_from_row({key: value for key, value in row.items() if key not in written}),
        seed=row.get("seed"),
        status=row["status"],
        generation=Generation(
            text=row["generation"],
            meta=row.get("generation_meta") or {},
            **{name: row[column] for column, name in _GENERATION_COLUMNS.items() if column in row},
        ),
        verdicts=tuple(Verdict(judge=judge, **columns) for judge, columns in verdicts.items()),
        meta=row.get("sample_meta") or {},
    )


def verdict_columns(verdict: Verdict) -> dict[str, Json]:
    """What stands under a row's `verdicts` for one judge; absent values are left out."""
    values = {name: getattr(verdict, name) for name in _VERDICT_COLUMNS}
    return {name: value for name, value in values.items() if name == "correct" or value not in (None, {})}


def dumps(row: Mapping[str, Json]) -> bytes:
    """One line of JSON with its newline."""
    return orjson.dumps(row, option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_SERIALIZE_NUMPY)


def loads(line: bytes) -> dict[str, Json]:
    """One line of JSON; ValueError where it is none or no object."""
    row = orjson.loads(line)
    if not isinstance(row, dict):
        raise ValueError(f"expected a JSON object, found {type(row).__name__}")
    return row


def read_record(path: Path, kind: type[T]) -> T | None:
    """What a run wrote into a JSON file of its own; None where there is none.

    Raises:
        DataError: the file holds something else.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=kind)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError as error:
        raise DataError(f"{path}: not what a run writes there ({error})", hint=f"mv {path} {path}.broken") from error


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Json]]]:
    """(line number from 1, row) of every line that is not blank.

    Raises:
        DataError: a line that is no JSON object, named by file and line.
    """
    with path.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.isspace():
                continue
            try:
                yield number, loads(line)
            except ValueError as error:
                raise DataError(f"{path}:{number}: not a line of JSON ({error})") from error


def write_jsonl(path: Path, rows: Iterable[Mapping[str, Json]]) -> None:
    """Replaces `path` as a whole: a reader sees the old file or the new one."""
    with replacing(path) as file:
        file.writelines(dumps(row) for row in rows)
