"""Evaluations x tiers x tasks: the points of all, laid over the questions that they share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ns_eval.errors import DataError, UsageError, suggest
from summarize.questions import Floats
from summarize.rankings import tiers as tiering
from summarize.rankings.evaluations import Dataset, Evaluation
from summarize.rankings.points import Chances, Met, Points, chances, distinct, points, union
from summarize.rankings.reasonscore import Counts
from summarize.rankings.tiers import TierConfig
from summarize.results import load_scores

_FIELDS = ("graded", "right", "truncated", "invalid", "tokens", "counted", "seconds", "timed")


@dataclass(frozen=True, slots=True)
class Stack:
    """One task in one tier: arrays of shape (evaluations, questions), zero where an evaluation has nothing.

    `chance` is that of each question. `expected` questions there should be of each evaluation; 0: it was not asked.
    """

    keys: tuple[tuple[str, int], ...]
    graded: Floats
    right: Floats
    truncated: Floats
    invalid: Floats
    tokens: Floats
    counted: Floats
    seconds: Floats
    timed: Floats
    chance: Floats
    expected: tuple[int, ...]

    @property
    def ended(self) -> Floats:
        """Samples that count: graded or cut."""
        return self.graded + self.truncated

    def ended_in(self, row: int) -> Floats:
        """Those of one evaluation, shape (questions,)."""
        own: Floats = self.graded[row] + self.truncated[row]
        return own

    def counts(self) -> Counts:
        """The sums of each evaluation, shape (evaluations,)."""
        return Counts(
            self.graded.sum(axis=1),
            self.right.sum(axis=1),
            (self.graded * self.chance).sum(axis=1),
            self.truncated.sum(axis=1),
        )

    def only(self, rows: Sequence[int]) -> Stack:
        """Some evaluations, in that order."""
        chosen = list(rows)
        arrays = {name: getattr(self, name)[chosen] for name in _FIELDS}
        return Stack(self.keys, **arrays, chance=self.chance[chosen], expected=tuple(self.expected[row] for row in chosen))


@dataclass(frozen=True, slots=True)
class Grid:
    """`cells` holds a Stack for each (tier, task) that some evaluation has; rows of stacks are `evaluations`."""

    evaluations: tuple[Evaluation, ...]
    tiers: tuple[str, ...]
    tasks: tuple[str, ...]
    cells: Mapping[tuple[str, str], Stack]
    notes: tuple[str, ...] = ()

    def only(self, kept: Sequence[Evaluation]) -> Grid:
        """Some evaluations; tiers and tasks that none of them has fall away."""
        rows = [self.evaluations.index(item) for item in kept]
        cells = {place: stack.only(rows) for place, stack in self.cells.items()}
        cells = {place: stack for place, stack in cells.items() if stack.ended.any()}
        tasks = tuple(task for task in self.tasks if any(place[1] == task for place in cells))
        tiers = tuple(tier for tier in self.tiers if any(place[0] == tier for place in cells))
        return Grid(tuple(kept), tiers, tasks, cells, self.notes)


@dataclass(frozen=True, slots=True)
class Choice:
    """What of the results is ranked, and under which tiers. Empty: all."""

    tasks: tuple[str, ...] = ()
    tiers: tuple[str, ...] = ()
    tier_by: str = "rows"
    score: str | None = None
    strict: bool = False


def grid(dataset: Dataset, choice: Choice) -> Grid:
    """Reads the results of all evaluations.

    Raises:
        UsageError: a task or tier that none has; no task left; with `strict` a task whose questions differ.
        DataError: see `points` and `tiers.of_task`.
    """
    evaluations = dataset.evaluations
    known = sorted({found.name for item in evaluations for found in item.benchmarks})
    _refuse_unknown("tasks", choice.tasks, known)
    config = tiering.read(choice.tier_by, dataset.tiers)
    levels = chances(known, dataset.chance)
    cells: dict[tuple[str, str], Stack] = {}
    notes: list[str] = []
    for task in choice.tasks or known:
        parts = _parts(task, dataset, choice.score, levels)
        other = _other_questions(task, parts)
        if other is not None:
            if choice.strict:
                raise DataError(f"--strict: {other}", hint="--tasks leaves it out")
            notes.append(f"left out: {other}")
            continue
        notes += dict.fromkeys(part.guessed for part in parts.values() if part.guessed is not None)
        cells |= _cells(task, parts, config, len(evaluations))
    if not cells:
        raise DataError("no task is left to rank" + "".join(f"; {note}" for note in notes))
    named = tiering.order(list(dict.fromkeys(tier for tier, _ in cells)), config)
    _refuse_unknown("tiers", choice.tiers, named)
    kept = tuple(tier for tier in named if not choice.tiers or tier in choice.tiers)
    cells = {place: stack for place, stack in cells.items() if place[0] in kept}
    tasks = tuple(dict.fromkeys(task for _, task in cells))
    return Grid(evaluations, kept, tasks, cells, tuple(notes))


def _refuse_unknown(name: str, asked: Sequence[str], known: Sequence[str]) -> None:
    for one in asked:
        if one not in known:
            raise UsageError(f"--{name}: no evaluation has `{one}`, {suggest(one, known)}")


def _parts(task: str, dataset: Dataset, score: str | None, levels: Chances) -> dict[int, Points]:
    """The points of the evaluations that were asked this task, by their row."""
    met: Met = {}
    return {
        row: points(task, load_scores(own.folder), score, levels, met)
        for row, item in enumerate(dataset.evaluations)
        for own in item.benchmarks
        if own.name == task
    }


def _other_questions(task: str, parts: Mapping[int, Points]) -> str | None:
    """Says so where two evaluations cannot have been asked the same questions.

    Of an incomplete run the questions are among those of the others; two incomplete runs together have no more than were to
    be asked. Anything else are other questions.
    """
    every = union(list(parts.values()))
    whole = [set(questions.keys) for questions in distinct(parts.values())]
    if any(len(own) == len(every) for own in whole):
        return None
    expected = [part.expected for part in parts.values()]
    most = max((number for number in expected if number is not None), default=0)
    if None not in expected and len(every) <= most:
        return None
    sizes = ", ".join(str(len(part.questions.keys)) for part in parts.values())
    shared = set.intersection(*whole)
    return f"{task}: its questions differ between evaluations ({sizes} questions, {len(shared)} in common, by content)"


def _cells(task: str, parts: Mapping[int, Points], config: TierConfig | None, rows: int) -> dict[tuple[str, str], Stack]:
    tier_of = tiering.of_task(task, list(parts.values()), config)
    every = union(list(parts.values()))
    # Questions that nobody has answered yet may be of any tier: each tier lacks them.
    beyond = max(0, *((part.expected or 0) - len(every) for part in parts.values()))
    arrays = _laid(every, parts, rows)
    columns: dict[str, list[int]] = {}
    for at, key in enumerate(every):
        if key in tier_of:
            columns.setdefault(tier_of[key], []).append(at)
    found = {}
    for tier, own in columns.items():
        expected = tuple(len(own) + beyond if row in parts else 0 for row in range(rows))
        chosen = {name: values[:, own] for name, values in arrays.items()}
        found[tier, task] = Stack(tuple(every[at] for at in own), **chosen, expected=expected)
    return found


def _laid(every: Sequence[tuple[str, int]], parts: Mapping[int, Points], rows: int) -> dict[str, Floats]:
    """The arrays of all points, each of shape (evaluations, questions)."""
    place = {key: at for at, key in enumerate(every)}
    arrays = {name: np.zeros((rows, len(every))) for name in (*_FIELDS, "chance")}
    targets = {own: np.array([place[key] for key in own.keys]) for own in distinct(parts.values())}
    for row, part in parts.items():
        for name, values in arrays.items():
            values[row, targets[part.questions]] = getattr(part, name)
    return arrays
