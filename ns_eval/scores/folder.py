"""A benchmark's folder -> its table: the one on disk while it is fresh, else one made of the output files."""

from __future__ import annotations

import dataclasses
import logging
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

import msgspec

from ns_eval.errors import DataError
from ns_eval.records import read_record
from ns_eval.scores.lines import Line, LineVerdict, SeedOutput, find_outputs, read_lines
from ns_eval.scores.table import (
    FORMAT,
    Meta,
    Row,
    Same,
    Scores,
    Source,
    chance_of,
    first_answer,
    question_hash,
    read,
    score_columns,
    table,
    tier_of,
    write,
)

NAME = "scores.parquet"
# The name of a question without an `id`: its line. Zero-padded, so that names sort like lines.
_POSITION = "#{:06d}"
_log = logging.getLogger(__name__)
_JUDGEMENT = re.compile(r"[\s*_`\"']*(yes|no)\b", re.IGNORECASE)


class _Expected(msgspec.Struct):
    """What the engine wrote into expected.json; see `rundir.Expected`."""

    questions: int
    seeds: tuple[int | None, ...]
    metric_type: str | None = None
    upstream_rows: int | None = None


class _Judging(msgspec.Struct):
    """Of what a judging wrote into judging.json."""

    scale: tuple[float, float] | None = None


def load(folder: Path, same: Same | None = None) -> Scores:
    """The table of a benchmark's folder; a new one is kept beside the output files.

    Raises:
        DataError: see `build`.
    """
    path = folder / NAME
    outputs = find_outputs(folder)
    kept = _kept(path)
    if kept is not None and (not outputs or kept.meta.sources == sources(outputs)):
        return Scores(kept.table, _with_expected(kept.meta, folder))
    fresh = build(folder, same)
    try:
        write(path, fresh)
    except OSError as error:
        _log.warning("%s cannot be kept (%s): the next summary reads the output files again", path, error.strerror)
    return fresh


def _kept(path: Path) -> Scores | None:
    if not path.exists():
        return None
    try:
        kept = read(path)
    except DataError as error:
        _log.warning("%s; it is made again", error.message)
        return None
    return kept if kept.meta.format == FORMAT else None


def sources(outputs: Iterable[SeedOutput]) -> tuple[Source, ...]:
    """The output files as they are now: a table made of others is stale."""
    paths = [path for output in outputs for path in output.paths]
    stats = [(path.name, path.stat()) for path in paths]
    return tuple(Source(name, stat.st_size, stat.st_mtime_ns) for name, stat in stats)


def build(folder: Path, same: Same | None = None) -> Scores:
    """The table of the folder's output files, streamed: ours, and NeMo-Skills' of both eras.

    Raises:
        DataError: no output file, or one that is broken; one question under two ids or two under one; files without ids
            whose lengths differ. Names the file and the line or the count.
    """
    outputs = find_outputs(folder)
    if not outputs:
        raise DataError(
            f"{folder}: no output*.jsonl in it", hint="ns summarize_results takes a run folder or eval-results/<b>"
        )
    made_of = sources(outputs)
    seen: dict[str, str] = {}
    rows: list[Row] = []
    counts: dict[SeedOutput, int] = {}
    by_position = False
    for output in outputs:
        found = _read_seed(output, seen)
        by_position |= any(name.startswith("#") for name in found)
        counts[output] = len(found)
        rows += found.values()
    if not rows:
        raise DataError(f"{folder}: its {len(outputs)} output files are empty", hint="run the evaluation again")
    if by_position:
        _refuse_unequal(counts)
    seeds = tuple(output.seed for output in outputs)
    meta = Meta(benchmark=folder.name, seeds=seeds, sources=made_of)
    return Scores(table(rows, same), _with_expected(meta, folder))


def _refuse_unequal(counts: Mapping[SeedOutput, int]) -> None:
    """Without ids the line number says which question a line answers: that holds for complete files only."""
    longest = max(counts.values())
    for output, count in counts.items():
        if count != longest and not output.in_progress:
            raise DataError(
                f"{output.paths[0]}: {count} rows, another file of this folder has {longest}, and rows without an `id` can "
                "only be matched by their line",
                hint="complete that file, or move it out of the folder",
            )


