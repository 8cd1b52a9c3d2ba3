"""The table itself: its rows, its columns, its file."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq

from ns_eval.errors import DataError
from ns_eval.files import replacing
from ns_eval.records import Sample
from ns_eval.scores.columns import category, column

FORMAT = 1
Same = Callable[[str, str], bool]


@dataclass(slots=True)
class Row:
    """One sample without its text. `verdicts` and `scores` become the columns `<judge>_correct` and `score_<name>`."""

    question_id: str
    question_hash: str
    subset: str | None
    cluster: str | None
    seed: int | None
    status: str
    answer: str | None
    verdicts: Mapping[str, bool | None] = field(default_factory=dict)
    scores: Mapping[str, float] = field(default_factory=dict)
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    finish_reason: str | None = None
    seconds: float | None = None
    attempts: int = 1
    tier: str | None = None
    chance: float | None = None


@dataclass(frozen=True, slots=True)
class Source:
    """An output file as it was when the table was made."""

    name: str
    size: int
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Meta:
    """What the table cannot say in rows: how many there should be, and of what it was made.

    `questions_expected` and `seeds` are what the run was asked for; None where nobody recorded it (others' folders), then
    every question is expected in every file. `upstream_rows` is set where the prepared file is not as long as its origin.
    `scale` holds the ends of a judge's ratings, `versions` those of judges and metrics.
    """

    benchmark: str
    questions_expected: int | None = None
    seeds: tuple[int | None, ...] = ()
    metric_type: str | None = None
    upstream_rows: int | None = None
    scale: tuple[float, float] | None = None
    sources: tuple[Source, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    format: int = FORMAT


@dataclass(frozen=True, slots=True)
class Scores:
    """The table and what stands behind it. Columns: see `table`."""

    table: pa.Table
    meta: Meta


def question_hash(problem: str | None, expected_answer: object) -> str:
    """A short fingerprint of a question's content, the same whatever its id: runs are compared on equal ones only."""
    text = f"{problem or ''}\0{'' if expected_answer is None else expected_answer}"
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def row(sample: Sample) -> Row:
    """The row of one sample as the engine holds it."""
    question, generation = sample.question, sample.generation
    return Row(
        question_id=question.id,
        question_hash=question_hash(question.problem, question.expected_answer),
        subset=question.subset,
        cluster=question.cluster,
        seed=sample.seed,
        status=sample.status,
        answer=first_answer(sample.verdicts),
        verdicts={verdict.judge: verdict.correct for verdict in sample.verdicts},
        scores=score_columns({verdict.judge: verdict.scores for verdict in sample.verdicts}),
        prompt_tokens=generation.prompt_tokens,
        completion_tokens=generation.completion_tokens,
        finish_reason=generation.finish_reason,
        seconds=generation.seconds,
        attempts=generation.attempts,
        tier=tier_of(question.meta.get("tier")),
        chance=chance_of(question.meta.get("choices")),
    )


def tier_of(value: object) -> str | None:
    """How hard a question is held to be, as its row says."""
    return str(value) if isinstance(value, str | int) and not isinstance(value, bool) else None


def chance_of(choices: object) -> float | None:
    """The chance of guessing right among a question's options; None where it has none."""
    return 1 / len(choices) if isinstance(choices, list | dict) and choices else None


class Answered(Protocol):
    """A verdict, of the records or of a line."""

    @property
    def answer(self) -> str | None: ...
    @property
    def extracted(self) -> str | None: ...


def first_answer(verdicts: Iterable[Answered]) -> str | None:
    """What the sample votes for: the first verdict's canonical answer, else its extracted one; blank is none."""
    for verdict in verdicts:
        for text in (verdict.answer, verdict.extracted):
            if text is not None and text.strip():
                return text.strip()
    return None


def score_columns(scores: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """{judge: {name: value}} as flat names; the judge's stands before a name that an earlier judge has taken."""
    flat: dict[str, float] = {}
    for judge, values in scores.items():
        for name, value in values.items():
            flat[f"{judge}_{name}" if name in flat else name] = value
    return flat


def table(rows: Iterable[Row], same: Same | None = None) -> pa.Table:
    """The rows as columns, questions in order of first appearance and their seeds by number, the greedy answer first.

    `answer_class` numbers the answers of one question so that equal ones have equal numbers; `same` says which are equal,
    by default those whose canonical strings are. It is asked once for each pair (new string, class).
    """
    groups: dict[str, list[Row]] = {}
    for item in rows:
        groups.setdefault(item.question_id, []).append(item)
    ordered: list[Row] = []
    classes: list[int | None] = []
    for group in groups.values():
        group.sort(key=lambda item: -1 if item.seed is None else item.seed)
        ordered += group
        classes += answer_classes([item.answer for item in group], same)
    columns = {
        "question_id": category([item.question_id for item in ordered]),
        "question_hash": category([item.question_hash for item in ordered]),
        "subset": category([item.subset for item in ordered]),
        "cluster": category([item.cluster for item in ordered]),
        "seed": column([item.seed for item in ordered], pa.int64()),
        "status": category([item.status for item in ordered]),
        "answer": category([item.answer for item in ordered]),
        "answer_class": column(classes, pa.int32()),
        **_open_columns(ordered),
        "prompt_tokens": column([item.prompt_tokens for item in ordered], pa.int64()),
        "completion_tokens": column([item.completion_tokens for item in ordered], pa.int64()),
        "finish_reason": category([item.finish_reason for item in ordered]),
        "seconds": column([item.seconds for item in ordered], pa.float64()),
        "attempts": column([item.attempts for item in ordered], pa.int32()),
        "tier": category([item.tier for item in ordered]),
        "chance": column([item.chance for item in ordered], pa.float64()),
    }
    return pa.table(columns)


def _open_columns(rows: Sequence[Row]) -> dict[str, pa.Array]:
    judges = dict.fromkeys(judge for item in rows for judge in item.verdicts)
    names = dict.fromkeys(name for item in rows for name in item.scores)
    columns = {f"{judge}_correct": column([item.verdicts.get(judge) for item in rows], pa.bool_()) for judge in judges}
    return columns | {f"score_{name}": column([item.scores.get(name) for item in rows], pa.float64()) for name in names}


def answer_classes(answers: Sequence[str | None], same: Same | None = None) -> list[int | None]:
    """Class numbers of one question's answers, from 0 in order of appearance; None where there is no answer."""
    known: dict[str, int] = {}
    first: list[str] = []
    for answer in answers:
        if answer is None or answer in known:
            continue
        number = next((at for at, other in enumerate(first) if same is not None and same(answer, other)), len(first))
        if number == len(first):
            first.append(answer)
        known[answer] = number
    return [None if answer is None else known[answer] for answer in answers]


def write(path: Path, scores: Scores) -> None:
    """Replaces the file as a whole."""
    packed = {b"ns_eval": msgspec.json.encode(scores.meta)}
    with replacing(path) as file:
        pq.write_table(scores.table.replace_schema_metadata(packed), file, compression="zstd")


def read(path: Path) -> Scores:
    """A scores file.

    Raises:
        DataError: it is none of ours, or of a later format.
    """
    try:
        # Not `read_table`: it imports pyarrow.dataset, and that pandas.
        with pq.ParquetFile(path) as file:
            # By one thread: dealing a small table out to several costs as much as reading it.
            found = file.read(use_threads=False)
        meta = msgspec.json.decode((found.schema.metadata or {})[b"ns_eval"], type=Meta)
    except (pa.ArrowInvalid, OSError, KeyError, msgspec.DecodeError) as error:
        raise DataError(f"{path}: not a scores table ({error})", hint=f"it is derived: rm {path}") from error
    if meta.format > FORMAT:
        raise DataError(f"{path}: format {meta.format}, this version reads {FORMAT}", hint="pip install -U ns-eval")
    return Scores(found, meta)
