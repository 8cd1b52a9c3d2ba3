"""Intervals of scores that have no formula: questions are drawn anew, then samples within them, alike for all evaluations.

Sharing them pairs the evaluations: a rank interval says how a rank would move with other questions of the kind.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from summarize.questions import Floats
from summarize.rankings.grid import Stack
from summarize.rankings.reasonscore import Counts

_BLOCK = 250


def draws(stack: Stack, count: int, rng: np.random.Generator) -> tuple[Counts, Floats]:
    """(sums of each draw, mean tokens of each draw), all of shape (draws, evaluations)."""
    blocks = list(_blocks(stack, count, rng))
    counts = Counts(
        *(np.concatenate([getattr(own, name) for own, _ in blocks]) for name in ("graded", "right", "guesses", "truncated"))
    )
    return counts, np.concatenate([tokens for _, tokens in blocks])


def _blocks(stack: Stack, count: int, rng: np.random.Generator) -> Iterator[tuple[Counts, Floats]]:
    questions = len(stack.keys)
    kinds = [_kinds(stack, row) for row in range(len(stack.graded))]
    for start in range(0, count, _BLOCK):
        size = min(_BLOCK, count - start)
        drawn = rng.integers(0, questions, (size, questions)) + questions * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * questions).reshape(size, questions).astype(np.float64)
        sums = [_within(times, *kind, rng) for kind in kinds]
        counts = Counts(*(np.stack(own, axis=1) for own in zip(*sums, strict=True)))
        with np.errstate(invalid="ignore", divide="ignore"):
            tokens = (times @ stack.tokens.T) / (times @ stack.counted.T)
        yield counts, tokens


def _kinds(stack: Stack, row: int) -> tuple[Floats, Floats]:
    """(the different (graded, right, truncated, chance) of an evaluation's questions, which question is which, one-hot)."""
    own = np.stack([stack.graded[row], stack.right[row], stack.truncated[row], stack.chance[row]], axis=1)
    kinds, place = np.unique(own, axis=0, return_inverse=True)
    onehot = np.zeros((len(own), len(kinds)))
    onehot[np.arange(len(own)), place.reshape(-1)] = 1.0
    return kinds, onehot


def _within(times: Floats, kinds: Floats, onehot: Floats, rng: np.random.Generator) -> tuple[Floats, ...]:
    """(graded, right, guesses, truncated) of each draw, the samples of its questions drawn anew.

    Questions of one kind have the same chances: their samples are drawn together. A graded score that is no verdict is
    kept as it is, and so is a question of one sample, which can only be drawn again.
    """
    graded, right, truncated, chance = kinds.T
    held = times @ onehot
    total = graded + truncated
    anew = (total > 1) & (right == np.round(right))
    kept = held * ~anew
    found = [kept @ graded, kept @ right, kept @ (graded * chance), kept @ truncated]
    if anew.any():
        samples = (held[:, anew] * total[anew]).astype(np.int64)
        cut = rng.binomial(samples, truncated[anew] / total[anew])
        shares = np.divide(right, graded, out=np.zeros(len(graded)), where=graded > 0)[anew]
        judged = samples - cut
        found = [
            found[0] + judged.sum(axis=1),
            found[1] + rng.binomial(judged, shares).sum(axis=1),
            found[2] + judged @ chance[anew],
            found[3] + cut.sum(axis=1),
        ]
    return tuple(found)
