"""The per-question table: every printed number is made of it and of nothing else.

`samples` turns the scores table into flat arrays, one entry a sample; `reduced` makes the numbers of each question.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ns_eval.errors import CoverageError, DataError
from ns_eval.scores import Scores
from ns_eval.scores.columns import codes, floats, integers
from summarize.at_k import Votes, best_of_k, none_of_k, pass_at_k
from summarize.voting import expected_votes, votes

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]
# Seeds count from 0; the greedy answer has none.
GREEDY = -1
JOINT = ("both_correct", "any_correct")  # made of all verdicts, given by no judge
_ATTEMPT_WITHOUT_ANSWER = ("truncated", "no_answer", "filtered")
# Of several graded scores of one judge, the one that stands for the sample.
HEADLINES = ("score_overall_score", "score_score", "score_win")
_REWARD = "score_reward_model_score"
_RATED_TYPES = ("rubric", "mt-bench")
# How programs failed. Read off the tests that also decide, so there is no best sample by any of them.
FAILURES = ("score_compile_error", "score_runtime_error", "score_timeout", "score_wrong_answer")
OF_TESTS = (*FAILURES, "score_tests_passed")


@dataclass(frozen=True, slots=True)
class Samples:
    """Flat arrays over samples, ordered by question. `question` indexes `names`, `hashes`, `subsets` and `clusters`.

    `values` holds one array a score: 1 right, 0 wrong, NaN where nobody judged; graded scores as they are, of which those in
    `rated` are on a scale of their own and not shares: its ends (1 and 5), None where they are not known. `classes` is -1
    without an answer; `silent` says that there is none although one was asked for (a benchmark of programs has none).
    `tokens` is NaN where unknown.
    """

    names: tuple[str, ...]
    hashes: tuple[str, ...]
    subsets: tuple[str | None, ...]
    clusters: tuple[str, ...]
    question: Integers
    seed: Integers
    status: npt.NDArray[np.str_]
    classes: Integers
    silent: Flags
    values: Mapping[str, Floats]
    graded: frozenset[str]
    tokens: Floats
    rated: Mapping[str, tuple[float, float] | None] = field(default_factory=dict)

    @property
    def count(self) -> int:
        return len(self.names)

    def where(self, keep: Flags) -> Samples:
        """The samples of a mask; questions keep their numbers."""
        return Samples(
            self.names,
            self.hashes,
            self.subsets,
            self.clusters,
            self.question[keep],
            self.seed[keep],
            self.status[keep],
            self.classes[keep],
            self.silent[keep],
            {name: value[keep] for name, value in self.values.items()},
            self.graded,
            self.tokens[keep],
            self.rated,
        )

    def only(self, chosen: Flags) -> Samples:
        """The questions of a mask, numbered anew."""
        number = np.cumsum(chosen) - 1
        kept = self.where(chosen[self.question])
        places = np.flatnonzero(chosen)
        return Samples(
            tuple(self.names[at] for at in places),
            tuple(self.hashes[at] for at in places),
            tuple(self.subsets[at] for at in places),
            tuple(self.clusters[at] for at in places),
            number[kept.question],
            kept.seed,
            kept.status,
            kept.classes,
            kept.silent,
            kept.values,
            kept.graded,
            kept.tokens,
            kept.rated,
        )


@dataclass(frozen=True, slots=True)
class Selection:
    """Which view of the table: votes over equal texts rather than equal answers, the first questions, a limit of length."""

    literal: bool = False
    max_questions: int = -1
    max_tokens: int | None = None


_EVERYTHING = Selection()


def samples(scores: Scores, selection: Selection = _EVERYTHING) -> Samples:
    """The flat arrays of a scores table, with `both_correct` and `any_correct` where there are several judges.

    A sample whose request failed is missing for every score. One that ended without an answer is an attempt: where the
    judge did not get to see it, it is wrong, not missing (stats.md section 7).

    Raises:
        DataError: a score that is not finite; names the question.
        CoverageError: nothing is graded at all.
    """
    table = scores.table
    question, names = codes(table["question_id"])
    order = np.argsort(question, kind="stable")
    question = question[order]
    first = order[np.searchsorted(question, np.arange(len(names)))]
    status_codes, statuses = codes(table["status"])
    status = np.array(statuses, dtype=np.str_)[status_codes[order]]
    classes = codes(table["answer"])[0][order] if selection.literal else integers(table["answer_class"])[order]
    tokens = floats(table["completion_tokens"])[order]
    values = _values(scores, order, status, classes)
    if not values:
        failed = int(np.sum(status == "error"))
        raise CoverageError(
            f"{scores.meta.benchmark}: none of its {len(status)} samples is graded; {failed} of them failed",
            hint="`error` in its output files says why; the same command asks again what failed",
        )
    graded = frozenset(name for name in values if name.startswith("score_"))
    for name, value in values.items():
        if np.isinf(value).any():
            raise DataError(f"question `{names[question[np.isinf(value)][0]]}`: {name} is not finite")
        if selection.max_tokens is not None and name not in graded:
            value[(tokens > selection.max_tokens) & ~np.isnan(value)] = 0.0
    columns = {name: _texts(scores, name, first) for name in ("question_hash", "subset", "cluster")}
    found = Samples(
        names=tuple(names),
        hashes=tuple(text or "" for text in columns["question_hash"]),
        subsets=tuple(columns["subset"]),
        clusters=tuple(text or name for text, name in zip(columns["cluster"], names, strict=True)),
        question=question,
        seed=integers(table["seed"], null=GREEDY)[order],
        status=status,
        classes=classes,
        silent=_silent(status, classes, judged=len(graded) < len(values)),
        values=values,
        graded=graded,
        tokens=tokens,
        rated={name: scores.meta.scale for name in graded if _is_rated(values[name], scores.meta.metric_type)},
    )
    return found if selection.max_questions < 0 else found.only(np.arange(found.count) < selection.max_questions)


def _silent(status: npt.NDArray[np.str_], classes: Integers, *, judged: bool) -> Flags:
    """Samples without an answer where one was asked for; a text that is rated is one, also where it was cut."""
    if not judged:
        return np.asarray(status == "no_answer")
    return np.asarray((classes < 0) & ((status != "ok") | (classes >= 0).any()))


def _is_rated(value: Floats, metric_type: str | None) -> bool:
    known = value[~np.isnan(value)]
    return metric_type in _RATED_TYPES or bool((known < 0).any() or (known > 1).any())


def _texts(scores: Scores, name: str, rows: Integers) -> list[str | None]:
    code, texts = codes(scores.table[name])
    # A null's code is -1: the last of them.
    found: list[str | None] = np.array([*texts, None], dtype=object)[code[rows]].tolist()
    return found


def _values(scores: Scores, order: Integers, status: npt.NDArray[np.str_], classes: Integers) -> dict[str, Floats]:
    failed = status == "error"
    without = np.isin(status, _ATTEMPT_WITHOUT_ANSWER) & (classes < 0)
    values: dict[str, Floats] = {}
    rates = any(name.startswith("score_") and name != _REWARD for name in scores.table.column_names)
    for name in scores.table.column_names:
        if name.endswith("_correct"):
            value = floats(scores.table[name])[order]
            # A judge that rates says right or wrong of nothing: its verdicts are no score.
            if rates and np.isnan(value).all():
                continue
            value[without & np.isnan(value)] = 0.0
        elif name.startswith("score_"):
            value = floats(scores.table[name])[order]
        else:
            continue
        value[failed] = np.nan
        values[name] = value
    verdicts = [value for name, value in values.items() if name.endswith("_correct")]
    if len(verdicts) > 1:
        values |= dict(zip(JOINT, (_all_of(verdicts), 1.0 - _all_of([1.0 - value for value in verdicts])), strict=True))
    return {name: values[name] for name in sorted(values, key=_place)}


def _place(name: str) -> tuple[bool, int]:
    """Verdicts before graded scores, in source 003's order of columns; of those the headline first."""
    if name.startswith("score_"):
        return True, int(name not in HEADLINES)
    known = ("symbolic_correct", "judge_correct", *JOINT)
    return False, known.index(name) if name in known else 1


