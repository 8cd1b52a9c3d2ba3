"""The points of one evaluation on one task: for each question how its samples ended. A point is a question."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ns_eval import benchmarks
from ns_eval.errors import DataError, UsageError, suggest
from ns_eval.resources import conf_names
from ns_eval.scores import Scores
from ns_eval.scores.columns import codes, floats
from summarize.questions import Floats, Integers, Samples, samples

_LETTER = re.compile(r"[A-J]")
_WORDS = {"yes", "no", "maybe", "true", "false"}


@dataclass(frozen=True, slots=True)
class Points:
    """Parallel arrays over questions. `keys` tells a question by its content and how-manieth occurrence.

    `graded` samples were judged and not cut, `right` sums their scores, `truncated` were cut (whatever was read from them),
    `invalid` are those of the graded without an answer. `chance` is that of guessing right. `tokens` sums over the `counted`
    samples that are graded or cut and whose length is known, `seconds` over the `timed` ones.
    """

    keys: tuple[tuple[str, int], ...]
    tiers: tuple[str | None, ...]
    subsets: tuple[str | None, ...]
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


def points(task: str, scores: Scores, score: str | None, chance: Mapping[str, float]) -> Points:
    """The points of a scores table.

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
    seconds = _in_order(scores, "seconds")
    level, guessed = _chance(task, scores, found, chance)

    def counted(flags: Floats) -> Floats:
        sums: Floats = np.bincount(found.question, weights=flags, minlength=found.count).astype(np.float64)
        return sums

    return Points(
        keys=tuple(keys(found)),
        tiers=_tiers(scores, found),
        subsets=found.subsets,
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


def keys(found: Samples) -> list[tuple[str, int]]:
    """Content hash and its how-manieth occurrence of each question: data sets do repeat questions."""
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


def _in_order(scores: Scores, name: str) -> Floats:
    """A column in the order of `samples`: by question."""
    question, _ = codes(scores.table["question_id"])
    return floats(scores.table[name])[np.argsort(question, kind="stable")]


def _first(scores: Scores) -> Integers:
    """The first row of each question."""
    question, names = codes(scores.table["question_id"])
    order = np.argsort(question, kind="stable")
    rows: Integers = order[np.searchsorted(question[order], np.arange(len(names)))]
    return rows


def _tiers(scores: Scores, found: Samples) -> tuple[str | None, ...]:
    if "tier" not in scores.table.column_names:
        return (None,) * found.count
    code, texts = codes(scores.table["tier"])
    return tuple(texts[at] if at >= 0 else None for at in code[_first(scores)])


def _chance(task: str, scores: Scores, found: Samples, given: Mapping[str, float]) -> tuple[Floats, str | None]:
    """The chance of guessing each question right, and how it was guessed where nobody says."""
    guessed = None
    if task in given:
        level = np.full(found.count, given[task])
    elif (own := _own_chance(scores, found)) is not None:
        level = own
    elif task in conf_names("benchmark"):
        level = np.full(found.count, benchmarks.find(task).chance or 0.0)
    else:
        share = _guess(scores)
        level = np.full(found.count, share)
        guessed = f"{task}: chance level {share:.2f} is guessed from its answers" if share else None
    wrong = ~((level >= 0) & (level < 1))
    if wrong.any():
        raise DataError(
            f"{task}: a chance level of {level[wrong][0]:g}: expected 0 (write-in) or more, and below 1",
            hint="`chance:` in the dataset file or in conf/benchmark says it, or the choices of the rows do",
        )
    return level, guessed


def _own_chance(scores: Scores, found: Samples) -> Floats | None:
    """What the rows say: one over the number of their options."""
    if "chance" not in scores.table.column_names:
        return None
    level = floats(scores.table["chance"])[_first(scores)]
    return None if np.isnan(level).all() else np.where(np.isnan(level), 0.0, level)


def _guess(scores: Scores) -> float:
    """One over the number of different answers, where all of them are letters of options or words such as yes and no."""
    answers = {text for text in codes(scores.table["answer"])[1] if text}
    if len(answers) > 1 and all(_LETTER.fullmatch(text) for text in answers):
        return 1 / max(len(answers), 2)
    if len(answers) > 1 and {text.lower() for text in answers} <= _WORDS:
        return 1 / len({text.lower() for text in answers})
    return 0.0


def union(parts: Sequence[Points]) -> list[tuple[str, int]]:
    """All questions of several evaluations, in order of appearance."""
    return list(dict.fromkeys(key for part in parts for key in part.keys))
