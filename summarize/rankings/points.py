"""The points of one evaluation on one task: for each question how its samples ended. A point is a question."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from ns_eval import benchmarks
from ns_eval.errors import DataError, UsageError, suggest
from ns_eval.resources import conf_names
from ns_eval.scores import Scores
from ns_eval.scores.columns import codes, floats
from summarize.questions import Floats, Integers, Samples, samples

_LETTER = re.compile(r"[A-J]")
_WORDS = {"yes", "no", "maybe", "true", "false"}


@dataclass(frozen=True, slots=True, eq=False)
class Questions:
    """Parallel over the questions of a table; `keys` tells one by its content and how-manieth occurrence.

    Evaluations of the same questions share one object, which is therefore told by its identity: no text is compared twice.
    """

    keys: tuple[tuple[str, int], ...]
    tiers: tuple[str | None, ...]
    subsets: tuple[str | None, ...]


# The questions met so far, by their contents.
Met: TypeAlias = dict[tuple[tuple[str | None, ...], ...], Questions]


@dataclass(frozen=True, slots=True)
class Points:
    """Parallel arrays over questions.

    `graded` samples were judged and not cut, `right` sums their scores, `truncated` were cut (whatever was read from them),
    `invalid` are those of the graded without an answer. `chance` is that of guessing right. `tokens` sums over the `counted`
    samples that are graded or cut and whose length is known, `seconds` over the `timed` ones.
    """

    questions: Questions
    graded: Floats
    right: Floats
    truncated: Floats
    invalid: Floats
    chance: Floats
    tokens: Floats
    counted: Floats
    seconds: Floats
    timed: Floats
    expected: int | None
    guessed: str | None


@dataclass(frozen=True, slots=True)
class Chances:
    """The chance of guessing a task right: `given` by a dataset file, which wins, and by the `benchmarks` of conf/."""

    given: Mapping[str, float]
    benchmarks: Mapping[str, float]


def chances(tasks: Iterable[str], given: Mapping[str, float]) -> Chances:
    """What is known of tasks before their rows are read."""
    known = conf_names("benchmark")
    return Chances(given, {task: benchmarks.find(task).chance or 0.0 for task in tasks if task in known})


def points(task: str, scores: Scores, score: str | None, chance: Chances, met: Met) -> Points:
    """The points of a scores table; `met` learns its questions.

    Raises:
        UsageError: it has no such score.
        DataError: a score that is no share, a chance level of 1.
    """
    found = samples(scores)
    value = _value(task, found, score)
    cut = found.status == "truncated"
    known = ~np.isnan(value) & ~cut
    failed = found.status == "error"
    ended = (known | cut) & ~failed
    order = _order(scores)
    seconds = floats(scores.table["seconds"])[order.rows]
    level, guessed = _chance(task, scores, order, chance)

    def counted(flags: Floats) -> Floats:
        sums: Floats = np.bincount(found.question, weights=flags, minlength=found.count).astype(np.float64)
        return sums

    return Points(
        questions=_questions(scores, found, order, met),
        graded=counted(known * 1.0),
        right=counted(np.where(known, value, 0.0)),
        truncated=counted((cut & ~failed) * 1.0),
        invalid=counted((known & found.silent) * 1.0),
        chance=level,
        tokens=counted(np.where(ended & ~np.isnan(found.tokens), found.tokens, 0.0)),
        counted=counted((ended & ~np.isnan(found.tokens)) * 1.0),
        seconds=counted(np.where(ended & ~np.isnan(seconds), seconds, 0.0)),
        timed=counted((ended & ~np.isnan(seconds)) * 1.0),
        expected=scores.meta.questions_expected,
        guessed=guessed,
    )


def _questions(scores: Scores, found: Samples, order: _Order, met: Met) -> Questions:
    contents = found.hashes, _tiers(scores, found, order), found.subsets
    if contents not in met:
        met[contents] = Questions(tuple(keys(found)), *contents[1:])
    return met[contents]


def keys(found: Samples) -> list[tuple[str, int]]:
    """Content hash and its how-manieth occurrence of each question: data sets do repeat questions."""
    if len(set(found.hashes)) == found.count:
        return [(hashed, 0) for hashed in found.hashes]
    seen: dict[str, int] = {}
    made = []
    for hashed in found.hashes:
        seen[hashed] = seen.get(hashed, -1) + 1
        made.append((hashed, seen[hashed]))
    return made


def _value(task: str, found: Samples, score: str | None) -> Floats:
    name = score or next(iter(found.values))
    if name not in found.values:
        raise UsageError(f"{task} has no score `{name}`, {suggest(name, found.values)}")
    value = found.values[name]
    if ((value < 0) | (value > 1)).any():
        raise DataError(
            f"{task}: {name} is no share of 1 (it reaches {np.nanmax(value):g}): it cannot be ranked by ReasonScore",
            hint="--score names another; ns compare compares ratings",
        )
    return value


@dataclass(frozen=True, slots=True)
class _Order:
    """How `samples` orders the rows of a table: by question; and the first row of each."""

    rows: Integers
    first: Integers


def _order(scores: Scores) -> _Order:
    question, names = codes(scores.table["question_id"])
    rows = np.argsort(question, kind="stable")
    return _Order(rows, rows[np.searchsorted(question[rows], np.arange(len(names)))])


def _tiers(scores: Scores, found: Samples, order: _Order) -> tuple[str | None, ...]:
    if "tier" not in scores.table.column_names:
        return (None,) * found.count
    code, texts = codes(scores.table["tier"])
    # A null's code is -1: the last of them.
    return tuple(np.array([*texts, None], dtype=object)[code[order.first]].tolist())


def _chance(task: str, scores: Scores, order: _Order, chance: Chances) -> tuple[Floats, str | None]:
    """The chance of guessing each question right, and how it was guessed where nobody says."""
    guessed = None
    if task in chance.given:
        level = np.full(len(order.first), chance.given[task])
    elif (own := _own_chance(scores, order)) is not None:
        level = own
    elif task in chance.benchmarks:
        level = np.full(len(order.first), chance.benchmarks[task])
    else:
        share = _guess(scores)
        level = np.full(len(order.first), share)
        guessed = f"{task}: chance level {share:.2f} is guessed from its answers" if share else None
    wrong = ~((level >= 0) & (level < 1))
    if wrong.any():
        raise DataError(
            f"{task}: a chance level of {level[wrong][0]:g}: expected 0 (write-in) or more, and below 1",
            hint="`chance:` in the dataset file or in conf/benchmark says it, or the choices of the rows do",
        )
    return level, guessed


def _own_chance(scores: Scores, order: _Order) -> Floats | None:
    """What the rows say: one over the number of their options."""
    if "chance" not in scores.table.column_names:
        return None
    level = floats(scores.table["chance"])[order.first]
    return None if np.isnan(level).all() else np.where(np.isnan(level), 0.0, level)


def _guess(scores: Scores) -> float:
    """One over the number of different answers, where all of them are letters of options or words such as yes and no."""
    answers = {text for text in codes(scores.table["answer"])[1] if text}
    if len(answers) > 1 and all(_LETTER.fullmatch(text) for text in answers):
        return 1 / max(len(answers), 2)
    if len(answers) > 1 and {text.lower() for text in answers} <= _WORDS:
        return 1 / len({text.lower() for text in answers})
    return 0.0


def distinct(parts: Iterable[Points]) -> list[Questions]:
    """The different lists of questions of several evaluations, in order of appearance; most have the same."""
    return list(dict.fromkeys(part.questions for part in parts))


def union(parts: Iterable[Points]) -> list[tuple[str, int]]:
    """All questions of several evaluations, in order of appearance."""
    return list(dict.fromkeys(key for questions in distinct(parts) for key in questions.keys))