def _all_of(verdicts: Sequence[Floats]) -> Floats:
    """Three-valued and: one false is false; else one missing is missing; else true."""
    return np.where(np.any([value == 0.0 for value in verdicts], axis=0), 0.0, np.sum(verdicts, axis=0) / len(verdicts))


@dataclass(frozen=True, slots=True)
class PerQuestion:
    """One score of every question: `n` scored samples, their `mean` (NaN for n = 0), `variance` (ddof 1) and sum `right`.

    `passed`, `voted` and `silent` have shape (questions, most samples + 1) and are indexed by k, NaN for k > n: pass@k (the
    expected maximum for graded scores), majority@k (all NaN for those), and P(none of k has an answer). `mixed` counts the
    answer classes on which the judge contradicts itself, `tables` holds the votes (empty where nothing votes).
    """

    n: Integers
    mean: Floats
    variance: Floats
    right: Floats
    passed: Floats
    voted: Floats
    silent: Floats
    unanswered: Integers
    mixed: Integers
    tables: tuple[Votes, ...]


def per_question(found: Samples, score: str, *, vote: bool = True) -> PerQuestion:
    """Reduces one score. Samples that nobody judged do not take part: they lower n. Votes cost more than the rest."""
    return reduced(found, [score], vote=vote)[score]


