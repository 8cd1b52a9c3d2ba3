"""The scores of a grid: a task, a tier, an evaluation; with intervals and ranks where draws are asked for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from summarize.intervals import Interval, interval
from summarize.questions import Floats
from summarize.rankings.bootstrap import draws
from summarize.rankings.evaluations import Evaluation
from summarize.rankings.grid import Grid, Stack
from summarize.rankings.reasonscore import (
    Counts,
    adjusted_score,
    center_margin,
    geometric_mean,
    joint_score,
    plain,
    ratio,
    skill_interval,
)
from summarize.rankings.tiers import EVERY

Ends = tuple[float, float]


@dataclass(frozen=True, slots=True)
class TaskScore:
    """One evaluation on one task in one tier; the first eight fields are the source's, in its words.

    `accuracy` counts truncated answers as wrong. `skill` is the interval of the excess accuracy that holds its 95%. Lengths
    are None where nobody recorded them.
    """

    center: float
    margin: float
    truncated_ratio: float
    completion_tokens_mean: float | None
    adjusted_score: float
    point_count: int
    expected_points: int
    is_incomplete: bool
    invalid_ratio: float
    total: int
    correct: float
    truncated: int
    chance: float
    accuracy: float
    skill: Ends | None
    seconds_mean: float | None


@dataclass(frozen=True, slots=True)
class Scored:
    """A ReasonScore with what goes with it; of one tier, or overall. None: not known."""

    reasonscore: float | None
    any_incomplete: bool
    avg_tokens: float | None
    score_token: float | None
    accuracy: float | None
    interval: Ends | None = None
    score_token_interval: Ends | None = None
    accuracy_interval: Ends | None = None
    rank: int | None = None
    rank_interval: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Ranked:
    """One evaluation: overall, each tier, and each task of each tier (a missing one is absent)."""

    evaluation: Evaluation
    overall: Scored
    tiers: Mapping[str, Scored]
    tasks: Mapping[str, Mapping[str, TaskScore]]


@dataclass(frozen=True, slots=True)
class How:
    """How scores are made. `bound` is upper (the source's), center or lower; `version` 2 drops tiers and bounds."""

    bound: str = "upper"
    version: int = 1
    overall: str = "geometric"
    draws: int = 2000
    level: float = 0.95
    seed: int = 0


def rank(found: Grid, how: How) -> tuple[Ranked, ...]:
    """All evaluations of the grid, in its order."""
    found = _without_tiers(found) if how.version == 2 else found
    values = {place: _adjusted(stack.counts(), how) for place, stack in found.cells.items()}
    by_tier, overall = _scores(found, values, how)
    drawn = _drawn(found, how) if how.draws else None
    made = {place: _task_scores(stack, values[place]) for place, stack in found.cells.items()}
    tasks = [{tier: _tasks(made, tier, row) for tier in found.tiers} for row in range(len(found.evaluations))]
    tiers = {}
    for at, tier in enumerate(found.tiers):
        column = [_scored(by_tier[row, at], own, _stacks(found, tier, row), how) for row, own in enumerate(tasks)]
        tiers[tier] = _placed(column, None if drawn is None else drawn[tier], how)
    whole = [_scored(overall[row], own, _stacks(found, None, row), how) for row, own in enumerate(tasks)]
    whole = _placed(whole, None if drawn is None else drawn[None], how)
    return tuple(
        Ranked(item, whole[row], {tier: tiers[tier][row] for tier in found.tiers}, tasks[row])
        for row, item in enumerate(found.evaluations)
    )


def _tasks(made: Mapping[tuple[str, str], Sequence[TaskScore | None]], tier: str, row: int) -> dict[str, TaskScore]:
    return {task: one for (own, task), column in made.items() if own == tier and (one := column[row]) is not None}


def _without_tiers(found: Grid) -> Grid:
    """All tiers of a task as one."""
    cells = {}
    for task in found.tasks:
        own = [stack for (_, name), stack in found.cells.items() if name == task]
        arrays = {
            name: np.concatenate([getattr(stack, name) for stack in own], axis=1)
            for name in ("graded", "right", "truncated", "invalid", "tokens", "counted", "seconds", "timed", "chance")
        }
        expected = tuple(sum(stack.expected[row] for stack in own) for row in range(len(found.evaluations)))
        keys = tuple(key for stack in own for key in stack.keys)
        cells[EVERY, task] = Stack(keys, **arrays, expected=expected)
    return Grid(found.evaluations, (EVERY,), found.tasks, cells, found.notes)


def _adjusted(counts: Counts, how: How) -> Floats:
    return joint_score(counts) if how.version == 2 else adjusted_score(counts, how.bound)


def _scores(found: Grid, values: Mapping[tuple[str, str], Floats], how: How) -> tuple[Floats, Floats]:
    """(ReasonScore of each tier, overall), shapes (…, tiers) and (…,); NaN where nothing is."""
    tiers = [
        1000 * geometric_mean(np.stack([own for (name, _), own in values.items() if name == tier], axis=-1))
        for tier in found.tiers
    ]
    by_tier = np.stack(tiers, axis=-1)
    if how.overall == "arithmetic":
        known = ~np.isnan(by_tier)
        with np.errstate(invalid="ignore"):
            return by_tier, np.nansum(by_tier, axis=-1) / np.where(known.any(axis=-1), known.sum(axis=-1), np.nan)
    return by_tier, geometric_mean(by_tier)


def _task_scores(stack: Stack, adjusted: Floats) -> list[TaskScore | None]:
    """One an evaluation; None where it has no sample of the task."""
    counts = stack.counts()
    center, margin = center_margin(counts)
    points = (stack.ended > 0).sum(axis=1).tolist()
    invalid = stack.invalid.sum(axis=1).tolist()
    tokens = ratio(stack.tokens.sum(axis=1), stack.counted.sum(axis=1)).tolist()
    seconds = ratio(stack.seconds.sum(axis=1), stack.timed.sum(axis=1)).tolist()
    found: list[TaskScore | None] = []
    sums = (own.tolist() for own in (counts.graded, counts.right, counts.guesses, counts.truncated))
    for row, (graded, right, guesses, cut) in enumerate(zip(*sums, strict=True)):
        if not points[row]:
            found.append(None)
            continue
        chance = guesses / graded if graded else 0.0
        found.append(
            TaskScore(
                center=float(center[row]),
                margin=float(margin[row]),
                truncated_ratio=cut / (graded + cut),
                completion_tokens_mean=plain(tokens[row]),
                adjusted_score=float(adjusted[row]),
                point_count=points[row],
                expected_points=stack.expected[row],
                is_incomplete=points[row] < stack.expected[row],
                invalid_ratio=invalid[row] / (graded + cut),
                total=int(graded),
                correct=right,
                truncated=int(cut),
                chance=chance,
                accuracy=right / (graded + cut),
                skill=skill_interval(right, graded, chance) if graded else None,
                seconds_mean=plain(seconds[row]),
            )
        )
    return found


def _stacks(found: Grid, tier: str | None, row: int) -> dict[tuple[str, str], tuple[Floats, Floats]]:
    """(right, ended) of each question of the tasks that an evaluation should have; empty arrays where it has none."""
    return {
        place: (stack.right[row][(ended := stack.ended_in(row)) > 0], ended[ended > 0])
        for place, stack in found.cells.items()
        if tier in (None, place[0])
    }


def _scored(
    score: float,
    tasks: Mapping[str, Mapping[str, TaskScore]],
    asked: Mapping[tuple[str, str], tuple[Floats, Floats]],
    how: How,
) -> Scored:
    """Tokens are the mean over tasks; one task without them leaves the mean unknown, not smaller."""
    own = [tasks[tier][task] for tier, task in asked if task in tasks[tier]]
    known = [task.completion_tokens_mean for task in own if task.completion_tokens_mean is not None]
    mean = sum(known) / len(known) if known and len(known) == len(own) else None
    value = plain(score)
    return Scored(
        reasonscore=value,
        any_incomplete=len(own) < len(asked) or any(task.is_incomplete for task in own),
        avg_tokens=mean,
        score_token=value / mean if value is not None and mean else None,
        accuracy=sum(task.accuracy for task in own) / len(own) if own else None,
        accuracy_interval=_accuracy_interval(list(asked.values()), how),
    )


def _accuracy_interval(parts: Sequence[tuple[Floats, Floats]], how: How) -> Ends | None:
    """Of the mean over tasks, by the default interval of the question values; each task weighs the same."""
    means = [right / ended for right, ended in parts if len(ended)]
    if not means:
        return None
    total = sum(len(own) for own in means)
    ends = interval(np.concatenate([own * (total / (len(means) * len(own))) for own in means]), Interval(level=how.level))
    return None if ends is None else (max(0.0, ends[0]), min(1.0, ends[1]))


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Of each draw: ReasonScore and mean tokens; shape (draws, evaluations), NaN where an evaluation has nothing."""

    scores: Floats
    tokens: Floats


def _drawn(found: Grid, how: How) -> dict[str | None, _Drawn]:
    """By tier; None is overall."""
    rng = np.random.default_rng(how.seed)
    values, tokens = {}, {}
    for place, stack in found.cells.items():
        counts, lengths = draws(stack, how.draws, rng)
        # A task that an evaluation lacks stays missing, whatever is drawn.
        has = stack.ended.any(axis=1)
        values[place] = np.where(has, _adjusted(counts, how), np.nan)
        tokens[place] = np.where(has, lengths, 0.0)
    by_tier, overall = _scores(found, values, how)
    drawn: dict[str | None, _Drawn] = {None: _Drawn(overall, _over_tasks(found, None, tokens))}
    for at, tier in enumerate(found.tiers):
        drawn[tier] = _Drawn(by_tier[..., at], _over_tasks(found, tier, tokens))
    return drawn


def _over_tasks(found: Grid, tier: str | None, values: Mapping[tuple[str, str], Floats]) -> Floats:
    """The mean over the tasks that an evaluation has."""
    places = [place for place in values if tier in (None, place[0])]
    has = np.sum([found.cells[place].ended.any(axis=1) for place in places], axis=0).astype(np.float64)
    total: Floats = np.sum([values[place] for place in places], axis=0)
    return ratio(total, np.broadcast_to(has, total.shape))


def _placed(column: Sequence[Scored], drawn: _Drawn | None, how: How) -> list[Scored]:
    """One tier, or overall, of all evaluations, with ranks and intervals; equal scores share the better rank."""
    scores = np.array([np.nan if item.reasonscore is None else item.reasonscore for item in column])
    ranks = _ranks(scores)
    places = None if drawn is None else _ranks(drawn.scores)
    tail = [(1 - how.level) / 2, (1 + how.level) / 2]
    made = []
    for row, item in enumerate(column):
        if item.reasonscore is None:
            made.append(item)
            continue
        own = replace(item, rank=int(ranks[row]))
        if drawn is not None and places is not None:
            values, tokens = drawn.scores[:, row], drawn.tokens[:, row]
            # Percentiles that are ranks themselves: the nearest ones outwards.
            low = np.quantile(places[:, row], tail[0], method="lower")
            high = np.quantile(places[:, row], tail[1], method="higher")
            own = replace(
                own,
                interval=_ends(values, tail),
                score_token_interval=None if item.score_token is None else _ends(values / tokens, tail),
                rank_interval=(int(low), int(high)),
            )
        made.append(own)
    return made


def _ranks(scores: Floats) -> Floats:
    """1 for the best along the last axis; NaN is behind all."""
    found: Floats = 1 + np.sum(scores[..., None, :] > scores[..., :, None], axis=-1)
    return found


def _ends(values: Floats, tail: Sequence[float]) -> Ends | None:
    known = values[~np.isnan(values)]
    if not len(known):
        return None
    low, high = np.quantile(known, tail)
    return float(low), float(high)