def _with_expected(meta: Meta, folder: Path) -> Meta:
    """What the run wrote beside its output files."""
    judging = read_record(folder / "judging.json", _Judging)
    expected = read_record(folder / "expected.json", _Expected)
    if judging is not None:
        meta = dataclasses.replace(meta, scale=judging.scale)
    if expected is None:
        return meta
    return dataclasses.replace(
        meta,
        questions_expected=expected.questions,
        seeds=expected.seeds,
        metric_type=expected.metric_type,
        upstream_rows=expected.upstream_rows,
    )


def _read_seed(output: SeedOutput, seen: dict[str, str]) -> dict[str, Row]:
    """The rows of one seed by question; `seen` maps the ids of all seeds to the hash of their question."""
    rows: dict[str, Row] = {}
    position = 0
    for path in output.paths:
        for number, line in read_lines(path):
            row = _row(line, position if line.async_position is None else line.async_position, output.seed)
            position += 1
            # A line in progress replaces an earlier one of its question: a failed sample that was asked again.
            if row.question_id in rows and not path.name.endswith("-async"):
                raise DataError(
                    f"{path}:{number}: question `{row.question_id}` stands in this seed twice",
                    hint="keep one of the two lines",
                )
            if seen.setdefault(row.question_id, row.question_hash) != row.question_hash:
                raise DataError(
                    f"{path}:{number}: question `{row.question_id}` reads otherwise than in another seed of this folder: "
                    "files of two data sets are mixed",
                    hint="keep the output files of one run in one folder",
                )
            rows[row.question_id] = row
    return rows


def _row(line: Line, position: int, seed: int | None) -> Row:
    verdicts = line.verdicts or {}
    correct = {judge: verdict.correct for judge, verdict in verdicts.items()} | _foreign_verdicts(line, verdicts)
    answer = first_answer(verdicts.values())
    if answer is None and not isinstance(line.predicted_answer, msgspec.UnsetType) and line.predicted_answer is not None:
        answer = str(line.predicted_answer).strip() or None
    scores = score_columns({judge: verdict.scores for judge, verdict in verdicts.items()})
    if line.reward_model_score is not None:
        scores["reward_model_score"] = line.reward_model_score
    return Row(
        question_id=_POSITION.format(position) if line.id is None else str(line.id),
        question_hash=question_hash(line.problem or line.question, line.expected_answer),
        subset=line.subset_for_metrics,
        cluster=line.cluster,
        seed=seed,
        status=line.status or _foreign_status(line, answer),
        answer=answer,
        verdicts=correct,
        scores=scores,
        prompt_tokens=None if line.num_input_tokens is None else int(line.num_input_tokens),
        completion_tokens=None if line.num_generated_tokens is None else int(line.num_generated_tokens),
        finish_reason=line.finish_reason,
        seconds=line.generation_time,
        attempts=line.num_attempts or 1,
        tier=tier_of(msgspec.json.decode(line.tier)),
        chance=chance_of(msgspec.json.decode(line.choices)),
    )


def _foreign_verdicts(line: Line, ours: Mapping[str, LineVerdict]) -> dict[str, bool | None]:
    """NeMo-Skills' columns: `is_correct` until commit 098f04d9, `symbolic_correct` since; `judgement` is text."""
    found: dict[str, bool | None] = {}
    for judge, values in {
        "symbolic": (line.symbolic_correct, line.is_correct),
        "judge": (line.judge_correct, _judged(line.judgement)),
    }.items():
        given = [value for value in values if not isinstance(value, msgspec.UnsetType)]
        if given and judge not in ours:
            found[judge] = given[0]
    return found


def _judged(text: str | msgspec.UnsetType | None) -> bool | msgspec.UnsetType | None:
    """The verdict behind the last "Judgement:". NeMo-Skills takes what it cannot read for a No; here it is no verdict."""
    if text is None or isinstance(text, msgspec.UnsetType):
        return text
    _, marker, tail = text.rpartition("Judgement:")
    match = _JUDGEMENT.match(tail) if marker else None
    return None if match is None else match[1].lower() == "yes"


def _foreign_status(line: Line, answer: str | None) -> str:
    """NeMo-Skills writes no status: `error` means a failed request, but a prompt too long is the model's limit."""
    if line.error:
        return "truncated" if "context" in line.error else "error"
    if line.finish_reason == "length":
        return "truncated"
    if line.finish_reason == "content_filter":
        return "filtered"
    asked = not isinstance(line.predicted_answer, msgspec.UnsetType)
    return "no_answer" if asked and answer is None else "ok"
