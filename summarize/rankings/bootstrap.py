"""Intervals of scores that have no formula: questions are drawn anew, then samples within them, alike for all evaluations.

Sharing them pairs the evaluations: a rank interval says how a rank would move with other questions of the kind.
Nothing here multiplies matrices by `@`: the threads of a BLAS wait for each other busily, which took five times the work.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from summarize.questions import Floats, Integers
from summarize.rankings.grid import Stack
from summarize.rankings.reasonscore import Counts, ratio

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
    lengths, counted = np.ascontiguousarray(stack.tokens), np.ascontiguousarray(stack.counted)
    for start in range(0, count, _BLOCK):
        size = min(_BLOCK, count - start)
        drawn = rng.integers(0, questions, (size, questions)) + questions * np.arange(size)[:, None]
        times = np.bincount(drawn.ravel(), minlength=size * questions).reshape(size, questions).astype(np.float64)
        sums = [_within(kind.drawn(times), kind, rng) for kind in kinds]
        counts = Counts(*(np.stack(own, axis=1) for own in zip(*sums, strict=True)))
        yield counts, ratio(_products(times, lengths), _products(times, counted))


def _products(times: Floats, values: Floats) -> Floats:
    """Sums over the drawn questions, shape (draws, evaluations)."""
    found: Floats = np.einsum("dq,eq->de", times, values)
    return found


@dataclass(frozen=True, slots=True)
class _Kinds:
    """The different (graded, right, truncated, chance) of an evaluation's questions.

    `order` lists the questions kind by kind; those of a kind begin at its `starts`.
    """

    kinds: Floats
    order: Integers
    starts: Integers

    def drawn(self, times: Floats) -> Floats:
        """How often each kind is drawn, shape (draws, kinds)."""
        found: Floats = np.add.reduceat(times[:, self.order], self.starts, axis=1)
        return found


def _kinds(stack: Stack, row: int) -> _Kinds:
    own = np.stack([stack.graded[row], stack.right[row], stack.truncated[row], stack.chance[row]], axis=1)
    kinds, place = np.unique(own, axis=0, return_inverse=True)
    order = np.argsort(place.reshape(-1), kind="stable")
    return _Kinds(kinds, order, np.searchsorted(place.reshape(-1)[order], np.arange(len(kinds))))


def _within(held: Floats, own: _Kinds, rng: np.random.Generator) -> tuple[Floats, ...]:
    """(graded, right, guesses, truncated) of each draw, the samples of its questions drawn anew.

    Questions of one kind have the same chances: their samples are drawn together. A graded score that is no verdict is
    kept as it is, and so is a question of one sample, which can only be drawn again.
    """
    graded, right, truncated, chance = own.kinds.T
    total = graded + truncated
    anew = (total > 1) & (right == np.round(right))
    kept = held * ~anew
    found = [(kept * values).sum(axis=1) for values in (graded, right, graded * chance, truncated)]
    if anew.any():
        samples = (held[:, anew] * total[anew]).astype(np.int64)
        cut = rng.binomial(samples, truncated[anew] / total[anew])
        shares = np.divide(right, graded, out=np.zeros(len(graded)), where=graded > 0)[anew]
        judged = samples - cut
        found = [
            found[0] + judged.sum(axis=1),
            found[1] + rng.binomial(judged, shares).sum(axis=1),
            found[2] + (judged * chance[anew]).sum(axis=1),
            found[3] + cut.sum(axis=1),
        ]
    return tuple(found)