def reduced(found: Samples, scores: Iterable[str], *, vote: bool = True) -> dict[str, PerQuestion]:
    """Reduces several scores; the votes of all are counted out together, for most of their tables are the same."""
    items = {score: _passes(found, score) for score in scores}
    tables: dict[str, tuple[list[Votes], Integers]] = {}
    for score in items if vote else ():
        voting = ~np.isnan(found.values[score]) & (found.classes >= 0)
        if score not in found.graded and voting.any():
            columns = found.question[voting], found.classes[voting], found.values[score][voting]
            tables[score] = votes(*columns, items[score].unanswered)
    width = max((item.passed.shape[1] for item in items.values()), default=0)
    every = expected_votes([table for own, _ in tables.values() for table in own], width)
    for place, (score, (own, mixed)) in enumerate(tables.items()):
        voted = every[place * found.count : (place + 1) * found.count]
        items[score] = dataclasses.replace(items[score], voted=voted, mixed=mixed, tables=tuple(own))
    return items


def _passes(found: Samples, score: str) -> PerQuestion:
    """All but the votes."""
    value = found.values[score]
    scored = ~np.isnan(value)
    question, value = found.question[scored], value[scored]
    n = np.bincount(question, minlength=found.count)
    right = np.bincount(question, weights=value, minlength=found.count).astype(np.float64)
    unanswered = np.bincount(question[found.silent[scored]], minlength=found.count)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = right / n
        squares = np.bincount(question, weights=(value - mean[question]) ** 2, minlength=found.count)
        variance = np.where(n > 1, squares / (n - 1), np.nan)
    # One width for all scores, whichever samples were judged.
    most = int(np.bincount(found.question, minlength=1).max())
    passed, voted, silent = (np.full((found.count, most + 1), np.nan) for _ in range(3))
    for size in np.unique(n[n > 0]):
        rows = np.flatnonzero(n == size)
        silent[rows, : size + 1] = none_of_k(size, size - unanswered[rows])
        if score in found.graded and size == 1:
            passed[rows, 1] = right[rows]
        elif score in found.graded:
            passed[rows, : size + 1] = [best_of_k(value[question == row], value[question == row]) for row in rows]
        else:
            passed[rows, : size + 1] = pass_at_k(size, right[rows].astype(np.int64))
    mixed = np.zeros(found.count, np.int64)
    return PerQuestion(n, mean, variance, right, passed, voted, silent, unanswered, mixed, ())


def best_curve(found: Samples, score: str, by: str) -> Floats:
    """The verdict of the best of k by another score, shape (questions, most samples + 1); samples need both."""
    known = ~np.isnan(found.values[score]) & ~np.isnan(found.values[by])
    curve = np.full((found.count, int(np.bincount(found.question, minlength=1).max()) + 1), np.nan)
    for row in np.unique(found.question[known]):
        own = known & (found.question == row)
        curve[row, : int(own.sum()) + 1] = best_of_k(found.values[by][own], found.values[score][own])
    return curve
